import { crc32 } from 'node:zlib'
import { isCoding, type Coding, type Encoded } from '../encoding/codings.js'
import { areStorableHeaders, isStorableHeader } from '../http/headers.js'
import { ONE_YEAR_IN_SECONDS } from '../policy/duration.js'
import { SHORT_TEXT, type BodyKind, type Entry, type StoredHeaders } from './entry.js'

/*
 * An entry as bytes:
 *
 *   0  'FAC' and the format number          4 bytes
 *   4  CRC-32 of the key and of everything from byte 8 on
 *   8  length of the head                   4 bytes, big-endian
 *  12  the head: JSON, with the versions first, so that a sweep reads only the beginning
 *   …  the body in content codings, in the order and with the lengths that the head says
 *   …  the body, unchanged; nothing if it is kept in content codings only
 *
 * An entry with another format number is a MISS.
 */
const FORMAT = 0x46414304
const HEAD_AT = 12
/** The position of the checksum and the head's length. Together with the key they identify one fill. */
export const CHECKSUM_AT = 4
export const CHECKSUM_END = HEAD_AT
/** More than any response needs. Larger heads were not written by this plugin and are not parsed. */
const MAX_HEAD_BYTES = 256 * 1024
const MAX_HEADERS = 1_000
const MAX_VARY = 100
/** Longest body, in bytes, that is kept in content codings: what a value of Redis can hold. */
const MAX_PLAIN_LENGTH = 512 * 1024 * 1024
/** Statuses that are never stored, because they do not carry the whole response. */
const PARTIAL = new Set<unknown>([206, 304])
const KINDS: readonly BodyKind[] = ['text', 'bytes', 'empty', 'stream', 'web-stream', 'response']

type Head = [
  versions: Record<string, string>,
  route: string,
  /** Empty for none. */
  application: string,
  status: number,
  kind: number,
  storedAt: number,
  staleAt: number,
  deleteAt: number,
  initialAge: number,
  headers: StoredHeaders,
  more: More
]

/** What not every entry has; an object, because most have little of it. */
type More = Pick<Entry,
  'defaultHeaders' | 'removedHeaders' | 'extendedHeaders' | 'responseHeaders' | 'vary' | 'staleWindows' | 'fillTime' |
  'plainLength'
> & {
  encoded?: EncodedLengths | undefined
  /** Whether a long body is wanted as a string. */
  wantsText?: true | undefined
}

type EncodedLengths = ReadonlyArray<readonly [coding: Coding, length: number]>

/** The bytes that a store keeps under `key`. */
export function encodeEntry (key: string, entry: Entry): Buffer {
  const { defaultHeaders, removedHeaders, extendedHeaders, responseHeaders, vary, staleWindows, fillTime } = entry
  const forms = Object.entries(entry.encoded ?? {}) as Array<[Coding, Buffer]>
  const encoded = entry.encoded && forms.map(([coding, bytes]) => [coding, bytes.length] as const)
  const parts: Head = [
    entry.versions, entry.route, entry.application ?? '', entry.status, KINDS.indexOf(entry.kind),
    entry.storedAt, entry.staleAt, entry.deleteAt, entry.initialAge, entry.headers,
    {
      defaultHeaders,
      removedHeaders,
      extendedHeaders,
      responseHeaders,
      vary,
      staleWindows,
      fillTime,
      encoded,
      plainLength: entry.plainLength,
      wantsText: entry.text !== undefined && entry.body.length > SHORT_TEXT ? true : undefined
    }
  ]
  const head = JSON.stringify(parts)
  const headBytes = Buffer.byteLength(head)
  const formsAt = HEAD_AT + headBytes
  const bodyAt = formsAt + sizeOf(encoded)
  const frame = Buffer.allocUnsafe(bodyAt + entry.body.length)
  frame.writeUInt32BE(FORMAT, 0)
  frame.writeUInt32BE(headBytes, 8)
  frame.write(head, HEAD_AT)
  let at = formsAt
  for (const [, bytes] of forms) {
    frame.set(bytes, at)
    at += bytes.length
  }
  frame.set(entry.body, bodyAt)
  frame.writeUInt32BE(crc32(frame.subarray(8), crc32(key)), 4)
  return frame
}

/**
 * The entry in `frame`; its body is a slice of `frame`. Undefined unless the bytes are exactly what
 * this version of the plugin wrote under this key.
 */
export function decodeEntry (key: string, frame: Buffer): Entry | undefined {
  const formsAt = headEnd(frame)
  if (formsAt === 0 || formsAt > frame.length) return undefined
  if (crc32(frame.subarray(8), crc32(key)) !== frame.readUInt32BE(4)) return undefined
  const head = parseHead(frame.toString('utf8', HEAD_AT, formsAt))
  if (head === undefined) return undefined
  const [versions, route, application, status, kind, storedAt, staleAt, deleteAt, initialAge, headers, more] = head
  const bodyAt = formsAt + sizeOf(more.encoded)
  if (bodyAt > frame.length) return undefined
  const body = frame.subarray(bodyAt)
  return {
    route,
    application: application === '' ? undefined : application,
    versions,
    status,
    headers,
    defaultHeaders: more.defaultHeaders,
    removedHeaders: more.removedHeaders,
    extendedHeaders: more.extendedHeaders,
    responseHeaders: more.responseHeaders,
    kind: KINDS[kind]!,
    body,
    text: KINDS[kind] === 'text' ? textOf(body, more) : undefined,
    encoded: more.encoded && formsIn(frame, formsAt, more.encoded),
    plainLength: more.plainLength,
    storedAt,
    staleAt,
    deleteAt,
    initialAge,
    vary: more.vary,
    staleWindows: more.staleWindows,
    fillTime: more.fillTime
  }
}

