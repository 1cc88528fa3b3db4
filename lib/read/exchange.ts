import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Forwarded } from '../http/cache-status.js'
import type { Entry } from '../entry/entry.js'
import type { CacheKey, KeyOf } from '../key/cache-key.js'
import type { Explainer } from '../observe/explain.js'
import type { CompiledReadPolicy } from '../policy/read-policy.js'
import type { Runtime } from '../runtime.js'
import { CURRENT } from '../store/validity.js'
import type { Rejected, Thrown } from './coalesce/fill-failure.js'
import type { Variants } from './variants.js'

/** A cached route: its compiled policy and what its requests share. */
export interface CachedRoute {
  /** The name that distinguishes it from other routes, such as `GET /users/:id`. */
  readonly name: string
  readonly policy: CompiledReadPolicy
  readonly runtime: Runtime
  readonly keyOf: KeyOf
  readonly variants: Variants
  /** Set with `explain: true`. */
  readonly explainer: Explainer | undefined
}

/** One request on a cached route. */
export interface Exchange {
  readonly route: CachedRoute
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  /** Whether code of the application goes on with the answer before it is sent: `reply.cached`. */
  readonly goesOn?: true
}

/** An entry that may be used for the request. */
export interface Hit {
  readonly outcome: 'hit'
  readonly entry: Entry
  readonly key: CacheKey
  /** In seconds. */
  readonly age: number
  /** In seconds. */
  readonly freshness: number
  /** Whether the request waited for the fill of another request. */
  readonly collapsed: boolean
  /** Why it is used although it is stale. */
  readonly detail?: string | undefined
}

/**
 * An entry that is too old, or that soft writes have invalidated. It may still be used in its stale windows.
 * Freshness is 0 or less.
 */
export interface Stale extends Omit<Hit, 'outcome' | 'collapsed'> {
  readonly outcome: 'stale'
  /** The current versions, in the order of the key's names. */
  readonly versions: readonly string[]
  /** When a soft write has first made it old, in milliseconds since 1970; `CURRENT` if none has. */
  readonly oldSince: number
}

/** No entry may be used for the request. */
export interface Miss {
  readonly outcome: 'miss'
  readonly forwarded: Forwarded
  readonly detail: string | undefined
  readonly key: CacheKey
  /** The current versions, in the order of the key's names; undefined for a version that does not exist. */
  readonly versions: ReadonlyArray<string | undefined>
}

/** The request neither uses nor fills the cache. */
export interface Bypass {
  readonly outcome: 'bypass'
  readonly reason: string
}

/** The fill that the request has waited for failed. */
export interface Failed {
  readonly outcome: 'failed'
  readonly cause: Thrown | Rejected
  readonly forwarded: Forwarded
  readonly key: CacheKey
}

export type Found = Hit | Stale | Miss | Bypass

/** A stale entry that is not used. */
export function missFor ({ key, versions, oldSince }: Stale): Miss {
  return { outcome: 'miss', forwarded: 'stale', detail: oldSince === CURRENT ? undefined : INVALIDATED, key, versions }
}

/** Why an entry is not used that a write has made old. */
export const INVALIDATED = 'invalidated'

export const bypassFor = (reason: string): Bypass => ({ outcome: 'bypass', reason })
