import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import Fastify from 'fastify'
import { Redis } from 'ioredis'
import apiCache from '../../../index.js'
import { startRedis } from '../../support/redis-server.js'
import type { Load } from './load.js'

const ITEMS = 500
const NAMESPACES = 10
const CONNECTIONS = 20
/** Milliseconds that Redis is away each time. */
const AWAY = 1_000

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

export interface SoakReport {
  readonly requests: number
  readonly seconds: number
  readonly refused: number
  readonly hits: number
  readonly misses: number
  readonly bypasses: number
  /** Bytes of heap in use after garbage collection: once all had been asked for and Redis been away, and at the end. */
  readonly heapBefore: number
  readonly heapAfter: number
  /** In percent. */
  readonly growth: number
  readonly listenersBefore: number
  readonly listenersAfter: number
  readonly resourcesBefore: number
  readonly resourcesAfter: number
}

/** Traffic without a pause while Redis goes and comes back, and what it leaves behind in the process. */
export async function soak (requests: number, outages: number): Promise<SoakReport> {
  const redis = await startRedis()
  const client = new Redis(redis.port, '127.0.0.1')
  client.on('error', () => {})
  const app = Fastify()
  await app.register(apiCache, { redis: client, expire: '1 hour' })
  const namespace = (request: { params: unknown }): string => `items-${Number((request.params as { id: string }).id) % NAMESPACES}`
  app.get<{ Params: { id: string } }>('/items/:id', { config: { cache: { namespace, tags: (_request, payload) => [String((payload as { tag: string }).tag)] } } },
    async ({ params }) => ({ id: params.id, tag: `tag-${Number(params.id) % 50}`, text: 'x'.repeat(500) }))
  app.post('/items/:id', { config: { cache: { invalidate: namespace } } }, async () => ({ written: true }))
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const child = fork(join(__dirname, 'load.js'), { execArgv: [], env: { ...process.env, NODE_OPTIONS: '' } })
  const statuses: Record<string, number> = {}

  async function ask (count: number): Promise<void> {
    child.send({ port, requests: count, connections: CONNECTIONS, items: ITEMS } satisfies Load)
    const [answered] = await once(child, 'message') as [Record<string, number>]
    for (const [status, times] of Object.entries(answered)) statuses[status] = (statuses[status] ?? 0) + times
  }

  /** Kills it, hangs it, or cuts the connections, in turn. */
  async function outage (number: number): Promise<void> {
    if (number % 3 === 0) {
      await redis.kill()
      await delay(AWAY)
      await redis.restart()
    } else if (number % 3 === 1) {
      redis.pause()
      await delay(AWAY)
      redis.resume()
    } else {
      client.disconnect(true)
      await delay(AWAY)
    }
  }

  /** One outage under traffic, and traffic after it. */
  async function round (number: number, count: number): Promise<void> {
    await Promise.all([ask(count / 2), outage(number)])
    while (!app.apiCache.stats().available) await delay(20)
    await ask(count / 2)
  }

  async function settle (): Promise<{ heap: number, listeners: number, resources: number }> {
    await app.apiCache.settled()
    let heap = Infinity
    for (let round = 0; round < 5; round++) {
      await delay(200)
      collect()
      heap = Math.min(heap, process.memoryUsage().heapUsed)
    }
    const listeners = [process, client].flatMap((emitter) => emitter.eventNames().map((name) => emitter.listenerCount(name))).reduce((a, b) => a + b, 0)
    return { heap, listeners, resources: process.getActiveResourcesInfo().length }
  }

  try {
    const began = performance.now()
    // Every kind of outage twice, so that all code has been compiled and all lists filled.
    for (let number = 0; number < 6; number++) await round(number, 20_000)
    const before = await settle()
    for (let number = 0; number < outages; number++) await round(number, requests / outages)
    const after = await settle()
    const { hits, misses, bypasses } = app.apiCache.stats()
    return {
      requests: Object.values(statuses).reduce((sum, times) => sum + times, 0),
      seconds: (performance.now() - began) / 1_000,
      refused: Object.entries(statuses).reduce((sum, [status, times]) => sum + (status === '200' ? 0 : times), 0),
      hits,
      misses,
      bypasses,
      heapBefore: before.heap,
      heapAfter: after.heap,
      growth: (after.heap / before.heap - 1) * 100,
      listenersBefore: before.listeners,
      listenersAfter: after.listeners,
      resourcesBefore: before.resources,
      resourcesAfter: after.resources
    }
  } finally {
    child.kill()
    await app.close()
    client.disconnect()
    await redis.stop()
  }
}
