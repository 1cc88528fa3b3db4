import { hash } from 'node:crypto'
import fresh from 'fresh'
import { textOf, type HeaderValue } from './headers.js'

type RequestHeaders = Record<string, string | string[] | undefined>

/** A strong validator over the bytes (RFC 9110 section 8.8.3). */
export function etagOf (body: Buffer): string {
  return `"${hash('sha1', body, 'base64url')}"`
}

/** The same validator for bytes that a later hook encoded: only the content is still the same. */
export function weakened (etag: string): string {
  return etag.startsWith('W/') ? etag : `W/${etag}`
}

/** Whether a client may hold a response already, and asks. */
export const isConditional = (request: RequestHeaders): boolean =>
  request['if-none-match'] !== undefined || request['if-modified-since'] !== undefined

/** Whether the client holds this response already (RFC 9110 section 13.2.2). */
export function isNotModified (request: RequestHeaders, etag: HeaderValue, lastModified: HeaderValue): boolean {
  if (!isConditional(request)) return false
  return fresh(
    { 'if-none-match': textOf(request['if-none-match']), 'if-modified-since': textOf(request['if-modified-since']) },
    { etag: textOf(etag), 'last-modified': textOf(lastModified) }
  )
}
