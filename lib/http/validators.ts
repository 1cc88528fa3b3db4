import { hash } from 'node:crypto'
import fresh from 'fresh'
import { textOf, type HeaderValue, type RequestHeaders } from './headers.js'

/** A strong validator for the bytes (RFC 9110 section 8.8.3). */
export function etagOf (body: string | Uint8Array): string {
  return `"${hash('sha1', body, 'base64url')}"`
}

/** The weak form of a validator, for a body that a later hook encoded: its bytes differ, its content does not. */
export function weakened (etag: string): string {
  return etag.startsWith('W/') ? etag : `W/${etag}`
}

/** Whether the client already has this response (RFC 9110 section 13.2.2). */
export function isNotModified (request: RequestHeaders, etag: HeaderValue, lastModified: HeaderValue): boolean {
  if (request['if-none-match'] === undefined && request['if-modified-since'] === undefined) return false
  return fresh(
    { 'if-none-match': textOf(request['if-none-match']), 'if-modified-since': textOf(request['if-modified-since']) },
    { etag: textOf(etag), 'last-modified': textOf(lastModified) }
  )
}
