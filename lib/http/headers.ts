import { validateHeaderName, validateHeaderValue } from 'node:http'

/** Never stored: RFC 9110 section 7.6.1 (hop by hop), RFC 9111 section 3.1, and what Node or this plugin writes itself. */
const NEVER_STORED = new Set([
  'connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade',
  'proxy-authenticate', 'proxy-authentication-info', 'proxy-authorization',
  'set-cookie', 'set-cookie2', 'content-length', 'age'
])

export type HeaderValue = string | string[] | number | undefined
export type Headers = Readonly<Record<string, HeaderValue>>

/** Whether a stored response may bring this header: by its name, and because HTTP can carry it. */
export function isStorableHeader (name: string, value: unknown): value is string | string[] {
  if (NEVER_STORED.has(name) || name !== name.toLowerCase()) return false
  const values = Array.isArray(value) ? value as unknown[] : [value]
  try {
    validateHeaderName(name)
    for (const one of values) {
      if (typeof one !== 'string') return false
      validateHeaderValue(name, one)
    }
  } catch {
    return false
  }
  return true
}

/** A header of one value as text; several lines joined as RFC 9110 section 5.2 has it. */
export function textOf (value: HeaderValue): string | undefined {
  if (value === undefined) return undefined
  return Array.isArray(value) ? value.join(', ') : String(value)
}

const NONE: readonly string[] = []

/** The members of a comma-separated list, in lower case (`Vary`, `Connection`). */
export function listOf (value: HeaderValue): readonly string[] {
  if (value === undefined) return NONE
  return textOf(value)!.toLowerCase().split(',').map((member) => member.trim()).filter((member) => member !== '')
}

/**
 * The headers that were set, changed or taken away between two looks at a reply, as they may be
 * stored.
 */
export function storableDifference (before: Headers, after: Headers): Array<[string, string | string[] | null]> {
  const dropped = listOf(after.connection)
  const difference: Array<[string, string | string[] | null]> = []
  for (const [name, value] of Object.entries(after)) {
    if (value === undefined || dropped.includes(name) || sameValue(before[name], value)) continue
    const stored = Array.isArray(value) ? value.map(String) : String(value)
    if (isStorableHeader(name, stored)) difference.push([name, stored])
  }
  for (const name of Object.keys(before)) {
    if (after[name] === undefined && before[name] !== undefined && isStorableHeader(name, '')) difference.push([name, null])
  }
  return difference
}

function sameValue (a: HeaderValue, b: HeaderValue): boolean {
  return a === b || (a !== undefined && textOf(a) === textOf(b))
}
