/**
 * A test for texts that match a pattern in which `*` stands for any text. In linear time: the
 * texts come from outside, and a regular expression may take for ever on one.
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
