import { validateHeaderName, validateHeaderValue } from 'node:http'

/** Never stored: RFC 9110 section 7.6.1 (hop by hop), RFC 9111 section 3.1, and what Node or this plugin sets. */
const NEVER_STORED = new Set([
  'connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade',
  'proxy-authenticate', 'proxy-authentication-info', 'proxy-authorization',
  'set-cookie', 'set-cookie2', 'content-length', 'age'
])

export type HeaderValue = string | string[] | number | undefined
export type Headers = Readonly<Record<string, HeaderValue>>
/** The headers of a request, with names in lower case. */
export type RequestHeaders = Readonly<Record<string, string | string[] | undefined>>

/** Whether a header may be stored: its name allows it, and name and value are valid in HTTP. */
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

/** Whether a stored response may bring all of these. */
export function areStorableHeaders (headers: Readonly<Record<string, unknown>>): boolean {
  for (const name in headers) {
    if (!isStorableHeader(name, headers[name])) return false
  }
  return true
}

/** A header of one value as text; several lines joined as RFC 9110 section 5.2 has it. */
export function textOf (value: HeaderValue): string | undefined {
  if (value === undefined) return undefined
  return Array.isArray(value) ? value.join(', ') : String(value)
}

/** The members of a comma-separated list, in lower case (`Vary`, `Connection`). */
export function listOf (value: HeaderValue): readonly string[] {
  if (value === undefined) return []
  return textOf(value)!.toLowerCase().split(',').map((member) => member.trim()).filter((member) => member !== '')
}

/** How a reply's headers changed, as far as the change may be stored. */
export interface HeaderDifference {
  /** Headers that were set or changed. */
  readonly set: Record<string, string | string[]>
  /** Headers that were removed. */
  readonly removed: string[] | undefined
}

export function storableDifference (before: Headers, after: Headers): HeaderDifference {
  const dropped = new Set(listOf(after.connection))
  const set: Record<string, string | string[]> = {}
  for (const name of Object.keys(after)) {
    const value = after[name]
    if (value === undefined || dropped.has(name) || sameValue(before[name], value)) continue
    const stored = Array.isArray(value) ? value.map(String) : String(value)
    if (isStorableHeader(name, stored)) set[name] = stored
  }
  let removed: string[] | undefined
  for (const name of Object.keys(before)) {
    if (after[name] !== undefined || before[name] === undefined || !isStorableHeader(name, '')) continue
    removed ??= []
    removed.push(name)
  }
  return { set, removed }
}

function sameValue (a: HeaderValue, b: HeaderValue): boolean {
  return a === b || (a !== undefined && textOf(a) === textOf(b))
}
