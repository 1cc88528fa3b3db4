import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setTimeout as delay } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import apiCache, { type StoreEvent } from '../../../index.js'
import type { Random } from '../../support/random.js'
import type { Arena } from './arena.js'

export const MEMBERS = 3
const NAMES = 8
/** Milliseconds between two writes, and between two reads of one member. */
const WRITE_INTERVAL = 40
const READ_INTERVAL = 3

/** An answer from the cache that was older than a write which had been acknowledged before it was asked for. */
export interface Old {
  readonly at: number
  readonly member: number
}

/** Applications under reads and writes. */
export interface Members {
  readonly old: Old[]
  /** When a member gave its store up, and why. */
  readonly gaveUp: Array<{ readonly at: number, readonly why: string }>
  readonly hits: number
  readonly writes: number
  readonly pending: number
  stop (): Promise<void>
}

export async function startMembers (arena: Arena, random: Random): Promise<Members> {
  const values: number[] = Array.from({ length: NAMES }, () => 0)
  const acknowledged = [...values]
  const old: Old[] = []
  const gaveUp: Array<{ at: number, why: string }> = []
  const listen = (message: unknown): void => {
    const { state, reason } = message as StoreEvent
    if (state === 'unavailable') gaveUp.push({ at: performance.now(), why: reason ?? '' })
  }
  subscribe('fastify-api-cache:store', listen)
  const counts = { hits: 0, writes: 0 }
  const apps = await Promise.all(Array.from({ length: MEMBERS }, async (_, member) => await application(arena, member, values)))
  const stopping = new AbortController()

  async function read (member: number): Promise<void> {
    while (!stopping.signal.aborted) {
      const name = random.below(NAMES)
      const at = performance.now()
      const expected = acknowledged[name]!
      const { headers, payload } = await apps[member]!.inject(`/${name}`)
      if (headers['x-api-cache'] === 'HIT') {
        counts.hits++
        if (Number(payload) < expected) old.push({ at, member })
      }
      await delay(READ_INTERVAL)
    }
  }

  async function write (): Promise<void> {
    while (!stopping.signal.aborted) {
      const name = random.below(NAMES)
      const { payload } = await apps[random.below(MEMBERS)]!.inject({ method: 'PUT', url: `/${name}` })
      acknowledged[name] = Math.max(acknowledged[name]!, Number(payload))
      counts.writes++
      await delay(WRITE_INTERVAL)
    }
  }

  const work = [...apps.map((_app, member) => read(member)), write(), write()]
  return {
    old,
    gaveUp,
    get hits () { return counts.hits },
    get writes () { return counts.writes },
    get pending () { return apps.reduce((sum, app) => sum + app.apiCache.stats().pending, 0) },
    async stop () {
      stopping.abort()
      unsubscribe('fastify-api-cache:store', listen)
      await Promise.all(work)
      await Promise.all(apps.map((app) => app.close()))
    }
  }
}

async function application (arena: Arena, member: number, values: number[]): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(apiCache, { redis: await arena.redis(member), expire: '1 hour' })
  values.forEach((_, name) => {
    app.get(`/${name}`, { config: { cache: { namespace: `n${name}` } } }, async () => String(values[name]))
    app.put(`/${name}`, { config: { cache: { invalidate: `n${name}` } } }, async () => String(++values[name]!))
  })
  await app.ready()
  return app
}
