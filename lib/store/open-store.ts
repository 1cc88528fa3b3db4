import type { FastifyInstance } from 'fastify'
import { Redis, type RedisOptions } from 'ioredis'
import { InvalidFieldError, NoRedisError } from '../errors.js'
import type { Keyspace } from '../key/keyspace.js'
import type { ApiCacheOptions } from '../options.js'
import { show } from '../policy/fields.js'
import { describe, isClient } from './given-redis.js'
import { LocalTier } from './local-tier.js'
import { TrackedVersions } from './redis/tracked-versions.js'
import { MemoryStore } from './memory-store.js'
import { RedisStore, type RedisClient } from './redis/redis-store.js'
import type { CacheStore } from './contract.js'

/**
 * The store that the options ask for, or the nearest one at hand: `fastify.redis`, else memory.
 * @throws NoRedisError when a Redis is asked for that is not there; InvalidFieldError when
 *   `local` asks for what this store cannot give
 */
export async function openStore (fastify: FastifyInstance, options: ApiCacheOptions, keyspace: Keyspace, timeout: number): Promise<CacheStore> {
  const { store, redis, local } = options
  if (store === 'memory') {
    if (local) throw new InvalidFieldError('fastify-api-cache', 'local', "left out with store: 'memory', which is local already", show(local))
    return new MemoryStore(options.memory)
  }
  if (typeof store === 'object') return behindLocalTier(store, undefined, options, keyspace)
  if (redis !== undefined && !isClient(redis)) {
    const client = connect(redis, fastify)
    return behindLocalTier(await open(new RedisStore(client, true), timeout, fastify), client, options, keyspace)
  }
  const client = redis ?? registeredClient(fastify, options.redisNamespace)
  if (client !== undefined) return behindLocalTier(await open(new RedisStore(client, false), timeout, fastify), client, options, keyspace)
  if (store === 'redis') {
    throw new NoRedisError("store: 'redis' needs a Redis: register @fastify/redis before this plugin, or give it the redis option (a client, a URL or ioredis options)")
  }
  fastify.log.warn("api cache: no Redis, so entries are kept in this process's memory and an invalidation reaches no other process")
  return new MemoryStore(options.memory)
}

function behindLocalTier (store: CacheStore, client: RedisClient | undefined, { local }: ApiCacheOptions, keyspace: Keyspace): CacheStore {
  if (!local) return store
  const options = local === true ? {} : local
  if (options.consistency !== 'tracked') return new LocalTier(store, undefined, options)
  if (client === undefined || client.isCluster) {
    throw new InvalidFieldError('fastify-api-cache: local', 'consistency', "'strict' with a Cluster or a store of your own", "'tracked'")
  }
  return new LocalTier(store, new TrackedVersions(store, client as Redis, keyspace.allBookkeeping), options)
}

/** Longest wait, in milliseconds, between two tries of a connection of the plugin's own. */
const MAX_RETRY = 250

/** A command that cannot be sent now is of no use later; nor is a farewell to a server that hangs. */
const IMPATIENT: RedisOptions = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  disconnectTimeout: 200,
  retryStrategy: (times) => Math.min(times * 50, MAX_RETRY)
}

/** Waits for the connection, but an API without its cache is better than none. */
async function open (store: RedisStore, timeout: number, fastify: FastifyInstance): Promise<RedisStore> {
  try {
    await store.opened(timeout)
  } catch (err) {
    fastify.log.warn({ err }, 'api cache: Redis does not answer yet, starting without it')
  }
  return store
}

function connect (redis: string | RedisOptions, fastify: FastifyInstance): Redis {
  const client = typeof redis === 'string' ? new Redis(redis, IMPATIENT) : new Redis({ ...IMPATIENT, ...redis })
  // Without a listener ioredis prints each failed attempt; the first is logged, and the door tells the rest.
  let reported = false
  client.on('error', (err: Error) => {
    if (reported) return
    reported = true
    fastify.log.warn({ err }, 'api cache: the connection to Redis failed')
  })
  client.on('ready', () => { reported = false })
  return client
}

/** @throws NoRedisError when what is registered is nothing to use, which is not to go unnoticed */
function registeredClient (fastify: FastifyInstance, namespace: string | undefined): RedisClient | undefined {
  const decorated: unknown = (fastify as FastifyInstance & { redis?: unknown }).redis
  if (namespace !== undefined) return clientOfNamespace(decorated, namespace)
  if (decorated === undefined || decorated === null || isClient(decorated)) return decorated ?? undefined
  const names = Object.entries(decorated).filter(([, client]) => isClient(client)).map(([name]) => `'${name}'`)
  throw new NoRedisError(names.length > 0
    ? `@fastify/redis has the namespaces ${names.join(', ')} only: name one as redisNamespace, or write store: 'memory'`
    : `fastify.redis is no ioredis client but ${describe(decorated)}: hand one in as redis, or write store: 'memory'`)
}

function clientOfNamespace (decorated: unknown, namespace: string): RedisClient {
  const client = (decorated as Record<string, unknown> | null | undefined)?.[namespace]
  if (isClient(client)) return client
  throw new NoRedisError(client === undefined
    ? `redisNamespace: @fastify/redis has no namespace '${namespace}'; register it before this plugin`
    : `redisNamespace: '${namespace}' of @fastify/redis is no ioredis client but ${describe(client)}`)
}
