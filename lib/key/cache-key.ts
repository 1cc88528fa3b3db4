import { createHash } from 'node:crypto'
import type { FastifyRequest, RouteOptions } from 'fastify'
import { canonicalQuery, canonicalValue, concealed, escape, type IsText } from './canonical.js'
import { credentialHash, isCredentialHeader } from './credential-like.js'
import type { Keyspace } from './keyspace.js'
import { revisionPart } from './revision.js'
import { originPart, routePath } from './target-uri.js'
import type { CompiledReadPolicy } from '../policy/read-policy.js'
import { isText, isTextList, unexpectedReturn } from '../policy/fields.js'
import { textOf } from '../http/headers.js'
import { Callers } from './credentials.js'

/** Most tags that a function may return for a response. Every HIT checks all of them. */
const MAX_TAGS = 1_000

/** The key of a response, and what belongs to it. */
export interface CacheKey {
  readonly key: string
  readonly namespace: string
  /** The keys of the versions that must be current: the namespace's, then those of tags known from the request. */
  readonly versions: readonly string[]
  /** The part of the key after the namespace, never shortened. */
  readonly text: string
  /** For a variant: the key without the headers that select it. */
  readonly base?: CacheKey
  /** For a variant: the request headers that select it. */
  readonly vary?: readonly string[]
}

/** @param unwatched the request itself, if `request` is a proxy that notes which parts are read */
export type KeyOf = (request: FastifyRequest, unwatched?: FastifyRequest) => CacheKey | NoKey

/** Why a request has no key. */
export interface NoKey {
  readonly bypass: string
  /** What a function of the policy threw. */
  readonly fault?: unknown
  /** Once for a route: the credentials of a request, if all have had some so far. */
  readonly only?: readonly string[]
}

/** The name that distinguishes a route from all others. */
export function routeName ({ url, constraints }: Pick<RouteOptions, 'url' | 'constraints'>): string {
  return `GET ${url}${constraintsOf(constraints)}`
}

/** Makes the function that computes the key of a route's requests. All work on options happens here, once. */
export function keyOf (policy: CompiledReadPolicy, route: RouteOptions, keyspace: Keyspace): KeyOf {
  const schema = policy.serveFrom === 'handler'
    ? route.schema as { querystring?: unknown, query?: unknown, params?: unknown } | undefined
    : undefined
  const isTextInQuery = textsOf(schema?.querystring ?? schema?.query)
  const path = routePath(route.url, textsOf(schema?.params))
  const fixedNamespace = typeof policy.namespace === 'string' ? inNamespace(keyspace, policy.namespace) : undefined
  const { tags, vary } = policy
  const callers = new Callers(policy.credentials)
  let constant: string | undefined
  const fixedTags = typeof tags === 'function' ? undefined : [...new Set(tags)].map((tag) => keyspace.tag(tag))
  const fixedVersions = fixedNamespace && fixedTags && [fixedNamespace.version, ...fixedTags]

  return function keyOfRequest (request, unwatched = request) {
    const { scope } = policy
    const refusal = scope === 'anonymous' ? callers.refusal(request, unwatched) : undefined
    if (refusal !== undefined) return refusal
    try {
      let identity = readablePart(request)
      if (policy.host) identity += originPart(request)
      identity += constant ??= constantPart(request)
      if (typeof scope === 'function') identity += ` scope=${concealed(scopeText(scope(request)))}`
      for (const name of vary) identity += headerPart(request, name)
      const { namespace, entries, version } = fixedNamespace ??
        inNamespace(keyspace, text('namespace', (policy.namespace as (request: FastifyRequest) => string)(request)))
      const versions = fixedVersions ?? [version, ...fixedTags ?? tagsFor(unwatched)]
      return { key: keyspace.entry(entries, identity), namespace, versions, text: identity }
    } catch (fault) {
      return { bypass: 'policy', fault }
    }
  }

  function tagsFor (request: FastifyRequest): string[] {
    const listed = tagList((tags as (request: FastifyRequest) => string[])(request))
    return listed.map((tag) => keyspace.tag(tag))
  }

  /** Made once, when the first request comes, because shared schemas may be added until the server is ready. */
  function constantPart (request: FastifyRequest): string {
    return constraintsOf(route.constraints) + revisionPart(policy, route.schema, request)
  }

  function readablePart (request: FastifyRequest): string {
    if (policy.key !== undefined) return concealed(text('key', policy.key(request)))
    const readable = `GET ${path(request.params)}`
    const query = canonicalQuery(request.query, policy.keepsParameter, isTextInQuery)
    return query === '' ? readable : `${readable}?${query}`
  }
}

