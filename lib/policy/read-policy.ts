import type { FastifyReply, FastifyRequest } from 'fastify'
import { MissingFieldError } from '../errors.js'
import {
  compileCompress, compressFields, type CompiledCompressPolicy, type CompressDefaults
} from './compress-policy.js'
import {
  checkCredentials, compileCredentials, type CompiledCredentials, type Credentials
} from './credentials-policy.js'
import type { OfRequest } from './of-request.js'
import { compileStale, staleFields, type CompiledStalePolicy, type StaleDefaults } from './stale-policy.js'
import { toSeconds, type Duration } from './duration.js'
import { checkStatuses, compileExpire, expireFields, type CompiledExpire, type ExpireDefaults } from './expire.js'
import { matcher } from '../key/pattern.js'
import {
  checkFields, durationOrNone, headerNames, isBoolean, isCount, isFunction, isObject, isText, isTextList,
  oneOf, textList, type Fields
} from './fields.js'

/** Fields of a read policy that can also be set on the plugin, as defaults for every route. */
export interface ReadDefaults extends ExpireDefaults, StaleDefaults, CompressDefaults {
  /**
   * Who shares an entry. `'anonymous'` (default): requests with Authorization or Cookie, even if a
   * hook has removed it, go to the handler, and their responses are not stored. `'shared'`:
   * everyone who may use the route. A function: one entry for each string or number that it returns (a
   * user id, a tenant); 7 and '7' are one. If it returns anything else, such as undefined for a request
   * without a user, or throws, the request bypasses the cache.
   */
  scope?: 'anonymous' | 'shared' | OfRequest<[], string | number | null | undefined>
  /**
   * What makes a request somebody's under `scope: 'anonymous'`; default: Authorization, and all cookies. A
   * route's `headers` and `cookies` each replace those of the plugin.
   */
  credentials?: Credentials
  /** The query parameters that are part of the key; default: all. */
  query?: readonly string[]
  /** Names, or patterns such as `utm_*`, of query parameters that are not part of the key; default: none. */
  ignoreQuery?: readonly string[]
  /** Request headers that are part of the key; default: none. */
  vary?: readonly string[]
  /**
   * Whether scheme and host of the request, as Fastify knows them, are part of the key; default
   * true. `false`: one answer for all hosts.
   */
  host?: boolean
  /**
   * The release that shapes the responses, such as a commit. Entries of another one are not used;
   * a write invalidates those of all. What a response schema and a policy change is noticed without it.
   */
  revision?: string
  /** Largest body in bytes that is stored; default 1 MiB. */
  maxBytes?: number
  /**
   * Names of cookies that hooks set for each caller and that do not make a response private, such as
   * `sessionId`: a response that sets only these may be stored, and each caller gets its own; default: none.
   */
  ignoreSetCookie?: readonly string[]
  /** `'ignore'` ignores Cache-Control and Pragma of requests; default `'obey'`. */
  requestDirectives?: 'obey' | 'ignore'
  /**
   * How long clients may reuse a response without revalidation if the handler sets no Cache-Control.
   * Default 0: `no-cache`, so that they revalidate every time and usually get a 304.
   */
  clientExpire?: Duration | 0
  /**
   * How many handlers run for concurrent misses of one key. `'process'` (default): one in each
   * process. `'fleet'`: one in all processes together.
   */
  coalesce?: 'process' | 'fleet'
}

/** `config.cache` of a GET route; its HEAD sibling follows. */
export interface ReadPolicy extends ReadDefaults {
  /** The group that a write invalidates. */
  namespace: string | OfRequest<[], string>
  /** Replaces method, path and query in the key; `host`, `scope` and `vary` still apply. */
  key?: OfRequest<[], string>
  /**
   * Names for finer invalidation: a list or a function. A function of the request is called before
   * the handler, and a HIT takes one round trip. A function that also declares the payload is called
   * after the handler, with the payload before serialization, and a HIT takes two round trips.
   */
  tags?: readonly string[] | OfRequest<[payload: unknown], string[]>
  /** Whether this response may be stored. */
  when?: OfRequest<[reply: FastifyReply, payload: unknown], boolean>
  /** `'onRequest'` serves a HIT before parsing, validation and later hooks: for public routes. Default `'handler'`. */
  serveFrom?: 'handler' | 'onRequest'
  invalidate?: never
  invalidateTags?: never
}

/** A read policy with all defaults applied. */
export type CompiledReadPolicy =
  Required<Pick<ReadPolicy, 'namespace' | 'scope' | 'host' | 'maxBytes' | 'serveFrom' | 'coalesce'>> &
  Pick<ReadPolicy, 'key' | 'when' | 'revision'> & CompiledExpire & CompiledStalePolicy & CompiledCompressPolicy & {
    /** The tags that are known from the request. */
    readonly tags: readonly string[] | ((request: FastifyRequest) => string[])
    /** The tags that are known from the payload only. */
    readonly payloadTags: ((request: FastifyRequest, payload: unknown) => string[]) | undefined
    readonly clientCacheControl: string
    /** The same for an answer that may be of a lagging replica: clients ask again each time. */
    readonly settlingCacheControl: string
    /** Whether `clientCacheControl` lets clients reuse a response without asking. */
    readonly clientMayReuse: boolean
    /** The request headers that tell callers apart, for Vary. */
    readonly callersVary: readonly string[]
    readonly vary: readonly string[]
    readonly credentials: CompiledCredentials
    /** Whether a cookie that a response sets does not make it private. */
    readonly ignoresCookie: (name: string) => boolean
    readonly keepsParameter: ((name: string) => boolean) | undefined
    readonly obeysRequest: boolean
  }

