import { textOf, type HeaderValue, type RequestHeaders } from './headers.js'

/** A range of a body, by the positions of its first and last byte. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** One range, by its first and last position, or by how many bytes at the end (RFC 9110 section 14.1.2). */
const ONE_RANGE = /^bytes=[ \t]*(\d*)-(\d*)$/i

/**
 * The single range that a request asks for; 'unsatisfiable' if it lies outside of the body.
 * Undefined if the whole body is to be sent: no range, several ranges, another unit, an invalid Range, or
 * an If-Range that does not match (RFC 9110 sections 13.1.5 and 14.2).
 */
export function requestedRange (
  request: RequestHeaders, size: number, etag: HeaderValue, lastModified: HeaderValue
): ByteRange | 'unsatisfiable' | undefined {
  const range = textOf(request.range)
  if (range === undefined || !matchesIfRange(textOf(request['if-range']), textOf(etag), textOf(lastModified))) {
    return undefined
  }
  const [, first = '', last = ''] = ONE_RANGE.exec(range) ?? []
  if (first !== '') return between(Number(first), last === '' ? Infinity : Number(last), size)
  return last === '' ? undefined : ending(Number(last), size)
}

function between (start: number, last: number, size: number): ByteRange | 'unsatisfiable' | undefined {
  if (last < start) return undefined
  return start < size ? { start, end: Math.min(last, size - 1) } : 'unsatisfiable'
}

/** The last bytes; all of a body that has fewer (RFC 9110 section 14.1.2). An empty one has no range. */
function ending (length: number, size: number): ByteRange | 'unsatisfiable' | undefined {
  if (length === 0) return 'unsatisfiable'
  return size === 0 ? undefined : { start: Math.max(0, size - length), end: size - 1 }
}

/** Strong comparison: a client cannot combine ranges on the strength of a weak validator. */
function matchesIfRange (
  ifRange: string | undefined, etag: string | undefined, lastModified: string | undefined
): boolean {
  if (ifRange === undefined) return true
  if (ifRange.endsWith('"')) return !ifRange.startsWith('W/') && ifRange === etag
  return ifRange === lastModified
}