/** Undefined where bytes are cheaper. Where there are encoded forms, most clients get those. */
const textOf = (body: Buffer, { wantsText, encoded }: More): string | undefined =>
  encoded === undefined && (wantsText === true || body.length <= SHORT_TEXT) ? body.toString() : undefined

const sizeOf = (encoded: EncodedLengths = []): number => encoded.reduce((size, [, length]) => size + length, 0)

function formsIn (frame: Buffer, formsAt: number, lengths: EncodedLengths): Encoded {
  const encoded: Partial<Record<Coding, Buffer>> = {}
  let at = formsAt
  for (const [coding, length] of lengths) {
    encoded[coding] = frame.subarray(at, at + length)
    at += length
  }
  return encoded
}

/** The offset at which the head ends; 0 if this plugin did not write the frame. */
export function headEnd (beginning: Buffer): number {
  if (beginning.length < HEAD_AT || beginning.readUInt32BE(0) !== FORMAT) return 0
  const length = beginning.readUInt32BE(8)
  return length <= MAX_HEAD_BYTES ? HEAD_AT + length : 0
}

/** The versions in a frame; undefined if its head is incomplete or invalid. */
export function decodeVersions (beginning: Buffer): Record<string, string> | undefined {
  const end = headEnd(beginning)
  if (end === 0 || end > beginning.length) return undefined
  return parseHead(beginning.toString('utf8', HEAD_AT, end))?.[0]
}

function parseHead (text: string): Head | undefined {
  let head: unknown
  try {
    head = JSON.parse(text)
  } catch {
    return undefined
  }
  return isHead(head) ? head : undefined
}

/** The checksum only proves that nothing was damaged. Anybody can write a valid one, so each field is checked. */
function isHead (head: unknown): head is Head {
  if (!Array.isArray(head)) return false
  const [versions, route, application, status, kind, storedAt, staleAt, deleteAt, age, headers, more]: unknown[] = head
  return isVersions(versions) && typeof route === 'string' && typeof application === 'string' &&
    isWholeStatus(status) && isKind(kind) && areTimes(storedAt, staleAt, deleteAt) && isSeconds(age) &&
    isHeaders(headers) && isMore(more)
}

function isMore (value: unknown): value is More {
  if (!isRecord(value)) return false
  for (const name in value) if (MORE.get(name)?.(value[name]) !== true) return false
  return true
}

const MORE = new Map<string, (value: unknown) => boolean>([
  ['defaultHeaders', isHeaders],
  ['removedHeaders', areHeaderNames],
  ['extendedHeaders', areExtensions],
  ['responseHeaders', areHeaderNames],
  ['vary', (value) => isNames(value, MAX_VARY)],
  ['staleWindows', areStaleWindows],
  ['encoded', areEncodedLengths],
  ['plainLength', (value) => isIntegerWithin(value, 1, MAX_PLAIN_LENGTH)],
  ['wantsText', (value) => value === true],
  ['fillTime', (value) => isIntegerWithin(value, 0, Number.MAX_SAFE_INTEGER)]
])

function areEncodedLengths (value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((form) =>
    Array.isArray(form) && form.length === 2 && isCoding(form[0]) && isIntegerWithin(form[1], 1, MAX_PLAIN_LENGTH))
}

function areHeaderNames (value: unknown): boolean {
  return isNames(value, MAX_HEADERS) && value.every((name) => isStorableHeader(name, ''))
}

function areExtensions (value: unknown): boolean {
  return isRecord(value) && areHeaderNames(Object.keys(value)) && Object.entries(value).every(([name, texts]) =>
    isTexts(texts) && texts.length === 2 && isStorableHeader(name, texts.join('')))
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isVersions = (value: unknown): boolean => isRecord(value) && isTexts(Object.values(value))
const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string')
const isNames = (value: unknown, limit: number): value is string[] => isTexts(value) && value.length <= limit
const isIntegerWithin = (value: unknown, lowest: number, highest: number): boolean =>
  Number.isInteger(value) && (value as number) >= lowest && (value as number) <= highest
const isWholeStatus = (value: unknown): boolean => isIntegerWithin(value, 200, 599) && !PARTIAL.has(value)
const isKind = (value: unknown): boolean => isIntegerWithin(value, 0, KINDS.length - 1)
const isSeconds = (value: unknown): boolean => isIntegerWithin(value, 0, ONE_YEAR_IN_SECONDS)

const isTime = (value: unknown): value is number => Number.isSafeInteger(value)

/** Whether the times are in order and no further apart than an entry may live. */
function areTimes (storedAt: unknown, staleAt: unknown, deleteAt: unknown): boolean {
  return isTime(storedAt) && isTime(staleAt) && isTime(deleteAt) && storedAt <= staleAt && staleAt <= deleteAt &&
    deleteAt - storedAt <= ONE_YEAR_IN_SECONDS * 1000
}

function areStaleWindows (value: unknown): boolean {
  return isRecord(value) && Object.keys(value).length === 2 &&
    isSeconds(value['whileRevalidate']) && isSeconds(value['ifError'])
}

function isHeaders (value: unknown): boolean {
  return isRecord(value) && Object.keys(value).length <= MAX_HEADERS && areStorableHeaders(value)
}
