import { ONE_YEAR_IN_SECONDS } from '../policy/duration.js'
import type { CacheControl } from './cache-control.js'
import { httpDate } from './date.js'
import { textOf, type Headers } from './headers.js'

/** The age of a response in seconds when it is received: from its Age or its Date (RFC 9111 section 4.2.3). */
export function initialAge (headers: Headers, now: number): number {
  // The first of several values counts. A value that is not whole seconds is ignored (section 5.1).
  const said = headers.age === undefined ? 0 : /^\s*(\d+)\s*(?:,|$)/.exec(textOf(headers.age)!)?.[1]
  const apparent = Math.floor((now - generatedAt(headers, now)) / 1000)
  return Math.min(Math.max(0, apparent, Number(said ?? 0)), ONE_YEAR_IN_SECONDS)
}

/**
 * The freshness lifetime of a response in seconds: s-maxage, else max-age, else Expires
 * (RFC 9111 section 4.2.1), else the policy's `expire`.
 */
export function lifetimeOf (headers: Headers, { sMaxAge, maxAge }: CacheControl, expire: number, now: number): number {
  const said = sMaxAge ?? maxAge ?? (headers.expires === undefined ? undefined : expiresIn(headers, now))
  return said === undefined ? expire : Math.min(said, ONE_YEAR_IN_SECONDS)
}

/** An invalid Expires, especially "0", means that the response has expired (RFC 9111 section 5.3). */
function expiresIn (headers: Headers, now: number): number {
  const at = httpDate(textOf(headers.expires)!)
  return at === undefined ? 0 : Math.floor((at - generatedAt(headers, now)) / 1000)
}

function generatedAt (headers: Headers, now: number): number {
  return headers.date === undefined ? now : httpDate(textOf(headers.date)!) ?? now
}

/** For how many seconds a stale response may be used. */
export interface StaleWindows {
  /** While it is being refreshed. */
  readonly whileRevalidate: number
  /** If its refresh fails. */
  readonly ifError: number
}

const NEVER: StaleWindows = { whileRevalidate: 0, ifError: 0 }

/**
 * For how long a response may be used after it has become stale: what it says itself (RFC 5861), else the policy.
 * `must-revalidate`, `proxy-revalidate` and `s-maxage` forbid it (RFC 9111 section 4.2.4).
 */
export function staleWindows (directives: CacheControl, policy: StaleWindows): StaleWindows {
  if (directives.mustRevalidate || directives.sMaxAge !== undefined) return NEVER
  const { staleWhileRevalidate, staleIfError } = directives
  if (staleWhileRevalidate === undefined && staleIfError === undefined) return policy
  return {
    whileRevalidate: Math.min(staleWhileRevalidate ?? policy.whileRevalidate, ONE_YEAR_IN_SECONDS),
    ifError: Math.min(staleIfError ?? policy.ifError, ONE_YEAR_IN_SECONDS)
  }
}
