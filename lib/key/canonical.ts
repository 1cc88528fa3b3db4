import { escape } from './escape.js'

/**
 * The parameters that are part of a key, as `name=value` joined by `&` in the order of their
 * names: repeated ones in their own order, everything that is not text or a list of texts as
 * `name:=` and canonical JSON.
 * @param typed the route's schema gives each parameter one type, so that numbers and booleans
 *   can stand as the text that they came from; without a schema they are told apart from text
 */
export function canonicalQuery (query: unknown, keep: ((name: string) => boolean) | undefined, typed: boolean): string {
  if (typeof query !== 'object' || query === null) return ''
  let canonical = ''
  for (const name of Object.keys(query).sort()) {
    if (keep !== undefined && !keep(name)) continue
    const value = (query as Record<string, unknown>)[name]
    if (value === undefined) continue
    if (canonical !== '') canonical += '&'
    canonical += parameter(escape(name), value, typed)
  }
  return canonical
}

function parameter (name: string, value: unknown, typed: boolean): string {
  if (isScalar(value, typed)) return `${name}=${escape(String(value))}`
  if (Array.isArray(value) && value.length > 1 && value.every((item) => isScalar(item, typed))) {
    return value.map((item) => `${name}=${escape(String(item))}`).join('&')
  }
  return `${name}:=${escape(canonicalJson(value))}`
}

/** One value, of whatever type validation made of it. */
export function canonicalValue (value: unknown, typed: boolean): string {
  return isScalar(value, typed) ? escape(String(value)) : `:=${escape(canonicalJson(value))}`
}

function isScalar (value: unknown, typed: boolean): boolean {
  return typeof value === 'string' || (typed && (typeof value === 'number' || typeof value === 'boolean'))
}

/** JSON with sorted names, in the manner of RFC 8785. */
function canonicalJson (value: unknown): string {
  return JSON.stringify(value, (_name, part: unknown) => {
    if (typeof part === 'bigint') return { bigint: String(part) }
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
  }) ?? 'undefined'
}
