/** By name, in lower case. */
export type StoredHeaders = Readonly<Record<string, string | string[]>>

/** What the body was when the handler sent it, so that hooks meet the same type on a HIT. */
export type BodyKind = 'text' | 'bytes' | 'empty'

/** One stored response. */
export interface Entry {
  /** The route that filled it: two routes may give one key, never one entry. */
  readonly route: string
  /** The versions it was filled under, by their keys: it is valid only while all are current. */
  readonly versions: Readonly<Record<string, string>>
  readonly status: number
  readonly headers: StoredHeaders
  /** Headers that hooks before the handler had set and that it took away. */
  readonly removed?: readonly string[] | undefined
  readonly kind: BodyKind
  readonly body: Buffer
  /** The same as text, where it was one and somebody has made it text already. */
  readonly text?: string | undefined
  /** When it was filled, in milliseconds since 1970. */
  readonly filledAt: number
  /** Seconds of age that it already had then (RFC 9111 section 4.2.3). */
  readonly age: number
  /** Seconds that it is fresh for, counted from `filledAt`. */
  readonly lifetime: number
  /**
   * Request headers that choose between the variants of this key (RFC 9111 section 4.1): such an
   * entry has no body of its own.
   */
  readonly variesOn?: readonly string[] | undefined
}

/** Whole seconds since the entry was generated (RFC 9111 section 4.2.3). */
export function ageOf (entry: Entry, now: number): number {
  return entry.age + Math.max(0, Math.floor((now - entry.filledAt) / 1000))
}

/** Whole seconds of freshness left (RFC 9111 section 4.2); none when 0 or less. */
export function freshnessOf (entry: Entry, now: number): number {
  return Math.ceil((entry.filledAt - now) / 1000) + entry.lifetime
}

/**
 * The entry as it is kept in the process: its bytes and its text in memory of their own, not as
 * parts of something larger (what a socket read, a piece that Node shares among small buffers, a
 * text that the handler cut this one from) which they would keep alive.
 */
export function detached (entry: Entry): Entry {
  const body = ownBytes(entry.body)
  return { ...entry, body, text: entry.text === undefined ? undefined : body.toString() }
}

function ownBytes (bytes: Buffer): Buffer {
  if (bytes.length === bytes.buffer.byteLength) return bytes
  const own = Buffer.allocUnsafeSlow(bytes.length)
  own.set(bytes)
  return own
}

/** What an entry costs in memory beside its key, its headers and its body. */
const ENTRY_OVERHEAD = 1024

/** About how many bytes of memory an entry takes under its key: a text is kept as text and as bytes. */
export function sizeOfEntry (entry: Entry, key: string): number {
  let size = ENTRY_OVERHEAD + key.length + entry.body.length * (entry.kind === 'text' ? 2 : 1)
  for (const [name, value] of Object.entries(entry.headers)) size += name.length + String(value).length
  for (const version of Object.keys(entry.versions)) size += version.length
  return size
}
