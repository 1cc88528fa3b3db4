import { createHash } from 'node:crypto'
import { credentialHash, holdsCredential, namesCredential } from './credential-like.js'

/** Bounds the work: the text of each level is copied once for every level around it. */
const MAX_DEPTH = 100

/** Whether a parameter can only be a string or a list of strings, by the route's schema. */
export type IsText = (name: string) => boolean

/**
 * The parameters that are part of a key: `name=value`, sorted by name and joined by `&`. Repeated
 * parameters keep their order. A value that is neither a string nor a list of strings becomes
 * `name:=` and canonical JSON. An undefined parameter counts as missing. Credentials are hashed.
 * @throws TypeError for a value that is not plain data
 */
export function canonicalQuery (query: unknown, keep: ((name: string) => boolean) | undefined, isText: IsText): string {
  if (query === undefined || query === null) return ''
  if (!isPlain(query)) throw unkeyable('query', query)
  let canonical = ''
  for (const name of Object.keys(query).sort()) {
    if (keep !== undefined && !keep(name)) continue
    const value = query[name]
    if (value === undefined) continue
    if (canonical !== '') canonical += '&'
    canonical += parameter(name, value, isText(name))
  }
  return canonical
}

/** The canonical form of one value, of any type that validation may produce. */
export function canonicalValue (value: unknown, isText: boolean): string {
  return scalar(value, isText) ?? `:=${concealed(canonicalJson(value))}`
}

/** The same for a value that is a credential by its name. */
export const canonicalCredential = (value: unknown): string => credentialHash(canonicalJson(value))

function parameter (name: string, value: unknown, isText: boolean): string {
  const { key, isCredential } = named(name)
  if (isCredential) return `${key}=${canonicalCredential(value)}`
  if (Array.isArray(value) && value.length > 1) {
    const items = value.map((item) => scalar(item, isText))
    if (items.every((item) => item !== undefined)) return items.map((item) => `${key}=${item}`).join('&')
  }
  const text = scalar(value, isText)
  return text !== undefined ? `${key}=${text}` : `${key}:=${concealed(canonicalJson(value))}`
}

/** The name of a parameter as a key has it, and whether it says that its value is a credential. */
interface Named {
  readonly key: string
  readonly isCredential: boolean
}

/** Names come from clients, so only so many short ones are remembered. */
const MAX_KNOWN = 1_000
const MAX_KNOWN_LENGTH = 64
const known = new Map<string, Named>()

function named (name: string): Named {
  const found = known.get(name)
  if (found !== undefined) return found
  const answer = { key: concealed(name), isCredential: namesCredential(name) }
  if (known.size < MAX_KNOWN && name.length <= MAX_KNOWN_LENGTH) known.set(name, answer)
  return answer
}

/**
 * Where a schema may have coerced strings, numbers and booleans stand as they are. A string that
 * looks like one of them is then quoted; escaped text never contains quotes.
 */
function scalar (value: unknown, isText: boolean): string | undefined {
  if (typeof value === 'string') return isText || !readsAsOther(value) ? concealed(value) : `"${escape(value)}"`
  if (!isText && (typeof value === 'number' || typeof value === 'boolean')) return escape(canonicalJson(value))
  return undefined
}

const readsAsOther = (text: string): boolean =>
  text === 'true' || text === 'false' || text === '-0' || String(Number(text)) === text

/** JSON with sorted names, similar to RFC 8785, with distinct forms for values that JSON does not distinguish. */
function canonicalJson (value: unknown, depth = 0): string {
  switch (typeof value) {
    case 'string': return JSON.stringify(value)
    case 'number': return Object.is(value, -0) ? '-0' : String(value)
    case 'boolean':
    case 'undefined': return String(value)
    case 'bigint': return `${value}n`
    case 'object': return value === null ? 'null' : canonicalObject(value, depth)
    default: throw unkeyable('a parameter', value)
  }
}

function canonicalObject (value: object, depth: number): string {
  if (depth === MAX_DEPTH) {
    throw new TypeError(`a parameter is nested deeper than ${MAX_DEPTH}: give the route's policy a key function`)
  }
  if (Array.isArray(value)) return `[${Array.from(value, (item) => canonicalJson(item, depth + 1)).join(',')}]`
  if (value instanceof Date) return `Date(${value.getTime()})`
  if (value instanceof Set) return `Set${canonicalJson([...value], depth)}`
  if (value instanceof Map) return `Map{${Array.from(value, (pair) => canonicalPair(pair, depth)).join(',')}}`
  // Objects of other classes may differ in private state, which would give two of them the same key.
  if (!isPlain(value)) throw unkeyable('a parameter', value)
  const names = Object.keys(value).filter((name) => value[name] !== undefined).sort()
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonicalJson(value[name], depth + 1)}`).join(',')}}`
}

/** Named like a property in JSON, so that a name tells a credential here, too. */
const canonicalPair = ([name, value]: [unknown, unknown], depth: number): string =>
  `${canonicalJson(name, depth + 1)}:${canonicalJson(value, depth + 1)}`

function isPlain (value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function unkeyable (what: string, value: unknown): TypeError {
  const kind = typeof value === 'object' ? (value?.constructor?.name ?? 'object') : typeof value
  return new TypeError(`${what} is a ${kind}, of which no key can be made: give the route's policy a key function`)
}

/** Longest text that is escaped in full. A longer one would make the key too long, so that it ends in a hash anyway. */
const MAX_LENGTH = 512

const safe = /^[\w.-]*$/
const unsafe = /[^\w.-]/gu
const escapedParts = /%u[0-9A-F]{4}|(?:%[0-9A-F]{2})+/g

/**
 * Escapes untrusted text for use in a key. Letters, digits, `_`, `.` and `-` stay; everything else
 * becomes percent-encoded UTF-8, and a lone surrogate, which has no UTF-8, becomes `%uD800`.
 * Different texts give different results, without key separators and glob characters.
 */
export function escape (text: string): string {
  return bounded(text, escapeAll)
}

/** The same for text that may be or hold a credential. Then it becomes `~` and a hash. */
export const concealed = (text: string): string => holdsCredential(text) ? credentialHash(text) : escape(text)

/**
 * The text that `escape` was given. Text that it cannot have returned, such as one that was cut off,
 * stays as it is.
 */
export function unescaped (text: string): string {
  try {
    return text.replace(escapedParts, (part) => part.startsWith('%u')
      ? String.fromCharCode(parseInt(part.slice(2), 16))
      : decodeURIComponent(part))
  } catch {
    return text
  }
}

/**
 * `part` of a text. For a long text: `part` of its beginning, then `~` and a hash of the whole text.
 * No part contains `~`. Hashing is cheaper than escaping.
 */
export function bounded (text: string, part: (text: string) => string): string {
  if (text.length <= MAX_LENGTH) return part(text)
  // Not as UTF-8, which has no lone surrogates: different texts would get the same hash.
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
