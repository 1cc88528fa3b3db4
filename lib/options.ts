import { checkCredentials } from './policy/credentials-policy.js'
import type { Duration } from './policy/duration.js'
import {
  checkFields, isBoolean, isCount, isFunction, isObject, isText, oneOf, settleField, type Fields
} from './policy/fields.js'
import { checkStatuses } from './policy/expire.js'
import type { OfRequest } from './policy/of-request.js'
import { defaultsFields, type ReadDefaults } from './policy/read-policy.js'
import { connectionFields, type ConnectionOptions } from './store/connection.js'
import type { LocalOptions } from './store/local-tier.js'
import type { MemoryOptions } from './store/entry-cache.js'
import type { CacheStore } from './store/contract.js'

/** Options of the plugin. Those of `ReadDefaults` are defaults for every route. */
export interface ApiCacheOptions extends ReadDefaults, ConnectionOptions {
  /** The namespace of @fastify/redis to use. */
  redisNamespace?: string
  /** `'redis'` (the default if there is a Redis client), `'memory'` (the default otherwise) or your own store. */
  store?: 'redis' | 'memory' | CacheStore
  /**
   * The name of this application; default: the name in its package.json. Applications with the same
   * prefix do not use each other's entries.
   */
  application?: string
  /**
   * False: each request runs its handler, and nothing is stored. Writes still invalidate, because other processes may
   * use the cache. Default true.
   */
  enabled?: boolean
  /**
   * Whether a request of a cached route runs its handler, and its response is not stored. Default: none does. If the
   * function throws, or returns anything but true, false or nothing, the request does.
   */
  bypass?: OfRequest<[], boolean>
  /** The name of the response header that says HIT or MISS, or false for none; default `'X-API-Cache'`. */
  responseHeader?: string | false
  /** Longest time in milliseconds that a request waits for the fill of another request; default 5,000. */
  coalesceTimeout?: number
  /**
   * For development: logs the decision about each request on a cached route and adds details to
   * Cache-Status. Also logs once per route what the handler read that is not part of the key.
   * Default false.
   */
  explain?: boolean
  /**
   * `'hooks'`: this application's guards are Fastify hooks. Then read policies may stand on routes of
   * NestJS, too: its own guards, and all else that it runs inside the handler, a HIT skips.
   */
  guards?: 'hooks'
  /** The default of `settle` for all writes: how long database replicas may lag behind them. Default 0: not at all. */
  settle?: Duration | 0
  /** Bounds of the memory store. */
  memory?: MemoryOptions
  /** Also keeps entries in this process, in front of the store; true for the defaults. */
  local?: boolean | LocalOptions
}

const fields: Fields<ApiCacheOptions> = {
  ...defaultsFields,
  ...connectionFields,
  redisNamespace: { accepts: isText, expects: 'the name of a namespace of @fastify/redis' },
  store: {
    accepts: (value) => value === 'redis' || value === 'memory' || isStore(value),
    expects: "'redis', 'memory' or an object with the methods of a store"
  },
  application: { accepts: isText, expects: 'the name of the application' },
  responseHeader: {
    accepts: (value) => value === false || (isText(value) && /^[\w!#$%&'*+.^`|~-]+$/.test(value)),
    expects: 'the name of a header or false'
  },
  coalesceTimeout: { accepts: isCount, expects: 'whole milliseconds above 0' },
  enabled: { accepts: isBoolean, expects: 'true or false' },
  bypass: { accepts: isFunction, expects: 'a function of the request' },
  explain: { accepts: isBoolean, expects: 'true or false' },
  guards: { accepts: (value) => value === 'hooks', expects: "'hooks' or left out" },
  settle: settleField,
  memory: { accepts: isObject, expects: 'an object with maxBytes and maxEntries' },
  local: {
    accepts: (value) => isBoolean(value) || isObject(value),
    expects: 'true or an object with maxBytes, maxEntries and consistency'
  }
}

const memoryFields: Fields<MemoryOptions> = {
  maxBytes: { accepts: isCount, expects: 'a number of bytes above 0' },
  maxEntries: { accepts: isCount, expects: 'a number of entries above 0' }
}

const localFields: Fields<LocalOptions> = { ...memoryFields, consistency: oneOf('strict', 'tracked') }

/**
 * @throws UnknownFieldError, InvalidFieldError
 */
export function checkOptions (options: ApiCacheOptions): void {
  checkFields('fastify-api-cache', options, fields)
  checkStatuses('fastify-api-cache', options)
  checkCredentials('fastify-api-cache', options.credentials)
  if (options.memory !== undefined) checkFields('fastify-api-cache: memory', options.memory, memoryFields)
  if (isObject(options.local)) checkFields('fastify-api-cache: local', options.local, localFields)
}

/** The part of the options that are defaults for every route. */
export function readDefaults (options: ApiCacheOptions): ReadDefaults {
  const names = new Set(Object.keys(defaultsFields))
  return Object.fromEntries(Object.entries(options).filter(([name, value]) => names.has(name) && value !== undefined))
}

const STORE_METHODS: Array<keyof CacheStore> = ['lookup', 'versions', 'ensure', 'bump', 'set', 'keys', 'sweep']

function isStore (value: unknown): value is CacheStore {
  return isObject(value) && STORE_METHODS.every((method) => isFunction((value as Partial<CacheStore>)[method]))
}
