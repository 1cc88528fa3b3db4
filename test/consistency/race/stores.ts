import { setTimeout as delay } from 'node:timers/promises'
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import { MemoryStore, type CacheStore, type Lookup } from '../../../index.js'
import type { SoftenedAt } from '../../../lib/store/contract.js'
import { LocalTier } from '../../../lib/store/local-tier.js'
import { TrackedVersions } from '../../../lib/store/redis/tracked-versions.js'
import { RedisStore } from '../../../lib/store/redis/redis-store.js'
import type { Random } from '../../support/random.js'

/** The stores, each with the milliseconds after which a write elsewhere has to be known: at once, but for one. */
export const LAG = { redis: 0, cluster: 0, memory: 0, local: 0, tracked: 1_000 } as const
export type StoreName = keyof typeof LAG

/** What can be done wrong: versions are not compared, a failed delivery counts as one, or a hard write ends no soft one. */
export type Broken = 'versions' | 'deliveries' | 'softness'

const STEPS = new Set(['lookup', 'versions', 'softened', 'ensure', 'bump', 'set', 'sweep', 'begin', 'end', 'take', 'release'])
/** What a store has only where it can. */
const PARTS = new Set(['intents', 'leases', 'soft'])

const IMPATIENT: RedisOptions = { enableOfflineQueue: false, maxRetriesPerRequest: 0 }

/** @param patient the client is as ioredis makes it */
export async function openStore (name: StoreName, port: number, patient: boolean): Promise<CacheStore> {
  if (name === 'memory') return new MemoryStore()
  const address = { port, host: '127.0.0.1' }
  if (name === 'cluster') return await opened(new RedisStore(new Cluster([address]).on('error', () => {}), true))
  const client = new Redis({ ...address, retryStrategy: (times) => Math.min(times * 50, 250), ...(patient ? {} : IMPATIENT) })
  client.on('error', () => {})
  const redis = await opened(new RedisStore(client, true))
  if (name === 'redis') return redis
  return new LocalTier(redis, name === 'tracked' ? new TrackedVersions(redis, redis.singleServer!, 'api-cache!') : undefined, {})
}

async function opened (store: RedisStore): Promise<RedisStore> {
  // Redis may be down just then.
  await store.opened(2_000).catch(() => {})
  return store
}

/** The store with a pause of its own before and after every step that the plugin takes. */
export function delayed<Store extends object> (store: Store, random: Random): Store {
  return new Proxy(store, {
    get (target, name) {
      const member: unknown = Reflect.get(target, name, target)
      if (PARTS.has(String(name)) && member !== undefined) return delayed(member as object, random)
      if (typeof member !== 'function') return member
      const method = member as (...args: unknown[]) => unknown
      if (!STEPS.has(String(name))) return method.bind(target)
      return async (...args: unknown[]) => {
        await pause(random)
        const answer = await method.apply(target, args)
        await pause(random)
        return answer
      }
    }
  })
}

/** The store of a plugin that forgot to compare: whatever an entry was filled under counts as current. */
export function trusting (store: CacheStore): CacheStore {
  const lookup = async (key: string, versions: readonly string[]): Promise<Lookup> => {
    const found = await store.lookup(key, versions)
    return { entry: found.entry, versions: versions.map((version, index) => found.entry?.versions[version] ?? found.versions[index]) }
  }
  return new Proxy(store, {
    get (target, name) {
      if (name === 'lookup') return lookup
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) as unknown : member
    }
  })
}

/** The store of a plugin that forgets what it could not deliver. */
export function forgetting (store: CacheStore): CacheStore {
  return new Proxy(store, {
    get (target, name) {
      const member: unknown = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      // Else nothing would be sent, and nothing forgotten.
      if (name === 'ready') return () => true
      if (name !== 'bump') return member.bind(target) as unknown
      return async (versions: readonly string[], fresh: string) => {
        try {
          await target.bump(versions, fresh)
        } catch {
          // As if it were done.
        }
      }
    }
  })
}

/** The store of a plugin to which a record of soft writes counts, whatever the current version is. */
export function outliving (store: CacheStore, port: number): CacheStore {
  const client = new Redis({ port, host: '127.0.0.1' }).on('error', () => {})
  async function softened (names: readonly string[]): Promise<SoftenedAt> {
    const records = await client.mget(names.map((name) => name.includes('{') ? `${name}~soft` : `${name}~soft{${name}}`))
    return (name, earlier) => {
      const items = (records[names.indexOf(name)] ?? '').split(' ').slice(1).map((item) => item.split(','))
      const at = items.find(([version, beginning]) => version === earlier || earlier.startsWith(beginning!))?.[2]
      return at === undefined ? undefined : Number(at)
    }
  }
  const soft = { ...store.soft!, bump: store.soft!.bump.bind(store.soft), softened }
  return new Proxy(store, {
    get (target, name) {
      if (name === 'soft') return soft
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) as unknown : member
    }
  })
}

/** Nothing, mostly; a few milliseconds, often; long enough for several other requests, now and then. */
export async function pause (random: Random): Promise<void> {
  const kind = random.next()
  if (kind < 0.6) return
  if (kind < 0.9) await delay(random.next() * 2)
  else if (kind < 0.995) await delay(random.next() * 10)
  else await delay(random.next() * 80)
}
