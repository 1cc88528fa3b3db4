import parseRange from 'range-parser'
import { textOf, type HeaderValue } from './headers.js'

type RequestHeaders = Record<string, string | string[] | undefined>

/** One range of a body, by the positions of its first and last byte. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/**
 * The single range that a request asks for: 'unsatisfiable' when it lies outside, undefined when
 * the whole is to be sent (no Range, several, malformed ones, or an If-Range that does not hold;
 * RFC 9110 sections 13.1.5 and 14.2).
 */
export function requestedRange (
  request: RequestHeaders, size: number, etag: HeaderValue, lastModified: HeaderValue
): ByteRange | 'unsatisfiable' | undefined {
  const range = textOf(request.range)
  if (range === undefined || !ifRangeHolds(textOf(request['if-range']), textOf(etag), textOf(lastModified))) return undefined
  const ranges = parseRange(size, range)
  if (ranges === -1) return 'unsatisfiable'
  if (ranges === -2 || ranges.type !== 'bytes' || ranges.length !== 1) return undefined
  return ranges[0]
}

/** Strong comparison: a weak validator never combines ranges. */
function ifRangeHolds (ifRange: string | undefined, etag: string | undefined, lastModified: string | undefined): boolean {
  if (ifRange === undefined) return true
  if (ifRange.endsWith('"')) return !ifRange.startsWith('W/') && ifRange === etag
  return ifRange === lastModified
}
