import type { FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import { listOf, textOf, type Headers } from '../http/headers.js'
import { headerPart, type CacheKey } from '../key/cache-key.js'
import type { Keyspace } from '../key/keyspace.js'

/** Most keys for which the headers are remembered. */
const MAX_KEYS = 10_000
/** Shared by all responses that do not vary. */
export const NO_NAMES: readonly string[] = []

/**
 * The variants of a route's responses, selected by the request headers that Vary nominates
 * (RFC 9111 section 4.1). The entry under the base key only names these headers. Remembering them
 * saves looking it up first.
 */
export class Variants {
  /** The request headers that select a variant, by base key. */
  readonly known = new LRUCache<string, readonly string[]>({ max: MAX_KEYS })
  readonly #keyspace: Keyspace
  /** Request headers that are part of every key of this route. */
  readonly #inKey: readonly string[]

  constructor (keyspace: Keyspace, inKey: readonly string[]) {
    this.#keyspace = keyspace
    this.#inKey = inKey
  }

  /** The request headers that the handler's Vary nominates, without those that only hooks set or that every key has. */
  nominated ({ vary }: Headers, before: Headers): readonly string[] {
    if (textOf(vary) === textOf(before.vary)) return NO_NAMES
    return [...new Set(listOf(vary))].filter((name) => !this.#inKey.includes(name)).sort()
  }

  /** The key of the variant for a request; the base key if no headers are remembered. */
  select (key: CacheKey, request: FastifyRequest): CacheKey {
    const base = key.base ?? key
    const names = this.known.get(base.key)
    return names === undefined ? base : this.#variant(base, names, request)
  }

  /** Remembers what the responses under a key vary on (usually nothing); the key of the variant for the request. */
  learn (key: CacheKey, names: readonly string[], request: FastifyRequest): CacheKey {
    const base = key.base ?? key
    if (names.length > 0) this.known.set(base.key, names)
    else if (this.known.size > 0) this.known.delete(base.key)
    return this.#variant(base, names, request)
  }

  #variant (base: CacheKey, names: readonly string[], request: FastifyRequest): CacheKey {
    if (names.length === 0) return base
    let variants = ' vary:'
    for (const name of names) variants += headerPart(request, name)
    return { ...base, key: this.#keyspace.entry(base.key, variants), text: base.text + variants, base }
  }
}
