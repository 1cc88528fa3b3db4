import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import Fastify from 'fastify'
import apiCache from '../../index.js'
import { sayHello } from '../support/child-process.js'
import { Counters } from './race/counters.js'

/** What a test tells this program. */
export interface ServerSettings {
  readonly redis: string
  readonly countersPort: number
  /** Where the tag of the thing comes from. */
  readonly tags?: 'request' | 'payload'
  readonly coalesce?: 'process' | 'fleet'
  readonly coalesceTimeout?: number
  /** Milliseconds that a fill takes. */
  readonly takes?: number
  /** How long a thing is fresh; default an hour. If set, it may be used for an hour when it is stale. */
  readonly expire?: string
}

const TAGS = {
  none: undefined,
  request: () => ['thing'],
  payload: (_request: unknown, payload: unknown) => [(payload as { tag: string }).tag]
}

/** One of several processes that show one counter, `value`; how often they read it is in the counter `runs`. */
async function main (settings: ServerSettings): Promise<void> {
  const { redis, countersPort, tags, coalesce, coalesceTimeout, takes = 0, expire } = settings
  const counters = await Counters.open(countersPort)
  const app = Fastify()
  await app.register(apiCache, {
    redis, host: false, timeout: 5_000, scope: 'shared', expire: expire ?? '1h', coalesce, coalesceTimeout, staleWhileRevalidate: expire && '1h'
  })

  app.get('/things', { config: { cache: { namespace: 'things', ignoreQuery: ['slow'], tags: TAGS[tags ?? 'none'] } } }, async (request) => {
    await counters.increment('runs')
    const value = await counters.get('value')
    if ((request.query as { slow?: string }).slow !== undefined) {
      process.send!('read')
      await once(process, 'message')
    }
    if (takes > 0) await delay(takes)
    return { value, tag: 'thing' }
  })
  app.get('/private', { config: { cache: { namespace: 'things' } } }, async (_request, reply) => {
    const run = await counters.increment('runs')
    if (takes > 0) await delay(takes)
    return reply.header('cache-control', 'private').send({ run })
  })
  app.post('/things', { config: { cache: tags === undefined ? { invalidate: 'things' } : { invalidateTags: 'thing' } } }, async () => {
    return { value: await counters.increment('value') }
  })
  app.post('/soft', { config: { cache: { invalidate: { namespaces: 'things', soft: '1h' } } } }, async () => {
    return { value: await counters.increment('value') }
  })
  app.get('/ready', async () => { await app.apiCache.settled() })

  await app.listen({ host: '127.0.0.1', port: 0 })
  sayHello({ origin: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}` })
}

void main(JSON.parse(process.argv[2]!) as ServerSettings)
