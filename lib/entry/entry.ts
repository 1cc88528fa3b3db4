import type { Encoded } from '../encoding/codings.js'
import { httpDate, httpDateOf } from '../http/date.js'
import type { StaleWindows } from '../http/freshness.js'
import type { Extension } from '../http/headers.js'
import { now } from './clock.js'

/** Header values by name; names are in lower case. */
export type StoredHeaders = Readonly<Record<string, string | string[]>>

/** As what the handler sent the body. On a HIT, hooks get the same. */
export type BodyKind = 'text' | 'bytes' | 'empty' | 'stream' | 'web-stream' | 'response'

/** One stored response. All times are milliseconds since 1970. */
export interface Entry {
  /** The route that filled it. Two routes may produce the same key, but never share an entry. */
  readonly route: string
  /** The application that filled it. Applications with one prefix by mistake do not share entries. */
  readonly application?: string | undefined
  /** The versions it was filled under, by their keys. It is valid only while all of them are current. */
  readonly versions: Readonly<Record<string, string>>
  readonly status: number
  readonly headers: StoredHeaders
  /** Headers that the handler removed, if earlier hooks have set them. */
  readonly removedHeaders?: readonly string[] | undefined
  /** Headers of earlier hooks that the handler extended, with the text before and after the hook's value. */
  readonly extendedHeaders?: Readonly<Record<string, Extension>> | undefined
  /** For a body that was sent as a `Response`: the headers that it brought. */
  readonly responseHeaders?: readonly string[] | undefined
  /** Headers that the cache adds if neither the handler nor a hook has set them: Date and, for a body, ETag. */
  readonly defaultHeaders?: StoredHeaders | undefined
  readonly kind: BodyKind
  readonly body: Buffer
  /** The body as a string: if it is short, or if somebody wants a string on each HIT. A long one is kept twice then. */
  readonly text?: string | undefined
  /** The body in content codings, by their names; each is smaller than the plain one. */
  readonly encoded?: Encoded | undefined
  /** The length of a body that is kept in `encoded` only: `body` is empty then. */
  readonly plainLength?: number | undefined
  readonly storedAt: number
  /** The entry is stale from then on. */
  readonly staleAt: number
  /** The entry must not be used from then on, and a store may delete it. */
  readonly deleteAt: number
  /** For how long after `staleAt` it may be used; not at all without it. */
  readonly staleWindows?: StaleWindows | undefined
  /** Milliseconds that the fill took, if the policy needs that. */
  readonly fillTime?: number | undefined
  /** Its age in seconds at `storedAt` (RFC 9111 section 4.2.3, corrected_initial_age). */
  readonly initialAge: number
  /**
   * The request headers that select a variant of this key (RFC 9111 section 4.1). An entry with
   * this field has no body.
   */
  readonly vary?: readonly string[] | undefined
}

/** Up to this length Node sends a string faster than bytes, in one write with the headers. */
export const SHORT_TEXT = 2_048

/** Clocks of processes differ by less than this many milliseconds, or one of them is wrong. */
const SKEW = 1_000

/** Whether an entry was stored in the future: the clock of the process that stored it is ahead of this one's. */
export const isFromFuture = ({ storedAt }: Entry): boolean => storedAt > now()

/**
 * Milliseconds since the entry was stored (RFC 9111 section 4.2.3, resident_time). For one from the future they are
 * unknown. The store deletes it when it becomes stale, unless it may be used for longer: then it counts as stale.
 */
function residentTime ({ storedAt, staleAt, staleWindows }: Entry, at = now()): number {
  const time = at - storedAt
  return time < -SKEW && staleWindows !== undefined ? staleAt - storedAt : Math.max(0, time)
}

/** Age and remaining freshness of an entry, in whole seconds. */
export interface Ages {
  /** Time since the response was generated (RFC 9111 section 4.2.3). */
  readonly age: number
  /** Time until the entry becomes stale (RFC 9111 section 4.2); it is stale if this is 0 or less. */
  readonly freshness: number
}

/** @param oldSince since when it is old by soft writes, in milliseconds since 1970; default: not at all */
export function agesOf (entry: Entry, oldSince = Infinity): Ages {
  const time = now()
  return {
    age: entry.initialAge + Math.floor(residentTime(entry, time) / 1000),
    freshness: Math.ceil(freshFor(entry, oldSince, time) / 1000)
  }
}

/** Seconds since the entry became stale, by time or by a soft write. */
export function staleFor (entry: Entry, oldSince: number): number {
  return -freshFor(entry, oldSince) / 1000
}

