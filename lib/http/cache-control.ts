import { textOf, type HeaderValue } from './headers.js'

/** What is understood of a Cache-Control header (RFC 9111 section 5.2), whichever side sent it. */
export interface CacheControl {
  readonly noStore: boolean
  readonly noCache: boolean
  readonly private: boolean
  readonly onlyIfCached: boolean
  readonly maxAge: number | undefined
  readonly sMaxAge: number | undefined
  readonly minFresh: number | undefined
}

/** One directive and the comma behind it: a token, and maybe another or a quoted string as its value. */
const DIRECTIVE = /[\s,]*([^\s,="]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^,]*))?[^,]*/gy

export function cacheControl (value: HeaderValue): CacheControl {
  const given = new Map<string, string[]>()
  for (const [, name, argument = ''] of (textOf(value) ?? '').toLowerCase().matchAll(DIRECTIVE)) {
    given.set(name!, [...given.get(name!) ?? [], argument.trim()])
  }
  return {
    noStore: given.has('no-store'),
    noCache: given.has('no-cache'),
    private: given.has('private'),
    onlyIfCached: given.has('only-if-cached'),
    maxAge: seconds(given.get('max-age')),
    sMaxAge: seconds(given.get('s-maxage')),
    minFresh: seconds(given.get('min-fresh'))
  }
}

/** What is not whole seconds, or said twice and differently, counts as stale (RFC 9111 section 4.2.1). */
function seconds (given: string[] | undefined): number | undefined {
  if (given === undefined) return undefined
  const [value, ...others] = new Set(given.map((argument) => argument.replace(/^"(.*)"$/, '$1')))
  return others.length === 0 && /^\d+$/.test(value!) ? Number(value) : 0
}
