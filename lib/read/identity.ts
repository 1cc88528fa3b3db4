import type { FastifyRequest, RouteOptions } from 'fastify'
import { canonicalQuery } from '../key/canonical.js'
import { escape } from '../key/escape.js'
import type { Keyspace } from '../key/keyspace.js'
import { routePath } from '../key/route-path.js'
import type { CompiledReadPolicy } from '../policy/read-policy.js'
import { isText, isTextList, show } from '../policy/fields.js'
import { textOf } from '../http/headers.js'

/** Which answer a request asks for. */
export interface Identity {
  readonly key: string
  /** The versions that must be current: the namespace's, then those of the tags known from the request. */
  readonly versions: readonly string[]
  /** Of a variant: the identity without what the answers vary on. */
  readonly base?: Identity
}

/** Why a request has nothing to do with the cache; `fault` when a function of the policy is to blame. */
export interface Bypass {
  readonly bypass: string
  readonly fault?: unknown
}

/** What tells two routes apart. */
export function routeName ({ url, constraints }: Pick<RouteOptions, 'url' | 'constraints'>): string {
  return `GET ${url}${constraintsOf(constraints)}`
}

/**
 * A function that tells which answer a request asks for: made once for a route, so that a
 * request does no work on options.
 */
export function identifier (policy: CompiledReadPolicy, route: RouteOptions, keyspace: Keyspace): (request: FastifyRequest) => Identity | Bypass {
  const validated = policy.serveFrom === 'handler'
  const schema = route.schema as { querystring?: unknown, query?: unknown, params?: unknown } | undefined
  const typedQuery = validated && (schema?.querystring ?? schema?.query) !== undefined
  const path = routePath(route.url, validated && schema?.params !== undefined)
  const constraints = constraintsOf(route.constraints)
  const hostMatters = route.constraints?.host instanceof RegExp
  const vary = hostMatters ? [...new Set([...policy.vary, 'host'])] : policy.vary
  const fixedNamespace = typeof policy.namespace === 'string' ? inNamespace(keyspace, policy.namespace) : undefined
  const fixedTags = Array.isArray(policy.tags) ? (policy.tags as string[]).map((tag) => keyspace.tag(tag)) : []
  const fixedVersions = fixedNamespace && [fixedNamespace.version, ...fixedTags]

  return function identify (request) {
    const { scope } = policy
    if (scope === 'anonymous' && (request.headers.authorization !== undefined || request.headers.cookie !== undefined)) {
      return CREDENTIALS
    }
    try {
      let identity = policy.key !== undefined
        ? escape(text('key', policy.key(request)))
        : defaultIdentity(request)
      identity += constraints
      if (typeof scope === 'function') identity += ` scope=${escape(text('scope', scope(request)))}`
      for (const name of vary) identity += variant(request, name)
      if (fixedNamespace !== undefined) {
        return { key: keyspace.entry(fixedNamespace.entries, identity), versions: fixedVersions! }
      }
      const { entries, version } = inNamespace(keyspace, text('namespace', (policy.namespace as (request: FastifyRequest) => string)(request)))
      return { key: keyspace.entry(entries, identity), versions: [version, ...fixedTags] }
    } catch (fault) {
      return { bypass: 'policy', fault }
    }
  }

  function defaultIdentity (request: FastifyRequest): string {
    const query = canonicalQuery(request.query, policy.keepsParameter, typedQuery)
    return query === '' ? `GET ${path(request.params)}` : `GET ${path(request.params)}?${query}`
  }
}

/** The part of a key that one request header makes: absent and empty are two things. */
export function variant (request: FastifyRequest, name: string): string {
  const value = textOf(request.headers[name])
  return value === undefined ? ` ${escape(name)}` : ` ${escape(name)}=${escape(value)}`
}

/**
 * The tags of an answer that are known once its payload is.
 * @throws TypeError when the function returns anything but a list of non-empty strings
 */
export function tagsOf (policy: CompiledReadPolicy, request: FastifyRequest, payload: unknown): string[] {
  if (typeof policy.tags !== 'function') return []
  const tags: unknown = policy.tags(request, payload)
  if (!isTextList(tags)) throw new TypeError(`tags must return a list of non-empty strings, got ${show(tags)}`)
  return [...new Set(tags)]
}

const CREDENTIALS: Bypass = { bypass: 'credentials' }

function inNamespace (keyspace: Keyspace, namespace: string): { entries: string, version: string } {
  return { entries: keyspace.entries(namespace), version: keyspace.version(namespace) }
}

function text (field: string, value: unknown): string {
  if (!isText(value)) throw new TypeError(`${field} must return a non-empty string, got ${show(value)}`)
  return value
}

function constraintsOf (constraints: RouteOptions['constraints']): string {
  return Object.entries(constraints ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => ` constraint:${escape(name)}=${escape(String(value))}`)
    .join('')
}
