// A server whose clock is wrong: node server-with-clock.js <milliseconds ahead> <settings>
import Fastify, { type FastifyInstance } from 'fastify'
import { Cluster } from 'ioredis'
import apiCache, { type ApiCacheOptions, type ReadPolicy } from '../../index.js'
import { sayHello } from '../support/child-process.js'

export type Tier = 'plain' | 'strict' | 'tracked'

export interface Settings {
  readonly prefix: string
  readonly tiers: readonly Tier[]
  /** A URL or options, or where the nodes of a Cluster are. */
  readonly redis: string | object | ReadonlyArray<{ host: string, port: number }>
}

/** Seconds for which the entries of `short` routes are fresh. */
export const SHORT = 2

const LOCAL = { plain: false, strict: true, tracked: { consistency: 'tracked' } } as const

const POLICIES = {
  fresh: { expire: 60 },
  revalidated: { expire: 60, staleWhileRevalidate: '1 day' },
  failing: { expire: 60, staleIfError: '1 day' },
  short: { expire: SHORT },
  'short-revalidated': { expire: SHORT, staleWhileRevalidate: '1 day' },
  soft: { expire: 60, staleWhileRevalidate: 30 },
  'soft-failing': { expire: 60, staleIfError: SHORT }
} satisfies Record<string, Partial<ReadPolicy>>

export type Policy = keyof typeof POLICIES

const rightNow = Date.now
const setClock = (ahead: number): void => { Date.now = () => rightNow() + ahead }

function routes (app: FastifyInstance, options: ApiCacheOptions, runs: Map<string, number>): void {
  app.register(apiCache, { host: false, timeout: 10_000, ...options })
  app.register(async (app) => {
    for (const [name, policy] of Object.entries(POLICIES)) {
      const cache = { namespace: name, ...policy } as ReadPolicy
      app.get(`/${name}/:key`, { config: { cache } }, async ({ url }) => {
        const run = (runs.get(url) ?? 0) + 1
        runs.set(url, run)
        if (failing) throw new Error('it fails')
        return { by: process.pid, run }
      })
      app.post(`/${name}`, { config: { cache: { invalidate: { namespaces: name, soft: '1 minute' } } } }, async () => '')
    }
    app.get('/settled', async () => { await app.apiCache.settled() })
  })
}

let failing = false

async function main (ahead: number, { prefix, tiers, redis }: Settings): Promise<void> {
  setClock(ahead)
  const app = Fastify()
  const runs = new Map<string, number>()
  for (const tier of tiers) {
    const client = Array.isArray(redis) ? new Cluster(redis) : redis as string
    app.register(async (app) => {
      routes(app, { redis: client, local: LOCAL[tier], prefix: `${prefix}-${tier}` }, runs)
    }, { prefix: `/${tier}` })
  }
  // How often the handler has run for an address.
  app.get('/runs/*', async ({ url }) => String(runs.get(url.slice('/runs'.length)) ?? 0))
  app.put<{ Params: { ahead: string } }>('/clock/:ahead', async ({ params }) => { setClock(Number(params.ahead)) })
  app.put('/failing', async () => { failing = true })
  app.delete('/failing', async () => { failing = false })
  const origin = await app.listen({ host: '127.0.0.1', port: 0 })
  sayHello({ origin })
}

if (require.main === module) void main(Number(process.argv[2]), JSON.parse(process.argv[3]!) as Settings)
