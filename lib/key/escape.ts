const safe = /^[\w.-]*$/
const unsafe = /[^\w.-]/gu

/**
 * Text from outside as a part of a key: letters, digits, `_`, `.` and `-` stay, all else becomes
 * percent-encoded UTF-8 (a lone surrogate, which has none, `%uD800`). No two texts give the same
 * result, and the result holds no separator of a key and no character of a glob.
 */
export function escape (text: string): string {
  return safe.test(text) ? text : text.replace(unsafe, percent)
}

function percent (character: string): string {
  const code = character.codePointAt(0)!
  if (code >= 0xd800 && code <= 0xdfff) return `%u${code.toString(16).toUpperCase()}`
  if (code >= 0x80) return encodeURIComponent(character)
  return `%${code.toString(16).toUpperCase().padStart(2, '0')}`
}
