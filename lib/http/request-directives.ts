import type { RequestHeaders } from './headers.js'
import { cacheControl, type CacheControl } from './cache-control.js'

/** The request's Cache-Control, else its Pragma (RFC 9111 section 5.4); undefined if it has neither. */
export function requestDirectives (headers: RequestHeaders): CacheControl | undefined {
  const given = headers['cache-control']
  if (given !== undefined) return cacheControl(given)
  return headers.pragma?.includes('no-cache') === true ? cacheControl('no-cache') : undefined
}

/** Whether a request accepts a response of this age and remaining freshness, in seconds (RFC 9111 section 5.2.1). */
export function accepts ({ noCache, maxAge, minFresh }: CacheControl, age: number, freshness: number): boolean {
  if (noCache || (maxAge !== undefined && age > maxAge)) return false
  return minFresh === undefined || freshness >= minFresh
}
