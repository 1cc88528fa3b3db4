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

/** What else a header says is not kept: it may say much. */
const UNDERSTOOD = new Set(['no-store', 'no-cache', 'private', 'only-if-cached', 'max-age', 's-maxage', 'min-fresh'])

/** One directive: a name, a value where there is one (a token or a quoted string), and what does not belong there. */
const DIRECTIVE = /([^\s,="]+)(?:=("(?:[^"\\]|\\.)*"|[^\s,]*))?[^,]*/g

/** Instead of a value, where a directive is given twice with two of them: it is no number of seconds. */
const CONTRADICTORY = ''

const NOTHING: CacheControl = {
  noStore: false, noCache: false, private: false, onlyIfCached: false, maxAge: undefined, sMaxAge: undefined, minFresh: undefined
}

export function cacheControl (value: HeaderValue): CacheControl {
  if (value === undefined) return NOTHING
  const given = new Map<string, string>()
  for (const [, name, argument = ''] of textOf(value)!.toLowerCase().matchAll(DIRECTIVE)) {
    if (!UNDERSTOOD.has(name!)) continue
    const said = argument.replace(/^"(.*)"$/, '$1')
    const before = given.get(name!)
    given.set(name!, before === undefined || before === said ? said : CONTRADICTORY)
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
function seconds (said: string | undefined): number | undefined {
  if (said === undefined) return undefined
  return /^\d+$/.test(said) ? Number(said) : 0
}
