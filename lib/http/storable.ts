import type { CacheControl } from './cache-control.js'
import { listOf, type Headers, type HeaderValue } from './headers.js'

/** The statuses whose meaning for caches is defined (RFC 9110 section 15, RFC 6585, RFC 7725). */
const UNDERSTOOD = new Set([
  200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410,
  411, 412, 413, 414, 415, 416, 417, 421, 422, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 511
])

/** Whether a status is about who asks (RFC 9110 sections 15.5.2 and 15.5.4, RFC 6585 section 4). */
export const isAboutCaller = (status: number): boolean => status === 401 || status === 403 || status === 429

/** Client errors about the resource, not about the request: heuristically cacheable (RFC 9110 section 15.1). */
const ABOUT_RESOURCE = new Set([404, 405, 410, 414])

/** Whether a status blames something in the request, such as a header. */
export const isAboutRequest = (status: number): boolean => status >= 400 && status < 500 && !ABOUT_RESOURCE.has(status)

/** The names of the cookies that Set-Cookie sets (RFC 6265 section 4.1.1). */
export const cookiesIn = (setCookie: HeaderValue): string[] =>
  [setCookie ?? []].flat().map((line) => String(line).split('=', 1)[0]!.trim())

/**
 * Why a response may not be stored; undefined if it may (RFC 9111 section 3). A response with
 * `no-cache` is not stored either, because this cache does not revalidate.
 * @param ignoresCookie whether a cookie that the response sets is no reason
 */
export function refusalToStore (
  status: number, headers: Headers, directives: CacheControl, ignoresCookie: (name: string) => boolean
): string | undefined {
  if (headers['set-cookie'] !== undefined && !cookiesIn(headers['set-cookie']).every(ignoresCookie)) return 'set-cookie'
  if (directives.noStore) return 'no-store'
  if (directives.private) return 'private'
  if (directives.noCache) return 'no-cache'
  // Section 5.2.2.3.
  if (directives.mustUnderstand && !UNDERSTOOD.has(status)) return 'must-understand'
  if (headers.vary !== undefined && listOf(headers.vary).includes('*')) return 'vary-any'
  if (headers.trailer !== undefined) return 'trailer'
  if (String(headers['content-type']).startsWith('text/event-stream')) return 'event-stream'
  return undefined
}
