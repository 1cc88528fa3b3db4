import { ONE_YEAR_IN_SECONDS } from '../durations.js'
import { cacheControl } from './cache-control.js'
import { textOf, type Headers } from './headers.js'

/** Seconds of age that a response already has: what its Age says, or its Date (RFC 9111 section 4.2.3). */
export function initialAge (headers: Headers, now: number): number {
  const said = Number(textOf(headers.age)?.split(',')[0])
  const date = Date.parse(textOf(headers.date) ?? '')
  const apparent = Number.isNaN(date) ? 0 : Math.floor((now - date) / 1000)
  return Math.min(Math.max(0, apparent, Number.isInteger(said) ? said : 0), ONE_YEAR_IN_SECONDS)
}

/**
 * Seconds that a response is fresh for from its generation on: s-maxage before max-age before
 * Expires (RFC 9111 section 4.2.1), and `expire` where the handler said nothing.
 */
export function lifetimeOf (headers: Headers, expire: number, now: number): number {
  const directives = cacheControl(headers['cache-control'])
  const said = directives.sMaxAge ?? directives.maxAge ?? expiresIn(headers, now)
  return Math.min(Math.floor(said ?? expire), ONE_YEAR_IN_SECONDS)
}

/** An invalid Expires, "0" above all, is in the past (RFC 9111 section 5.3). */
function expiresIn (headers: Headers, now: number): number | undefined {
  const expires = textOf(headers.expires)
  if (expires === undefined) return undefined
  const at = Date.parse(expires)
  if (Number.isNaN(at)) return 0
  const date = Date.parse(textOf(headers.date) ?? '')
  return Math.floor((at - (Number.isNaN(date) ? now : date)) / 1000)
}
