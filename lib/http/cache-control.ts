import { parse, type CacheControl } from 'cache-parser'
import { textOf, type HeaderValue } from './headers.js'

/** The directives of a Cache-Control header (RFC 9111 section 5.2), whichever side sent it. */
export function cacheControl (value: HeaderValue): CacheControl {
  return parse(textOf(value))
}
