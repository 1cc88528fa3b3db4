import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { ApiCache } from './lib/api.js'
import { applicationName } from './lib/application.js'
import * as names from './lib/exports.js'
import { watchEarlyRoutes } from './lib/fastify/early-routes.js'
import { InHandler, kInHandler, noteConstraints, type PolicyInHandler } from './lib/fastify/in-handler.js'
import { takePrefix } from './lib/fastify/registration.js'
import { applyPolicy } from './lib/fastify/routes.js'
import { SharedRoutes } from './lib/fastify/shared-routes.js'
import { kFound, kResponseStage } from './lib/fastify/state.js'
import { DEFAULT_PREFIX, Keyspace } from './lib/key/keyspace.js'
import { Log } from './lib/observe/log.js'
import { checkOptions, readDefaults, type ApiCacheOptions } from './lib/options.js'
import { toSettle } from './lib/policy/duration.js'
import type { NoExtra } from './lib/policy/no-extra.js'
import type { PolicyFor } from './lib/policy/of-request.js'
import type { ReadPolicy } from './lib/policy/read-policy.js'
import type { WritePolicy } from './lib/policy/write-policy.js'
import { Runtime } from './lib/runtime.js'
import { DEFAULT_TIMEOUT } from './lib/store/connection.js'
import { openStore } from './lib/store/open-store.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** How responses of this route are cached, or what a write to it invalidates; false: nothing of both. */
    cache?: false | ((ReadPolicy | WritePolicy) & NoExtra<this>)
  }
  interface FastifyInstance {
    apiCache: ApiCache
  }
  interface FastifyReply {
    /**
     * Caches the response of a GET from this place in its handler on: what ran before it, such as a
     * guard, runs on every HIT. Other methods only call `run`.
     * @param policy as in `config.cache`; best a constant, because it is checked once for each object. Its functions
     *   get the route's own type of request
     * @param run makes the answer, as the handler itself would
     * @returns what the handler returns next, unchanged; a HIT gives the stored response here
     * @throws AlreadyCachedError for a second call, or on a route that has a policy
     */
    cached<T>(policy: PolicyFor<this['request'], PolicyInHandler>, run: () => T): Promise<Awaited<T>>
    /**
     * Caches a value of which other code makes the response, such as the result of a procedure or a
     * resolver: on a HIT that code runs on an equal value. Kept are text, finite numbers, booleans and
     * null, in lists and plain objects; anything else is made again for each request.
     * @param policy as in `config.cache`, with a `key` that tells the value from others
     * @throws MissingFieldError without a key, InvalidFieldError for `earlyRefresh`, `staleWhileRevalidate`,
     *   `staleIfError`, `softTimeout` or `refreshWith`: a stale value is made anew by the next request
     */
    cachedValue<T>(policy: PolicyFor<this['request'], PolicyInHandler>, run: () => T): Promise<Awaited<T>>
  }
}

async function plugin (fastify: FastifyInstance, options: ApiCacheOptions): Promise<void> {
  checkOptions(options)
  const { prefix = DEFAULT_PREFIX, responseHeader = 'X-API-Cache', explain = false } = options
  const { timeout = DEFAULT_TIMEOUT, coalesceTimeout = 5_000 } = options
  const { application = applicationName(process.argv[1], process.cwd()), enabled = true, bypass } = options
  const defaults = readDefaults(options)
  const keyspace = new Keyspace(prefix)
  const log = new Log(fastify.log)
  const giveBack = takePrefix(fastify, prefix)
  const store = await openStore(fastify, options, keyspace, log).catch((error: unknown) => {
    giveBack()
    throw error
  })
  const runtime = new Runtime(store, keyspace, log, {
    timeout,
    coalesceTimeout,
    responseHeader,
    explain,
    application,
    enabled,
    bypass,
    settle: toSettle(options.settle) ?? 0
  })

  const inHandler = new InHandler(runtime, defaults)
  fastify.decorate('apiCache', new ApiCache(runtime, store))
  fastify.decorate(kInHandler, inHandler)
  fastify.decorateReply('cached', async function cached (policy, run) {
    return await inHandler.respond(this.request, this, policy, run) as never
  })
  fastify.decorateReply('cachedValue', async function cachedValue (policy, run) {
    return await inHandler.keyedValue(this.request, this, policy, run) as never
  })
  fastify.decorateReply(kResponseStage)
  fastify.decorateRequest(kFound)
  const sharedRoutes = new SharedRoutes()
  fastify.addHook('onRoute', function apiCacheOnRoute (route) {
    noteConstraints(route)
    applyPolicy({ runtime, defaults, guardsAreHooks: options.guards === 'hooks', sharedRoutes }, route, this)
  })
  fastify.addHook('onReady', async function apiCacheOnReady () {
    log.sharedSerialization(sharedRoutes.takeSerialized())
  })
  watchEarlyRoutes(fastify, log)
  fastify.addHook('onClose', async function apiCacheOnClose () {
    // Another application may use the same HTTP server after this one.
    giveBack()
    await runtime.close()
    await store.close?.()
  })
}

const registered = fp(plugin, { name: 'fastify-api-cache', fastify: '^5.0.0 || ^6.0.0-0' })

const apiCache: typeof registered & typeof names & {
  default: typeof registered
  apiCache: typeof registered
} = Object.assign(registered, names, { default: registered, apiCache: registered })

// eslint-disable-next-line @typescript-eslint/no-redeclare -- the types beside an `export =`
namespace apiCache {
  export type ApiCache = names.ApiCache
  export type ApiCacheOptions = names.ApiCacheOptions
  export type BodyKind = names.BodyKind
  export type CacheStore = names.CacheStore
  export type Credentials = names.Credentials
  export type Decision = names.Decision
  export type Duration = names.Duration
  export type Entry = names.Entry
  export type FillEvent = names.FillEvent
  export type InvalidateOptions = names.InvalidateOptions
  export type Intents = names.Intents
  export type Invalidated = names.Invalidated
  export type Invalidation = names.Invalidation
  export type InvalidationEvent = names.InvalidationEvent
  export type Leases = names.Leases
  export type LocalOptions = names.LocalOptions
  export type Lookup = names.Lookup
  export type MaybePromise<T> = names.MaybePromise<T>
  export type MemoryOptions = names.MemoryOptions
  export type MemoryStore = names.MemoryStore
  export type ReadDefaults = names.ReadDefaults
  export type ReadPolicy = names.ReadPolicy
  export type SoftenedAt = names.SoftenedAt
  export type SoftNamespaces = names.SoftNamespaces
  export type SoftTags = names.SoftTags
  export type SoftWrites = names.SoftWrites
  export type Stats = names.Stats
  export type StoredHeaders = names.StoredHeaders
  export type StoreEvent = names.StoreEvent
  export type SweepEvent = names.SweepEvent
  export type WritePolicy = names.WritePolicy
  export type WritingNames = names.WritingNames
  export type WritingOptions = names.WritingOptions
}

export = apiCache
