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

/** One directive: a name, a value where there is one (a token or a quoted string), and what does not belong there. */
const DIRECTIVE = /([^\s,="]+)(?:=("(?:[^"\\]|\\.)*"|[^\s,]*))?[^,]*/g

const NOTHING: CacheControl = {
  noStore: false, noCache: false, private: false, onlyIfCached: false, maxAge: undefined, sMaxAge: undefined, minFresh: undefined
}

export function cacheControl (value: HeaderValue): CacheControl {
  if (value === undefined) return NOTHING
  const given = new Map<string, string[]>()
  for (const [, name, argument = ''] of textOf(value)!.toLowerCase().matchAll(DIRECTIVE)) {
    given.set(name!, [...given.get(name!) ?? [], argument])
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
