import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { ApiCache } from './lib/api.js'
import type * as Types from './lib/types.js'
import { Core } from './lib/runtime.js'
import * as durations from './lib/policy/durations.js'
import { redisFromEnvironment } from './lib/environment.js'
import { Keyspace } from './lib/key/keyspace.js'
import { checkOptions, readDefaults, type ApiCacheOptions } from './lib/options.js'
import type { NoExtra } from './lib/policy/no-extra.js'
import type { ReadPolicy } from './lib/policy/read-policy.js'
import type { WritePolicy } from './lib/policy/write-policy.js'
import { kLook } from './lib/read/cached-handler.js'
import { kExchange } from './lib/read/response-stage.js'
import { takePrefix } from './lib/fastify/registration.js'
import { equipRoute, watchEarlierRoutes } from './lib/fastify/routes.js'
import { decodeEntry, encodeEntry } from './lib/entry/codec.js'
import { MemoryStore } from './lib/store/memory-store.js'
import { openStore } from './lib/store/open-store.js'
import { CLOSED } from './lib/store/contract.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** How answers of this route are cached, or what a write on it makes old. */
    cache?: (ReadPolicy | WritePolicy) & NoExtra<this>
  }
  interface FastifyInstance {
    apiCache: ApiCache
  }
}

async function plugin (fastify: FastifyInstance, options: ApiCacheOptions): Promise<void> {
  checkOptions(options)
  const { prefix = 'api-cache', responseHeader = 'X-API-Cache', timeout = 500, lease = 5_000, explain = false, guards } = options
  const defaults = readDefaults(options)
  const keyspace = new Keyspace(prefix)
  const giveBack = takePrefix(fastify, prefix)
  const store = await openStore(fastify, options, keyspace, timeout).catch((error: unknown) => {
    giveBack()
    throw error
  })
  const core = new Core(store, keyspace, { timeout, lease, responseHeader, explain, guardsAreHooks: guards === 'hooks' }, fastify.log)

  fastify.decorate('apiCache', new ApiCache(core, store.name))
  fastify.decorateReply(kExchange)
  fastify.decorateRequest(kLook)
  fastify.addHook('onRoute', function apiCacheOnRoute (route) { equipRoute(core, defaults, route) })
  watchEarlierRoutes(fastify)
  fastify.addHook('onClose', async function apiCacheOnClose () {
    // One HTTP server may serve several applications, one after the other.
    giveBack()
    await core.close()
    await store.close?.()
  })
}

const registered = fp(plugin, { name: 'fastify-api-cache', fastify: '5.x' })

const apiCache: typeof registered & typeof durations & {
  default: typeof registered
  apiCache: typeof registered
  redisFromEnvironment: typeof redisFromEnvironment
  MemoryStore: typeof MemoryStore
  encodeEntry: typeof encodeEntry
  decodeEntry: typeof decodeEntry
  CLOSED: typeof CLOSED
} = Object.assign(registered, durations, {
  default: registered,
  apiCache: registered,
  redisFromEnvironment,
  MemoryStore,
  encodeEntry,
  decodeEntry,
  CLOSED
})

// eslint-disable-next-line @typescript-eslint/no-redeclare -- the types beside an `export =`
namespace apiCache {
  export type ApiCache = Types.ApiCache
  export type ApiCacheOptions = Types.ApiCacheOptions
  export type BodyKind = Types.BodyKind
  export type CacheStore = Types.CacheStore
  export type Duration = Types.Duration
  export type Entry = Types.Entry
  export type Invalidation = Types.Invalidation
  export type LocalOptions = Types.LocalOptions
  export type Lookup = Types.Lookup
  export type MaybePromise<T> = Types.MaybePromise<T>
  export type MemoryOptions = Types.MemoryOptions
  export type MemoryStore = Types.MemoryStore
  export type ReadDefaults = Types.ReadDefaults
  export type ReadPolicy = Types.ReadPolicy
  export type Stats = Types.Stats
  export type StoredHeaders = Types.StoredHeaders
  export type WritePolicy = Types.WritePolicy
}

export = apiCache
