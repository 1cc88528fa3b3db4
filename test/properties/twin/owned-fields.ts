/** The response header fields that the cache sets by itself; docs/http.md lists the same ones. */
export const OWNED_FIELDS = {
  /** On a HIT: the seconds since the answer was made. */
  age: 'always',
  /** On a HIT: when the answer was made. */
  date: 'always',
  /** What this cache did; behind the members of caches nearer to the handler. */
  'cache-status': 'always',
  /** HIT or MISS, under the name that `responseHeader` gives it. */
  'x-api-cache': 'always',
  /** That of the bytes that leave, where nobody set one. */
  etag: 'where nobody set one',
  /** What the policy says about clients, where nobody set one, nor Expires. */
  'cache-control': 'where nobody set one',
  /** More names: those of the request headers that the key holds. */
  vary: 'more names',
  /** Of a stream that was stored, and of what a condition or a range leaves. */
  'content-length': 'where it fits the body',
  /** Of a 206 and a 416. */
  'content-range': 'for conditions',
  /** Missing on a 304 and a 416, which have no body. */
  'content-type': 'for conditions',
  'content-encoding': 'for conditions'
} as const

/** Set by Node for each connection and message, whoever answers. */
export const FRAMING: readonly string[] = ['connection', 'keep-alive', 'transfer-encoding', ':status']
