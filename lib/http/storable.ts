import { cacheControl } from './cache-control.js'
import { listOf, textOf, type Headers } from './headers.js'

/**
 * Why a response may not be stored, or undefined when it may (RFC 9111 section 3). A response
 * that every use would have to revalidate (`no-cache`) is of no use here either.
 */
export function refusalToStore (headers: Headers): string | undefined {
  if (headers['set-cookie'] !== undefined) return 'set-cookie'
  const directives = cacheControl(headers['cache-control'])
  if (directives.noStore) return 'no-store'
  if (directives.private) return 'private'
  if (directives.noCache) return 'no-cache'
  if (listOf(headers.vary).includes('*')) return 'vary-any'
  if (headers.trailer !== undefined) return 'trailer'
  if (textOf(headers['content-type'])?.startsWith('text/event-stream') === true) return 'event-stream'
  return undefined
}
