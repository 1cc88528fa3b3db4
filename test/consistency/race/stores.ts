import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { MemoryStore, type CacheStore, type Lookup } from '../../../index.js'
import { LocalTier } from '../../../lib/store/local/local-tier.js'
import { TurnVersions } from '../../../lib/store/local/turn-versions.js'
import { RedisStore } from '../../../lib/store/redis-store.js'
import type { Random } from '../../support/random.js'

export const STORES = ['redis', 'memory', 'local'] as const
export type StoreName = typeof STORES[number]

const STEPS = new Set(['lookup', 'current', 'claim', 'move', 'set', 'sweep', 'lease', 'release'])

export async function openStore (name: StoreName, redisPort: number): Promise<CacheStore> {
  if (name === 'memory') return new MemoryStore()
  const redis = new RedisStore(new Redis({ port: redisPort, host: '127.0.0.1', enableOfflineQueue: false, maxRetriesPerRequest: 0 }), true)
  await redis.opened(10_000)
  return name === 'redis' ? redis : new LocalTier(redis, new TurnVersions(redis), {})
}

/** The store with a pause of its own before and after every step that the plugin takes. */
export function delayed (store: CacheStore, random: Random): CacheStore {
  return new Proxy(store, {
    get (target, name) {
      const member: unknown = Reflect.get(target, name, target)
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

/** Nothing, mostly; a few milliseconds, often; long enough for several other requests, now and then. */
export async function pause (random: Random): Promise<void> {
  const kind = random.next()
  if (kind < 0.6) return
  if (kind < 0.9) await delay(random.next() * 2)
  else if (kind < 0.995) await delay(random.next() * 10)
  else await delay(random.next() * 80)
}
