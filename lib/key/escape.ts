import { createHash } from 'node:crypto'

/** Longest text that a key holds all of: with more, the key would be too long and end in a hash anyway. */
const MAX_LENGTH = 512

const safe = /^[\w.-]*$/
const unsafe = /[^\w.-]/gu

/**
 * Text from outside as a part of a key: letters, digits, `_`, `.` and `-` stay, all else becomes
 * percent-encoded UTF-8 (a lone surrogate, which has none, `%uD800`). No two texts give the same
 * result, and the result holds no separator of a key and no character of a glob.
 */
export function escape (text: string): string {
  return bounded(text, escapeAll)
}

/**
 * `part` of a text; of a long one `part` of its beginning, and a hash of the whole behind `~`,
 * which stands in no part: hashing is cheaper than escaping.
 */
export function bounded (text: string, part: (text: string) => string): string {
  if (text.length <= MAX_LENGTH) return part(text)
  // UTF-8 has no lone surrogates: two texts would have one hash.
  return `${part(text.slice(0, MAX_LENGTH))}~${createHash('sha256').update(text, 'utf16le').digest('base64url')}`
}

function escapeAll (text: string): string {
  return safe.test(text) ? text : text.replace(unsafe, percent)
}

function percent (character: string): string {
  const code = character.codePointAt(0)!
  if (code >= 0xd800 && code <= 0xdfff) return `%u${code.toString(16).toUpperCase()}`
  if (code >= 0x80) return encodeURIComponent(character)
  return `%${code.toString(16).toUpperCase().padStart(2, '0')}`
}
