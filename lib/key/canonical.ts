import { escape } from './escape.js'

/** Each level is copied once for each around it. */
const MAX_DEPTH = 100

/** Whether a parameter is a text whenever it is one at all, as far as the route's schema says. */
export type IsText = (name: string) => boolean

/**
 * The parameters that are part of a key, as `name=value` joined by `&` in the order of their
 * names: repeated ones in their own order, everything that is not text or a list of texts as
 * `name:=` and canonical JSON. An undefined parameter counts as absent.
 * @throws TypeError for what is not plain data
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

/** One value, of whatever type validation made of it. */
export function canonicalValue (value: unknown, isText: boolean): string {
  return scalar(value, isText) ?? `:=${escape(canonicalJson(value))}`
}

function parameter (name: string, value: unknown, isText: boolean): string {
  const key = escape(name)
  if (Array.isArray(value) && value.length > 1) {
    const items = value.map((item) => scalar(item, isText))
    if (items.every((item) => item !== undefined)) return items.map((item) => `${key}=${item}`).join('&')
  }
  const text = scalar(value, isText)
  return text !== undefined ? `${key}=${text}` : `${key}:=${escape(canonicalJson(value))}`
}

/**
 * Numbers and booleans stand as they are where a schema may have made them from text. There a text
 * that reads like one of them stands in quotes, which no escaped text holds.
 */
function scalar (value: unknown, isText: boolean): string | undefined {
  if (typeof value === 'string') return isText || !readsAsOther(value) ? escape(value) : `"${escape(value)}"`
  if (!isText && (typeof value === 'number' || typeof value === 'boolean')) return escape(canonicalJson(value))
  return undefined
}

const readsAsOther = (text: string): boolean =>
  text === 'true' || text === 'false' || text === '-0' || String(Number(text)) === text

/** JSON with sorted names, in the manner of RFC 8785, and a form of its own for what JSON cannot tell apart. */
function canonicalJson (value: unknown, depth = 0): string {
  switch (typeof value) {
    case 'string': return JSON.stringify(value)
    case 'number': return Object.is(value, -0) ? '-0' : String(value)
    case 'boolean':
    case 'undefined': return String(value)
    case 'bigint': return `${value}n`
  }
  if (value === null) return 'null'
  if (depth === MAX_DEPTH) throw new TypeError(`a parameter is nested deeper than ${MAX_DEPTH}: give the route's policy a key function`)
  if (Array.isArray(value)) return `[${Array.from(value, (item) => canonicalJson(item, depth + 1)).join(',')}]`
  if (value instanceof Date) return `Date(${value.getTime()})`
  if (value instanceof Set) return `Set${canonicalJson([...value], depth)}`
  if (value instanceof Map) return `Map${canonicalJson([...value], depth)}`
  // An object may keep what it is where nobody sees it: two of them could look the same.
  if (!isPlain(value)) throw unkeyable('a parameter', value)
  const names = Object.keys(value).filter((name) => value[name] !== undefined).sort()
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonicalJson(value[name], depth + 1)}`).join(',')}}`
}

function isPlain (value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function unkeyable (what: string, value: unknown): TypeError {
  const kind = typeof value === 'object' ? (value?.constructor?.name ?? 'object') : typeof value
  return new TypeError(`${what} is a ${kind}, of which no key can be made: give the route's policy a key function`)
}
