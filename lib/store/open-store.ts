import type { FastifyInstance } from 'fastify'
import { InvalidFieldError, NoRedisError } from '../errors.js'
import type { Keyspace } from '../key/keyspace.js'
import type { Log } from '../observe/log.js'
import type { ApiCacheOptions } from '../options.js'
import { describe } from '../policy/fields.js'
import { DEFAULT_TIMEOUT } from './connection.js'
import type { CacheStore } from './contract.js'
import { describeClient, isClient } from './given-redis.js'
import { LocalTier } from './local-tier.js'
import { MemoryStore } from './memory-store.js'
import { connectedStore, type GivenRedis } from './redis/connect.js'
import { RedisStore } from './redis/redis-store.js'
import { TrackedVersions } from './redis/tracked-versions.js'
import { withoutArguments } from './without-arguments.js'

/**
 * Opens the store that the options name; by default `fastify.redis`, else memory.
 * @throws NoRedisError if the Redis client does not exist, or when the server is ready if it was
 *   registered later; InvalidFieldError if the store does not support `local`
 */
export async function openStore (
  fastify: FastifyInstance, options: ApiCacheOptions, keyspace: Keyspace, log: Log
): Promise<CacheStore> {
  const { store, redis, local, timeout = DEFAULT_TIMEOUT, sweepShare } = options
  if (store === 'memory') {
    if (local) {
      throw new InvalidFieldError('fastify-api-cache', 'local',
        "left out with store: 'memory', which is local already", describe(local))
    }
    return new MemoryStore(options.memory)
  }
  if (typeof store === 'object') return behindLocalTier(store, options, keyspace)
  const given = redis ?? registeredClient(fastify, options.redisNamespace)
  if (given !== undefined) {
    const connected = await open(connectedStore(given, keyspace.prefix, log, { sweepShare }), timeout, log)
    try {
      return behindLocalTier(connected, options, keyspace)
    } catch (error) {
      connected.close()
      throw error
    }
  }
  if (store === 'redis') {
    throw new NoRedisError("store: 'redis' needs a Redis: register @fastify/redis before this plugin, or give it the " +
      'redis option (a client, a URL or ioredis options)')
  }
  log.noRedis()
  refuseLateRedis(fastify)
  return new MemoryStore(options.memory)
}

function behindLocalTier (store: CacheStore, { local }: ApiCacheOptions, keyspace: Keyspace): CacheStore {
  if (!local) return store
  const options = local === true ? {} : local
  if (options.consistency !== 'tracked') return new LocalTier(store, undefined, options)
  const { singleServer: server, rights } = store instanceof RedisStore ? store : {}
  if (server === undefined) {
    throw new InvalidFieldError('fastify-api-cache: local', 'consistency',
      "'strict' with a Cluster, a node-redis client or a store of your own", "'tracked'")
  }
  return new LocalTier(store, new TrackedVersions(store, server, keyspace.allBookkeeping, rights), options)
}

/** Waits for the connection. If that fails, the application starts without its cache. */
async function open (store: RedisStore, timeout: number, log: Log): Promise<RedisStore> {
  try {
    await store.opened(timeout)
  } catch (err) {
    log.redisIsSilent(withoutArguments(err))
  }
  return store
}

/** @throws NoRedisError if `fastify.redis` is not usable: falling back to memory would go unnoticed */
function registeredClient (fastify: FastifyInstance, namespace: string | undefined): GivenRedis | undefined {
  const decorated: unknown = (fastify as FastifyInstance & { redis?: unknown }).redis
  if (namespace !== undefined) return clientOfNamespace(decorated, namespace)
  if (decorated === undefined || decorated === null || isClient(decorated)) return decorated ?? undefined
  const names = Object.entries(decorated).filter(([, client]) => isClient(client)).map(([name]) => `'${name}'`)
  throw new NoRedisError(names.length > 0
    ? `@fastify/redis has only the namespaces ${names.join(', ')}: set redisNamespace to one, or write store: 'memory'`
    : `fastify.redis is not a client of ioredis or node-redis but ${describeClient(decorated)}: ` +
      "pass one as redis, or write store: 'memory'")
}

/** A Redis registered after the plugin was meant for it: memory in its place would go unnoticed. */
function refuseLateRedis (fastify: FastifyInstance): void {
  fastify.addHook('onReady', async function apiCacheRedis () {
    const { redis } = this as FastifyInstance & { redis?: unknown }
    if (redis === undefined || redis === null) return
    throw new NoRedisError('fastify.redis was registered after this plugin, which has opened a memory store: ' +
      'register @fastify/redis before it (with autoload, name it in the `dependencies` of fastify-plugin), ' +
      "or write store: 'memory'")
  })
}

function clientOfNamespace (decorated: unknown, namespace: string): GivenRedis {
  const client = (decorated as Record<string, unknown> | null | undefined)?.[namespace]
  if (isClient(client)) return client
  throw new NoRedisError(client === undefined
    ? `redisNamespace: @fastify/redis has no namespace '${namespace}'; register it before this plugin`
    : `redisNamespace: '${namespace}' of @fastify/redis is not a client of ioredis or node-redis ` +
      `but ${describeClient(client)}`)
}
