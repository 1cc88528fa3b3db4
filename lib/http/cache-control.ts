import { textOf, type HeaderValue } from './headers.js'

/** The supported directives of a Cache-Control header (RFC 9111 section 5.2, RFC 5861), of requests and responses. */
export interface CacheControl {
  readonly noStore: boolean
  readonly noCache: boolean
  readonly private: boolean
  readonly mustUnderstand: boolean
  readonly onlyIfCached: boolean
  readonly maxAge: number | undefined
  readonly sMaxAge: number | undefined
  readonly minFresh: number | undefined
  /** `must-revalidate` or `proxy-revalidate`: a stale response must not be used. */
  readonly mustRevalidate: boolean
  readonly staleWhileRevalidate: number | undefined
  readonly staleIfError: number | undefined
}

/** Other directives are ignored, so that a long header takes no memory. */
const UNDERSTOOD = new Set([
  'no-store', 'no-cache', 'private', 'must-understand', 'only-if-cached', 'max-age', 's-maxage', 'min-fresh',
  'must-revalidate', 'proxy-revalidate', 'stale-while-revalidate', 'stale-if-error'
])

/** One directive: a name, an optional value (a token or a quoted string), and anything invalid after it. */
const DIRECTIVE = /([^\s,="]+)(?:=("(?:[^"\\]|\\.)*"|[^\s,]*))?[^,]*/g

/** The value of a directive that is given twice with different values. It is not a number of seconds. */
const CONTRADICTORY = ''

const NOTHING: CacheControl = {
  noStore: false,
  noCache: false,
  private: false,
  mustUnderstand: false,
  onlyIfCached: false,
  maxAge: undefined,
  sMaxAge: undefined,
  minFresh: undefined,
  mustRevalidate: false,
  staleWhileRevalidate: undefined,
  staleIfError: undefined
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
    mustUnderstand: given.has('must-understand'),
    onlyIfCached: given.has('only-if-cached'),
    maxAge: seconds(given.get('max-age')),
    sMaxAge: seconds(given.get('s-maxage')),
    minFresh: seconds(given.get('min-fresh')),
    mustRevalidate: given.has('must-revalidate') || given.has('proxy-revalidate'),
    staleWhileRevalidate: seconds(given.get('stale-while-revalidate')),
    staleIfError: seconds(given.get('stale-if-error'))
  }
}

/** An invalid or contradictory value counts as 0, which means stale (RFC 9111 section 4.2.1). */
function seconds (said: string | undefined): number | undefined {
  if (said === undefined) return undefined
  return /^\d+$/.test(said) ? Number(said) : 0
}
