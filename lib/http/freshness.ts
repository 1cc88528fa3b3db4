import { ONE_YEAR_IN_SECONDS } from '../policy/durations.js'
import { cacheControl } from './cache-control.js'
import { httpDate } from './date.js'
import { textOf, type Headers } from './headers.js'

/** Seconds of age that a response already has: what its Age says, or its Date (RFC 9111 section 4.2.3). */
export function initialAge (headers: Headers, now: number): number {
  // Of several values the first counts, and one that is not whole seconds does not (section 5.1).
  const said = headers.age === undefined ? 0 : /^\s*(\d+)\s*(?:,|$)/.exec(textOf(headers.age)!)?.[1]
  const apparent = Math.floor((now - generatedAt(headers, now)) / 1000)
  return Math.min(Math.max(0, apparent, Number(said ?? 0)), ONE_YEAR_IN_SECONDS)
}

/**
 * Seconds that a response is fresh for from its generation on: s-maxage before max-age before
 * Expires (RFC 9111 section 4.2.1), and `expire` where the handler said nothing.
 */
export function lifetimeOf (headers: Headers, expire: number, now: number): number {
  const directives = cacheControl(headers['cache-control'])
  const said = directives.sMaxAge ?? directives.maxAge ?? expiresIn(headers, now)
  return Math.min(said ?? expire, ONE_YEAR_IN_SECONDS)
}

/** An invalid Expires, "0" above all, is in the past (RFC 9111 section 5.3). */
function expiresIn (headers: Headers, now: number): number | undefined {
  const expires = textOf(headers.expires)
  if (expires === undefined) return undefined
  const at = httpDate(expires)
  return at === undefined ? 0 : Math.floor((at - generatedAt(headers, now)) / 1000)
}

function generatedAt (headers: Headers, now: number): number {
  return headers.date === undefined ? now : httpDate(textOf(headers.date)!) ?? now
}
