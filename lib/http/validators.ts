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

/** Whether the client holds this response already (RFC 9110 section 13.2.2). */
export function isNotModified (request: RequestHeaders, etag: HeaderValue, lastModified: HeaderValue): boolean {
  const ifNoneMatch = request['if-none-match']
  const ifModifiedSince = request['if-modified-since']
  if (ifNoneMatch === undefined && ifModifiedSince === undefined) return false
  return fresh(
    { 'if-none-match': textOf(ifNoneMatch), 'if-modified-since': textOf(ifModifiedSince) },
    { etag: textOf(etag), 'last-modified': textOf(lastModified) }
  )
}