const sources = new WeakMap<object, string>()

/** The key of a response whose bytes this serializer makes: two with different code share no entry. */
export function serializedKey (key: CacheKey, serializer: (payload: unknown) => unknown, keyspace: Keyspace): CacheKey {
  const source = sources.get(serializer) ?? sourceHash(serializer)
  sources.set(serializer, source)
  const part = ` serializer=${source}`
  return { ...key, key: keyspace.entry(key.key, part), text: key.text + part }
}

const sourceHash = (serializer: object): string =>
  createHash('sha256').update(String(serializer)).digest('base64url').slice(0, 8)

/** A header as a key has it. */
export type HeaderForm = (name: string, value: string | string[]) => string

const asSent: HeaderForm = (_name, value) => textOf(value)!

/** The part of a key for one request header. A missing header differs from an empty one. */
export function headerPart ({ headers }: FastifyRequest, name: string, form = asSent): string {
  // In HTTP/2 it is called :authority.
  const value = name === 'host' ? headers.host ?? headers[':authority'] : headers[name]
  if (value === undefined) return ` ${escape(name)}`
  const text = form(name, value)
  return ` ${escape(name)}=${isCredentialHeader(name, text) ? credentialHash(text) : escape(text)}`
}

/**
 * The tags that a policy's function returned, without duplicates.
 * @throws TypeError if it did not return a list of non-empty strings, or too many
 */
export function tagList (tags: unknown): string[] {
  if (!isTextList(tags)) throw unexpectedReturn('tags', 'a list of non-empty strings', tags)
  const different = [...new Set(tags)]
  if (different.length > MAX_TAGS) throw unexpectedReturn('tags', `at most ${MAX_TAGS} different strings`, different)
  return different
}

function inNamespace (keyspace: Keyspace, namespace: string): { namespace: string, entries: string, version: string } {
  return { namespace, entries: keyspace.entries(namespace), version: keyspace.version(namespace) }
}

/** A number is a scope like its text: a user's id is the same in every form. */
const scopeText = (value: unknown): string =>
  text('scope', typeof value === 'number' && Number.isFinite(value) ? String(value) : value)

function text (field: string, value: unknown): string {
  if (!isText(value)) throw unexpectedReturn(field, 'a non-empty string', value)
  return value
}

interface Properties {
  [name: string]: { type?: unknown, items?: { type?: unknown } } | undefined
}

/** The parameters that are strings, or lists of strings, by the JSON schema; without a schema all are. */
function textsOf (schema: unknown): IsText {
  if (schema === undefined) return () => true
  const { properties = {} } = schema as { properties?: Properties }
  const texts = new Set(Object.keys(properties).filter((name) => {
    const property = properties[name]
    return (property?.items?.type ?? property?.type) === 'string'
  }))
  return (name) => texts.has(name)
}

function constraintsOf (constraints: RouteOptions['constraints']): string {
  return Object.entries(constraints ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => ` constraint:${escape(name)}=${escape(constraintText(value))}`)
    .join('')
}

/** A custom constraint may be an object; two different ones need different texts. */
const constraintText = (value: unknown): string =>
  typeof value === 'string' || value instanceof RegExp ? String(value) : canonicalValue(value, true)
