import { createHash } from 'node:crypto'
import type { FastifyRequest, RouteOptions } from 'fastify'
import { canonicalQuery, canonicalValue, type IsText } from './canonical.js'
import { escape } from './escape.js'
import type { Keyspace } from './keyspace.js'
import { routePath } from './route-path.js'
import type { CompiledReadPolicy } from '../policy/read-policy.js'
import { isText, isTextList, showReturned } from '../policy/fields.js'
import { textOf } from '../http/headers.js'
import { cameWithCredentials, hasCredentials } from './credentials.js'

/** Tags that a function may give one answer: each HIT looks at them all. */
const MAX_TAGS = 1_000

/** Which answer a request asks for. */
export interface Identity {
  readonly key: string
  /** The versions that must be current: the namespace's, then those of the tags known from the request. */
  readonly versions: readonly string[]
  /** What the key says behind the namespace, however long. */
  readonly text: string
  /** Of a variant: the identity without what the answers vary on. */
  readonly base?: Identity
}

/** @param unwatched the request itself, where `request` notes what the key is made of */
export type Identify = (request: FastifyRequest, unwatched?: FastifyRequest) => Identity | Bypass

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
export function identifier (policy: CompiledReadPolicy, route: RouteOptions, keyspace: Keyspace): Identify {
  const schema = policy.serveFrom === 'handler'
    ? route.schema as { querystring?: unknown, query?: unknown, params?: unknown } | undefined
    : undefined
  const isTextInQuery = textsOf(schema?.querystring ?? schema?.query)
  const path = routePath(route.url, textsOf(schema?.params))
  const constraints = constraintsOf(route.constraints)
  const hostMatters = route.constraints?.host instanceof RegExp
  const vary = hostMatters ? [...new Set([...policy.vary, 'host'])] : policy.vary
  const fixedNamespace = typeof policy.namespace === 'string' ? inNamespace(keyspace, policy.namespace) : undefined
  const { tags } = policy
  const fixedTags = typeof tags === 'function' ? undefined : [...new Set(tags)].map((tag) => keyspace.tag(tag))
  const fixedVersions = fixedNamespace && fixedTags && [fixedNamespace.version, ...fixedTags]

  return function identify (request, unwatched = request) {
    const { scope } = policy
    if (scope === 'anonymous' && (hasCredentials(request) || cameWithCredentials(unwatched))) return CREDENTIALS
    try {
      let identity = policy.key !== undefined
        ? escape(text('key', policy.key(request)))
        : defaultIdentity(request)
      identity += constraints
      if (typeof scope === 'function') identity += ` scope=${escape(text('scope', scope(request)))}`
      for (const name of vary) identity += variant(request, name)
      const { entries, version } = fixedNamespace ??
        inNamespace(keyspace, text('namespace', (policy.namespace as (request: FastifyRequest) => string)(request)))
      const versions = fixedVersions ??
        [version, ...fixedTags ?? tagList((tags as (request: FastifyRequest) => string[])(unwatched)).map((tag) => keyspace.tag(tag))]
      return { key: keyspace.entry(entries, identity), versions, text: identity }
    } catch (fault) {
      return { bypass: 'policy', fault }
    }
  }

  function defaultIdentity (request: FastifyRequest): string {
    const query = canonicalQuery(request.query, policy.keepsParameter, isTextInQuery)
    return query === '' ? `GET ${path(request.params)}` : `GET ${path(request.params)}?${query}`
  }
}

/** Headers that say who asks: in a key they stand as a hash, since keys are read by more than their owner. */
export const CREDENTIAL_HEADERS: ReadonlySet<string> = new Set(['authorization', 'cookie', 'proxy-authorization'])

/** The part of a key that one request header makes: absent and empty are two things. */
export function variant ({ headers }: FastifyRequest, name: string): string {
  // HTTP/2 has another name for it.
  const value = textOf(name === 'host' ? headers.host ?? headers[':authority'] : headers[name])
  if (value === undefined) return ` ${escape(name)}`
  return ` ${escape(name)}=${CREDENTIAL_HEADERS.has(name) ? hashed(value) : escape(value)}`
}

const hashed = (text: string): string => createHash('sha256').update(text).digest('base64url')

/**
 * The tags that a policy's function named, each once.
 * @throws TypeError when it returned anything but a list of non-empty strings, or too many
 */
export function tagList (tags: unknown): string[] {
  if (!isTextList(tags)) throw refused('tags', 'a list of non-empty strings', tags)
  const different = [...new Set(tags)]
  if (different.length > MAX_TAGS) throw refused('tags', `at most ${MAX_TAGS} different strings`, different)
  return different
}

const CREDENTIALS: Bypass = { bypass: 'credentials' }

function inNamespace (keyspace: Keyspace, namespace: string): { entries: string, version: string } {
  return { entries: keyspace.entries(namespace), version: keyspace.version(namespace) }
}

function text (field: string, value: unknown): string {
  if (!isText(value)) throw refused(field, 'a non-empty string', value)
  return value
}

/** The error for what a function of a policy returned. */
export function refused (field: string, expected: string, value: unknown): TypeError {
  return new TypeError(`${field} must return ${expected}, got ${showReturned(value)}`)
}

/** The parameters that a JSON schema makes texts, or lists of texts; without a schema all are. */
function textsOf (schema: unknown): IsText {
  if (schema === undefined) return () => true
  const properties = (schema as { properties?: Record<string, { type?: unknown, items?: { type?: unknown } } | undefined> }).properties ?? {}
  const texts = new Set(Object.keys(properties).filter((name) => (properties[name]?.items?.type ?? properties[name]?.type) === 'string'))
  return (name) => texts.has(name)
}

function constraintsOf (constraints: RouteOptions['constraints']): string {
  return Object.entries(constraints ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => ` constraint:${escape(name)}=${escape(constraintText(value))}`)
    .join('')
}

/** A custom constraint may be an object, and two of them must not look the same. */
const constraintText = (value: unknown): string =>
  typeof value === 'string' || value instanceof RegExp ? String(value) : canonicalValue(value, true)
