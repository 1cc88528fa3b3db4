import { crc32 } from 'node:zlib'
import type { FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import { now } from '../entry/clock.js'
import { listOf, type HeaderValue } from '../http/headers.js'
import { normalForm } from '../http/normal-form.js'
import { headerPart, type CacheKey } from '../key/cache-key.js'
import type { Keyspace } from '../key/keyspace.js'

/** Most keys for which the headers are remembered. */
const MAX_KEYS = 10_000
/** Most request headers that a stored response may vary on. */
const MAX_NAMES = 16
/** Most variants of one key that this process stores at a time. */
const MAX_VARIANTS = 100
/** Shared by all responses that do not vary. */
const NO_NAMES: readonly string[] = []
/**
 * What hooks name in Vary because of headers or a coding that they add on each HIT anew. The stored
 * body does not depend on them, unless the handler names them itself.
 */
const OF_HOOKS = new Set(['origin', 'accept-encoding'])

/** What is known about the variants of one key. */
interface Known {
  /** The request headers that select a variant. */
  readonly names: readonly string[]
  /** When the stored variants must not be used any more, by a checksum of their keys. */
  readonly stored: Map<number, number>
  /** The versions under which they were stored. */
  versions: string
}

/**
 * The variants of a route's responses, selected by the request headers that Vary nominates
 * (RFC 9111 section 4.1). The entry under the base key only names these headers. Remembering them
 * saves looking it up first.
 */
export class Variants {
  /** By base key. */
  readonly #known = new LRUCache<string, Known>({ max: MAX_KEYS })
  readonly #keyspace: Keyspace
  /** Request headers that are part of every key of this route. */
  readonly #inKey: readonly string[]

  constructor (keyspace: Keyspace, inKey: readonly string[]) {
    this.#keyspace = keyspace
    this.#inKey = inKey
  }

  /**
   * The request headers that select a variant of a response, from its Vary.
   * @param byHandler those that the handler itself nominated
   */
  nominated (vary: HeaderValue, byHandler: readonly string[] = NO_NAMES): readonly string[] {
    if (vary === undefined) return NO_NAMES
    const names = listOf(vary).filter((name) =>
      name !== '*' && !this.#inKey.includes(name) && (!OF_HOOKS.has(name) || byHandler.includes(name)))
    return names.length === 0 ? NO_NAMES : [...new Set(names)].sort()
  }

  /** Why a response that varies on these may not be stored. */
  refusalFor (names: readonly string[]): string | undefined {
    return names.length > MAX_NAMES ? 'vary' : undefined
  }

  /**
   * The key of the variant for a request, by what is remembered and what hooks have put into Vary already.
   * @param vary the Vary that the reply has now
   */
  select (key: CacheKey, request: FastifyRequest, vary: HeaderValue): CacheKey {
    const base = key.base ?? key
    const known = this.#known.size === 0 ? undefined : this.#known.get(base.key)
    const early = this.nominated(vary)
    return this.#variant(base, union(known?.names ?? NO_NAMES, early), request)
  }

  /** Remembers what the responses under a key vary on (usually nothing); the key of the variant for the request. */
  learn (key: CacheKey, names: readonly string[], request: FastifyRequest): CacheKey {
    const base = key.base ?? key
    const all = union(key.vary ?? NO_NAMES, names)
    if (all.length > 0) {
      const { stored = new Map<number, number>(), versions = '' } = this.#known.get(base.key) ?? {}
      this.#known.set(base.key, { names: all, stored, versions })
    }
    return this.#variant(base, all, request)
  }

  /**
   * Notes that a variant is stored.
   * @param deleteAt when it must not be used any more, in milliseconds since 1970
   */
  stored ({ key, base }: CacheKey, versions: readonly string[], deleteAt: number): void {
    const known = base && this.#known.get(base.key)
    if (known === undefined) return
    const current = versions.join(' ')
    if (known.versions !== current) known.stored.clear()
    known.versions = current
    known.stored.set(crc32(key), deleteAt)
  }

  /** Whether a key has so many variants that this one is not stored, too. A client could invent any number. */
  areTooMany ({ key, base }: CacheKey, versions: ReadonlyArray<string | undefined>): boolean {
    const known = base && this.#known.get(base.key)
    if (known === undefined || known.stored.size < MAX_VARIANTS || known.stored.has(crc32(key))) return false
    if (known.versions !== versions.join(' ')) return false
    const time = now()
    for (const [variant, deleteAt] of known.stored) if (deleteAt <= time) known.stored.delete(variant)
    return known.stored.size >= MAX_VARIANTS
  }

  #variant (base: CacheKey, names: readonly string[], request: FastifyRequest): CacheKey {
    if (names.length === 0) return base
    let variants = ' vary:'
    for (const name of names) variants += headerPart(request, name, normalForm)
    return { ...base, key: this.#keyspace.entry(base.key, variants), text: base.text + variants, base, vary: names }
  }
}

function union (a: readonly string[], b: readonly string[]): readonly string[] {
  if (a.length === 0 || b.length === 0) return a.length === 0 ? b : a
  return [...new Set([...a, ...b])].sort()
}
