import { cacheControl, type CacheControl } from './cache-control.js'
import type { Entry } from '../entry/entry.js'
import { ageOf, freshnessOf } from '../entry/entry.js'

type RequestHeaders = Record<string, string | string[] | undefined>

/** The request's Cache-Control, or Pragma where there is none (RFC 9111 section 5.4); undefined when it has neither. */
export function requestDirectives (headers: RequestHeaders): CacheControl | undefined {
  const given = headers['cache-control']
  if (given !== undefined) return cacheControl(given)
  return headers.pragma?.includes('no-cache') === true ? cacheControl('no-cache') : undefined
}

/** Whether the request accepts this entry as it is now (RFC 9111 section 5.2.1). */
export function requestAccepts (directives: CacheControl, entry: Entry, now: number): boolean {
  if (directives.noCache) return false
  if (directives.maxAge !== undefined && ageOf(entry, now) > directives.maxAge) return false
  return directives.minFresh === undefined || freshnessOf(entry, now) >= directives.minFresh
}