/** Whether the entry has become stale by time. */
export const isStale = (entry: Entry): boolean => freshFor(entry, Infinity) <= 0

/** Milliseconds until the entry becomes stale, 0 or less since then. No write is in the future, whatever clocks say. */
function freshFor (entry: Entry, oldSince: number, at = now()): number {
  const byTime = entry.staleAt - entry.storedAt - residentTime(entry, at)
  return oldSince === Infinity ? byTime : Math.min(byTime, oldSince - at, 0)
}

/** Milliseconds until the entry must not be used any more; 0 or less if that time has passed. */
export function timeToLive (entry: Entry): number {
  return entry.deleteAt - entry.storedAt - residentTime(entry)
}

/**
 * The entry by another clock.
 * @param milliseconds by which its times move
 * @param ofDate milliseconds by which the Date that the cache adds moves, which has whole seconds
 */
export function moved (entry: Entry, milliseconds: number, ofDate: number): Entry {
  const seconds = Math.sign(ofDate) * Math.round(Math.abs(ofDate) / 1000)
  if (milliseconds === 0 && seconds === 0) return entry
  const { storedAt, staleAt, deleteAt, defaultHeaders } = entry
  return {
    ...entry,
    storedAt: storedAt + milliseconds,
    staleAt: staleAt + milliseconds,
    deleteAt: deleteAt + milliseconds,
    defaultHeaders: defaultHeaders && movedDate(defaultHeaders, seconds)
  }
}

function movedDate (headers: StoredHeaders, seconds: number): StoredHeaders {
  const at = typeof headers['date'] === 'string' ? httpDate(headers['date']) : undefined
  return at === undefined ? headers : { ...headers, date: httpDateOf(at + seconds * 1000) }
}

/**
 * The entry with its own copies of body and text. A slice would keep all the memory alive that it
 * was cut from: a socket's read buffer, Node's buffer pool or a longer string of the handler.
 */
export function detached (entry: Entry): Entry {
  const body = ownBytes(entry.body)
  const own = { ...entry, body, text: entry.text === undefined ? undefined : body.toString() }
  // Not set on all: V8 is slow with an object that grows after a spread.
  return entry.encoded === undefined ? own : { ...own, encoded: mapped(entry.encoded, ownBytes) }
}

function mapped (encoded: Encoded, change: (bytes: Buffer) => Buffer): Encoded {
  return Object.fromEntries(Object.entries(encoded).map(([coding, bytes]) => [coding, change(bytes)]))
}

function ownBytes (bytes: Buffer): Buffer {
  if (bytes.length === bytes.buffer.byteLength) return bytes
  const own = Buffer.allocUnsafeSlow(bytes.length)
  own.set(bytes)
  return own
}

/** The length of an entry's body without a content coding of this plugin. */
export const lengthOf = ({ body, plainLength }: Entry): number => plainLength ?? body.length

/** Bytes that the body takes in all forms in which it is kept. */
export function sizeOfBody ({ body, encoded }: Entry): number {
  let size = body.length
  for (const coding in encoded) size += encoded[coding as keyof Encoded]!.length
  return size
}

/** Bytes of memory that an entry takes without headers and versions, and whose body is empty. */
const ENTRY_BYTES = 1024
/** The same for a string without its characters, for a property of an object, and for an item of a list. */
const STRING_BYTES = 24
const PROPERTY_BYTES = 48
const ITEM_BYTES = 8

/** About how many bytes of memory an entry takes with its key, if it is detached. */
export function sizeOfEntry (entry: Entry, key: string): number {
  const { headers, defaultHeaders, removedHeaders, extendedHeaders, responseHeaders, vary, versions } = entry
  return ENTRY_BYTES + sizeOfBody(entry) + sizeOf(entry.text) +
    sizeOf(key) + sizeOf(versions) + sizeOf(headers) + sizeOf(defaultHeaders) + sizeOf(removedHeaders) +
    sizeOf(extendedHeaders) + sizeOf(responseHeaders) + sizeOf(vary)
}

/** About how many bytes of memory a string takes, or a list or an object of them. */
export function sizeOf (data: unknown): number {
  if (typeof data === 'string') return STRING_BYTES + data.length
  if (typeof data !== 'object' || data === null) return 0
  let size = 0
  if (Array.isArray(data)) {
    for (const item of data) size += ITEM_BYTES + sizeOf(item)
    return size
  }
  for (const name in data) size += PROPERTY_BYTES + sizeOf(name) + sizeOf((data as Record<string, unknown>)[name])
  return size
}
