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
  return isSendable(name, value) && (Array.isArray(value) ? value.every(isText) : isText(value))
}

const isText = (value: unknown): value is string => typeof value === 'string'

/** Whether Node sends this header, instead of throwing. */
function isSendable (name: string, value: unknown): boolean {
  try {
    validateHeaderName(name)
    if (Array.isArray(value)) for (const line of value) validateHeaderValue(name, line as string)
    else validateHeaderValue(name, String(value))
  } catch {
    return false
  }
  return true
}

/** Whether Node sends a response with these headers, instead of throwing. */
export function areSendable (headers: Headers): boolean {
  for (const name in headers) if (!isSendable(name, headers[name])) return false
  return true
}

/** Whether a stored response may bring all of these. */
export function areStorableHeaders (headers: Readonly<Record<string, unknown>>): boolean {
  for (const name in headers) if (!isStorableHeader(name, headers[name])) return false
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

/** Text around the value that a hook sets for a header. */
export type Extension = readonly [before: string, after: string]

/** What a handler did to a reply's headers, as far as it may be stored. */
export interface HeaderDifference {
  /** Headers that it set. */
  readonly set: Record<string, string | string[]>
  /** Headers that it removed, whether or not this request's hooks had set them. */
  readonly removed: string[] | undefined
  /** Headers of hooks that it extended: each request's hooks set a value of their own. */
  readonly extended: Record<string, Extension> | undefined
}

/** What is known about a handler's work on headers; names in lower case. */
export interface HandlerHeaders {
  /** The headers before the handler ran. */
  readonly before: Headers
  /** Those that it, and the preSerialization hooks behind it, have set or removed. */
  readonly set: Set<string>
  readonly removed: Set<string>
}

/**
 * What a handler did to a reply's headers. A difference of `before` and `after` shows most of it; a
 * header that was set to the value it had, or removed without being there, only shows in the calls.
 */
export function storableDifference (own: HandlerHeaders, after: Headers): HeaderDifference {
  const { before } = own
  const dropped = listOf(after.connection)
  const set: Record<string, string | string[]> = {}
  let extended: Record<string, Extension> | undefined
  for (const name of Object.keys(after)) {
    const value = after[name]
    // The Content-Type is known apart from the other headers: Fastify adds one and completes it.
    if (value === undefined || name === 'content-type' || dropped.includes(name)) continue
    if (sameValue(before[name], value) && !own.set.has(name)) continue
    const stored = Array.isArray(value) ? value.map(String) : String(value)
    if (!isStorableHeader(name, stored)) continue
    const extension = extensionOf(before[name], stored)
    if (extension === undefined) set[name] = stored
    else (extended ??= {})[name] = extension
  }
  return { set, removed: removedOf(own, after), extended }
}

function removedOf ({ before, removed: calls }: HandlerHeaders, after: Headers): string[] | undefined {
  let removed: string[] | undefined
  const note = (name: string): void => { if (isStorableHeader(name, '')) (removed ??= []).push(name) }
  for (const name of Object.keys(before)) if (before[name] !== undefined && after[name] === undefined) note(name)
  for (const name of calls) if (before[name] === undefined && after[name] === undefined) note(name)
  return removed
}

/** The text around an earlier value, if the new value holds it as whole members of a list or of directives. */
function extensionOf (earlier: HeaderValue, value: string | string[]): Extension | undefined {
  if (earlier === undefined || earlier === '' || Array.isArray(earlier) || Array.isArray(value)) return undefined
  const text = String(earlier)
  const at = value.indexOf(text)
  if (at === -1 || text.length === value.length) return undefined
  const extension: Extension = [value.slice(0, at), value.slice(at + text.length)]
  const isWhole = /(?:^|[,;]\s*)$/.test(extension[0]) && /^(?:\s*[,;]|$)/.test(extension[1])
  return isWhole ? extension : undefined
}

/** A header that a handler extended, around the value that this request's hooks set. */
export function extend (value: HeaderValue, [before, after]: Extension): string {
  const fresh = textOf(value)
  if (fresh !== undefined && fresh !== '') return before + fresh + after
  return (before + after).replace(/^[\s,;]+|[\s,;]+$/g, '')
}

function sameValue (a: HeaderValue, b: HeaderValue): boolean {
  return a === b || (a !== undefined && textOf(a) === textOf(b))
}

/** A Vary that also names these request headers (RFC 9110 section 12.5.5). */
export function varyWith (vary: HeaderValue, names: readonly string[]): HeaderValue {
  const listed = listOf(vary)
  if (listed.includes('*')) return vary
  const missing = names.filter((name) => !listed.includes(name))
  return missing.length === 0 ? vary : [textOf(vary), ...missing].filter(Boolean).join(', ')
}
