import { brotliCompressSync } from 'node:zlib'
import Fastify from 'fastify'
import { asyncCacheDedupe } from './async-cache-dedupe.js'
import { bentocacheRedis, bentocacheTiered } from './bentocache.js'
import { fastifyCaching } from './fastify-caching.js'
import { nginxGzip } from './nginx.js'
import { pluginMemory, pluginRedis, serve, strict, tracked, unbounded, type Coded, type Tier } from './plugin.js'
import { readyBodies } from './ready-bodies.js'
import { jsonType, listen, type ItemRoute, type Subject } from './subject.js'

const memory: Tier = { store: 'memory', memory: unbounded }

function hits (name: string, title: string, tier: Tier, coded: Coded): Subject {
  return {
    name,
    title: `fastify-api-cache, ${title}, for a client that accepts br`,
    group: 'plugin',
    answeredBy: 'cache',
    accepts: 'br',
    header: 'HIT',
    start: (scenario, counters) => serve(tier, scenario, counters, coded)
  }
}

/** What @fastify/compress makes of a subject, for each answer anew. */
const beside = (subject: Subject): Subject => ({
  ...subject,
  name: `${subject.name}-beside`,
  title: `${subject.title}, beside @fastify/compress`,
  accepts: 'br',
  start: (scenario, counters) => subject.start({ ...scenario, compresses: true }, counters)
})

/** What a server sends at the least to a client that accepts br. */
const readyBr: Subject = {
  name: 'ready-br',
  title: 'Fastify, a ready Buffer in br',
  group: 'limit',
  answeredBy: 'cache',
  accepts: 'br',
  start ({ bodyBytes }) {
    const app = Fastify()
    const plain = readyBodies(bodyBytes)
    const bodies = new Map<number, Buffer>()
    const encoded = (id: number): Buffer => bodies.get(id) ?? bodies.set(id, brotliCompressSync(plain(id))).get(id)!
    app.get<ItemRoute>('/items/:id', ({ headers, params }, reply) => {
      const id = Number(params.id)
      reply.headers({ 'content-type': jsonType, vary: 'accept-encoding' })
      if (headers['accept-encoding']?.includes('br') !== true) return reply.send(plain(id))
      return reply.header('content-encoding', 'br').send(encoded(id))
    })
    return listen(app)
  }
}

/** The peers that run on Fastify. */
export const peersBeside: Subject[] = [fastifyCaching, asyncCacheDedupe, bentocacheRedis, bentocacheTiered].map(beside)

export const codedSubjects: Subject[] = [
  readyBr,
  hits('memory-br', 'memory store with `compress`', memory, { compress: true }),
  hits('tracked-br', 'tracked local tier with `compress`', tracked, { compress: true }),
  hits('strict-br', 'strict local tier with `compress`', strict, { compress: true }),
  hits('redis-br', 'Redis with `compress`', {}, { compress: true }),
  hits('redis-stored-br', 'Redis with `storeCompressed`', {}, { compress: true, storeCompressed: true }),
  beside(pluginMemory),
  beside(pluginRedis),
  ...peersBeside,
  nginxGzip
]
