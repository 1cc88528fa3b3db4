import type { CacheControl } from './cache-control.js'
import { listOf, type Headers } from './headers.js'

/**
 * Why a response may not be stored; undefined if it may (RFC 9111 section 3). A response with
 * `no-cache` is not stored either, because this cache does not revalidate.
 */
export function refusalToStore (headers: Headers, directives: CacheControl): string | undefined {
  if (headers['set-cookie'] !== undefined) return 'set-cookie'
  if (directives.noStore) return 'no-store'
  if (directives.private) return 'private'
  if (directives.noCache) return 'no-cache'
  if (headers.vary !== undefined && listOf(headers.vary).includes('*')) return 'vary-any'
  if (headers.trailer !== undefined) return 'trailer'
  if (String(headers['content-type']).startsWith('text/event-stream')) return 'event-stream'
  return undefined
}
