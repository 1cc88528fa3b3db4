import parseRange from 'range-parser'
import { textOf, type HeaderValue, type RequestHeaders } from './headers.js'

/** A range of a body, by the positions of its first and last byte. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/**
 * The single range that a request asks for; 'unsatisfiable' if it lies outside of the body.
 * Undefined if the whole body is to be sent: no range, several ranges, a malformed Range, or an
 * If-Range that does not match (RFC 9110 sections 13.1.5 and 14.2).
 */
export function requestedRange (
  request: RequestHeaders, size: number, etag: HeaderValue, lastModified: HeaderValue
): ByteRange | 'unsatisfiable' | undefined {
  const range = textOf(request.range)
  if (range === undefined || !matchesIfRange(textOf(request['if-range']), textOf(etag), textOf(lastModified))) {
    return undefined
  }
  const ranges = parseRange(size, range)
  if (ranges === -1) return 'unsatisfiable'
  if (ranges === -2 || ranges.type !== 'bytes' || ranges.length !== 1) return undefined
  return ranges[0]
}

/** Strong comparison: a client cannot combine ranges on the strength of a weak validator. */
function matchesIfRange (
  ifRange: string | undefined, etag: string | undefined, lastModified: string | undefined
): boolean {
  if (ifRange === undefined) return true
  if (ifRange.endsWith('"')) return !ifRange.startsWith('W/') && ifRange === etag
  return ifRange === lastModified
}