const DEFAULT_MAX_BYTES = 1024 * 1024

export const defaultsFields: Fields<ReadDefaults> = {
  ...expireFields,
  scope: {
    accepts: (value) => value === 'anonymous' || value === 'shared' || isFunction(value),
    expects: "'anonymous', 'shared' or a function of the request"
  },
  query: textList,
  ignoreQuery: textList,
  credentials: { accepts: isObject, expects: "an object such as { headers: ['x-api-key'], cookies: ['session'] }" },
  vary: headerNames,
  revision: { accepts: isText, expects: 'a non-empty string such as a commit' },
  host: { accepts: isBoolean, expects: 'true, or false for one answer for all hosts' },
  maxBytes: { accepts: isCount, expects: 'a number of bytes above 0' },
  ignoreSetCookie: textList,
  requestDirectives: oneOf('obey', 'ignore'),
  clientExpire: durationOrNone,
  ...staleFields,
  ...compressFields,
  coalesce: oneOf('process', 'fleet')
}

const policyFields: Fields<Omit<ReadPolicy, 'invalidate' | 'invalidateTags'>> = {
  ...defaultsFields,
  namespace: {
    accepts: (value) => isText(value) || isFunction(value),
    expects: 'a non-empty string or a function of the request'
  },
  key: { accepts: isFunction, expects: 'a function of the request' },
  tags: {
    accepts: (value) => isTextList(value) || isFunction(value),
    expects: 'a list of non-empty strings or a function of the request and the payload'
  },
  when: { accepts: isFunction, expects: 'a function of the request, the reply and the payload' },
  serveFrom: oneOf('handler', 'onRequest')
}

export const isReadField = (name: string): boolean => Object.hasOwn(policyFields, name)

/**
 * Checks a read policy and applies the defaults.
 * @param what the route, as errors name it
 * @throws UnknownFieldError, InvalidFieldError, MissingFieldError
 */
export function compileReadPolicy (what: string, policy: ReadPolicy, defaults: ReadDefaults): CompiledReadPolicy {
  checkFields(what, policy, policyFields as Fields<ReadPolicy>)
  checkCredentials(what, policy.credentials)
  if (policy.namespace === undefined) {
    throw new MissingFieldError(what, "a caching policy needs a namespace, such as { namespace: 'user-cache' }")
  }
  const merged = { ...defaults, ...withoutUndefined(policy) }
  // The table of a route takes the place of the plugin's statuses.
  checkStatuses(what, { expire: merged.expire, statuses: policy.statuses })
  if (merged.expire === undefined) {
    throw new MissingFieldError(what,
      "a caching policy needs expire, such as { expire: '15m' }, on the route or on the plugin")
  }
  const {
    namespace, expire, query, ignoreQuery, requestDirectives, key, when, revision, scope = 'anonymous',
    clientExpire = 0, vary = [], host = true, maxBytes = DEFAULT_MAX_BYTES,
    serveFrom = 'handler', coalesce = 'process', tags = [], ignoreSetCookie
  } = merged
  const varyNames = [...new Set(vary.map((name) => name.toLowerCase()))].sort()
  const credentials = compileCredentials(policy.credentials, defaults.credentials)
  return {
    namespace,
    scope,
    credentials,
    ...compileExpire({ ...merged, expire }),
    ...forClients(scope, clientExpire, varyNames, credentials.headers),
    vary: varyNames,
    host,
    revision,
    ignoresCookie: memberOf(ignoreSetCookie),
    maxBytes,
    keepsParameter: parameterFilter(query, ignoreQuery),
    obeysRequest: requestDirectives !== 'ignore',
    serveFrom,
    coalesce,
    ...compileStale(merged),
    ...compileCompress(merged, policy),
    key,
    ...compileTags(tags),
    when
  }
}

/** A function that declares the payload is called after the handler. The function's length shows it. */
function compileTags (tags: NonNullable<ReadPolicy['tags']>): Pick<CompiledReadPolicy, 'tags' | 'payloadTags'> {
  const usesPayload = typeof tags === 'function' && tags.length >= 2
  return usesPayload
    ? { tags: [], payloadTags: tags }
    : { tags: tags as CompiledReadPolicy['tags'], payloadTags: undefined }
}

/** What clients are told. An entry for one user must not be shared by the caches between us and the client either. */
function forClients (
  scope: ReadPolicy['scope'], clientExpire: Duration, vary: readonly string[], credentials: readonly string[]
): Pick<CompiledReadPolicy, 'clientCacheControl' | 'settlingCacheControl' | 'clientMayReuse' | 'callersVary'> {
  const freshness = clientExpire === 0 ? 'no-cache' : `max-age=${toSeconds(clientExpire)!}`
  const own = typeof scope === 'function' ? 'private, ' : ''
  return {
    clientCacheControl: own + freshness,
    settlingCacheControl: `${own}no-cache`,
    clientMayReuse: clientExpire !== 0,
    callersVary: scope === 'shared' ? vary : [...new Set([...vary, ...credentials, 'cookie'])]
  }
}

function parameterFilter (
  query?: readonly string[], ignoreQuery: readonly string[] = []
): ((name: string) => boolean) | undefined {
  const kept = query && new Set(query)
  const ignored = ignoreQuery.map(matcher)
  if (kept === undefined && ignored.length === 0) return undefined
  return (name) => (kept === undefined || kept.has(name)) && !ignored.some((matches) => matches(name))
}

function memberOf (names: readonly string[] = []): (name: string) => boolean {
  const set = new Set(names)
  return (name) => set.has(name)
}

function withoutUndefined<T extends object> (value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T
}
