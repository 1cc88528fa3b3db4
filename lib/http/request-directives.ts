import type { RequestHeaders } from './headers.js'
import { cacheControl, type CacheControl } from './cache-control.js'

/**
 * The request's Cache-Control, else its Pragma (RFC 9111 section 5.4); undefined if it has neither.
 * With a condition, `no-cache` and `max-age=0` ask whether the client's copy is still valid. This cache
 * stands inside the origin and knows of its writes, so a stored response answers that. Node's `fetch` adds
 * `no-cache` to each request with a condition.
 */
export function requestDirectives (headers: RequestHeaders): CacheControl | undefined {
  const given = headers['cache-control'] ?? (headers['pragma']?.includes('no-cache') === true ? 'no-cache' : undefined)
  if (given === undefined) return undefined
  const directives = cacheControl(given)
  const isConditional = headers['if-none-match'] !== undefined || headers['if-modified-since'] !== undefined
  if (!isConditional) return directives
  return { ...directives, noCache: false, maxAge: directives.maxAge === 0 ? undefined : directives.maxAge }
}

/** Whether a request accepts a response of this age and remaining freshness, in seconds (RFC 9111 section 5.2.1). */
export function accepts ({ noCache, maxAge, minFresh }: CacheControl, age: number, freshness: number): boolean {
  if (noCache || (maxAge !== undefined && age > maxAge)) return false
  return minFresh === undefined || freshness >= minFresh
}

/** Whether a request asks for a WebSocket or for server-sent events: no stored response is an answer to it. */
export function asksForConnection ({ upgrade, accept }: RequestHeaders): boolean {
  return (upgrade !== undefined && /\bwebsocket\b/i.test(String(upgrade))) ||
    (accept !== undefined && /text\/event-stream/i.test(String(accept)))
}
