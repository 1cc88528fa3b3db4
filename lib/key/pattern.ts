/**
 * A test for strings that match a pattern in which `*` matches any text. It takes linear time; a
 * regular expression could take exponential time on untrusted strings.
 */
export function matcher (pattern: string): (text: string) => boolean {
  const [first = '', ...rest] = pattern.split('*')
  const last = rest.pop()
  if (last === undefined) return (text) => text === pattern
  return (text) => {
    if (!text.startsWith(first) || !text.endsWith(last)) return false
    let at = first.length
    for (const part of rest) {
      at = text.indexOf(part, at)
      if (at === -1) return false
      at += part.length
    }
    return at <= text.length - last.length
  }
}
