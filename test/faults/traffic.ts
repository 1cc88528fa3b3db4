import { AsyncLocalStorage } from 'node:async_hooks'
import { Agent, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import apiCache, { type ApiCacheOptions } from '../../index.js'
import { RedisStore } from '../../lib/store/redis/redis-store.js'
import { loggingTo, type LogLine } from '../support/log.js'
import { Random } from '../support/random.js'

const ITEMS = 20
const READERS = 6
/** Milliseconds between two requests of one reader, and between two writes. */
const READ_INTERVAL = 8
const WRITE_INTERVAL = 15

/** One answered request. */
export interface Sample {
  /** When it was asked, by `performance.now()`. */
  readonly at: number
  readonly milliseconds: number
  readonly status: number
  readonly cache: string | undefined
  /** A value older than the newest one that had been acknowledged when it was asked. */
  readonly stale: boolean
  /** Of which application. */
  readonly app: number
  /** Of items, of the route that nobody writes to, or of the one without a cache. */
  readonly of: 'items' | 'steady' | 'uncached'
}

export interface Traffic {
  readonly apps: readonly FastifyInstance[]
  readonly log: readonly LogLine[]
  readonly samples: readonly Sample[]
  /** Of the time in which an application has given up on its store: requests that came, and lookups that got through to it. */
  readonly whileShut: { readonly requests: number, readonly asked: number }
  /** Resolves with the first sample from now on that `matches`. */
  first (matches: (sample: Sample) => boolean): Promise<Sample>
  stop (): Promise<void>
}

/**
 * Two applications on one database, each with a connection of its own, and clients that read and
 * write through both of them at the same time.
 */
export async function startTraffic (redis: ReadonlyArray<ApiCacheOptions['redis']>, options: ApiCacheOptions = {}): Promise<Traffic> {
  const database = new Map<number, number>()
  const acknowledged = new Map<number, number>()
  const log: LogLine[] = []
  const samples: Sample[] = []
  const apps: FastifyInstance[] = []
  const origins: URL[] = []
  const whileShut = { requests: 0, asked: 0 }
  const serving = new AsyncLocalStorage<FastifyInstance>()
  const { lookup } = RedisStore.prototype
  RedisStore.prototype.lookup = function (...asked) {
    if (serving.getStore()?.apiCache.stats().available === false) whileShut.asked++
    return lookup.apply(this, asked)
  }
  for (const client of redis) {
    const app = Fastify(loggingTo(log))
    app.log.level = 'warn'
    await app.register(apiCache, { redis: client, host: false, expire: '1 hour', ...options })
    app.addHook('onRequest', (_request, _reply, done) => {
      if (!app.apiCache.stats().available) whileShut.requests++
      serving.run(app, done)
    })
    app.get<{ Params: { id: number } }>('/items/:id', {
      config: { cache: { namespace: (request) => `items-${Number((request.params as { id: number }).id) % 4}` } }
    }, async ({ params }) => ({ value: database.get(Number(params.id)) ?? 0 }))
    app.post<{ Params: { id: number } }>('/items/:id', {
      config: { cache: { invalidate: (request) => `items-${Number((request.params as { id: number }).id) % 4}` } }
    }, async ({ params }) => {
      const value = (database.get(Number(params.id)) ?? 0) + 1
      database.set(Number(params.id), value)
      return { value }
    })
    app.get('/steady', { config: { cache: { namespace: 'steady' } } }, async () => ({ value: 0 }))
    app.get('/uncached', async () => ({ value: 0 }))
    apps.push(app)
    origins.push(new URL(await app.listen({ host: '127.0.0.1', port: 0 })))
  }

  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  const random = new Random(1)
  const waiting = new Set<{ matches: (sample: Sample) => boolean, resolve: (sample: Sample) => void }>()
  const stopped = new AbortController()

  async function ask (method: string, app: number, of: Sample['of']): Promise<void> {
    const id = random.below(ITEMS)
    const path = of === 'items' ? `/items/${id}` : `/${of}`
    const newest = of === 'items' ? acknowledged.get(id) ?? 0 : 0
    const at = performance.now()
    const { status, cache, value } = await send(agent, origins[app]!, method, path)
    const milliseconds = performance.now() - at
    if (method === 'POST' && status === 200) acknowledged.set(id, Math.max(acknowledged.get(id) ?? 0, value))
    const sample = { at, milliseconds, status, cache, stale: status === 200 && value < newest, app, of }
    samples.push(sample)
    for (const waiter of waiting) {
      if (!waiter.matches(sample)) continue
      waiting.delete(waiter)
      waiter.resolve(sample)
    }
  }

  async function repeat (interval: number, act: () => Promise<void>): Promise<void> {
    while (!stopped.signal.aborted) {
      await act()
      await delay(interval)
    }
  }

  const running = [
    ...Array.from({ length: READERS }, async (_, reader) => {
      await repeat(READ_INTERVAL, () => ask('GET', reader % apps.length, random.chance(0.7) ? 'items' : random.of(['steady', 'uncached'])))
    }),
    repeat(WRITE_INTERVAL, () => ask('POST', random.below(apps.length), 'items'))
  ]

  return {
    apps,
    log,
    samples,
    whileShut,
    first: (matches) => new Promise((resolve) => waiting.add({ matches, resolve })),
    async stop () {
      stopped.abort()
      await Promise.all(running)
      agent.destroy()
      RedisStore.prototype.lookup = lookup
      await Promise.all(apps.map((app) => app.close()))
    }
  }
}

function send (agent: Agent, origin: URL, method: string, path: string): Promise<{ status: number, cache: string | undefined, value: number }> {
  return new Promise((resolve, reject) => {
    const sent = request(new URL(path, origin), { agent, method }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => { body += chunk })
      response.on('end', () => {
        const status = response.statusCode!
        const cache = response.headers['x-api-cache'] as string | undefined
        resolve({ status, cache, value: status === 200 ? (JSON.parse(body) as { value: number }).value : NaN })
      })
      response.on('error', reject)
    })
    sent.on('error', reject)
    sent.end()
  })
}
