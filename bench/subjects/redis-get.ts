import fastifyRedis from '@fastify/redis'
import Fastify, { type FastifyInstance } from 'fastify'
import { createClient, RESP_TYPES } from 'redis'
import { itemText } from '../payload.js'
import { jsonType, listen, type Counters, type ItemRoute, type Scenario, type Subject } from './subject.js'

/** What a handler needs from a client. */
interface Client {
  get: (key: string) => Promise<Buffer | null>
  set: (key: string, body: Buffer) => Promise<unknown>
}

function addRoute (app: FastifyInstance, client: Client, { bodyBytes }: Scenario, counters: Counters): void {
  app.get<ItemRoute>('/items/:id', async (request, reply) => {
    const key = `items:${request.params.id}`
    let body = await client.get(key)
    if (body === null) {
      counters.handlerRuns++
      body = Buffer.from(itemText(Number(request.params.id), bodyBytes))
      await client.set(key, body)
    }
    reply.header('content-type', jsonType)
    return body
  })
}

export const redisGet: Subject = {
  name: 'redis-get',
  title: '`await redis.getBuffer(key)` in a handler',
  group: 'limit',
  answeredBy: 'cache',
  async start (scenario, counters) {
    const app = Fastify()
    await app.register(fastifyRedis, { url: scenario.redisUrl })
    addRoute(app, {
      get: (key) => app.redis.getBuffer(key),
      set: (key, body) => app.redis.set(key, body, 'EX', 3600)
    }, scenario, counters)
    return listen(app)
  }
}

export const nodeRedisGet: Subject = {
  name: 'node-redis-get',
  title: '`await client.get(key)` of node-redis in a handler, for a Buffer',
  group: 'limit',
  answeredBy: 'cache',
  async start (scenario, counters) {
    const app = Fastify()
    const client = createClient({ url: scenario.redisUrl }).withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
    await client.connect()
    addRoute(app, {
      get: (key) => client.get(key),
      set: (key, body) => client.set(key, body, { EX: 3600 })
    }, scenario, counters)
    return listen(app)
  }
}
