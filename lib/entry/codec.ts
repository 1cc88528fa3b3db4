import { crc32 } from 'node:zlib'
import { isStorableHeader } from '../http/headers.js'
import { ONE_YEAR_IN_SECONDS } from '../policy/durations.js'
import type { BodyKind, Entry, StoredHeaders } from './entry.js'

/*
 * An entry as bytes:
 *
 *   0  'FAC' and the format's number   4 bytes
 *   4  CRC-32 of the key and of everything from 8 on
 *   8  length of the head              4 bytes, big-endian
 *  12  the head: JSON, the versions first so that a sweep reads only the beginning
 *   …  the body, as it is
 */
const MAGIC = 0x46414301
const HEAD_AT = 12
/** Where the checksum and the head's length are: with the key they tell one filling of an entry from the next. */
export const SEAL_AT = 4
export const SEAL_END = HEAD_AT
/** More than any answer needs: what somebody else wrote must not cost us our time. */
const MAX_HEAD_BYTES = 256 * 1024
const MAX_HEADERS = 1_000
const MAX_VARIES_ON = 100
/** Never stored, as they are no answer to a whole GET. */
const PARTIAL = new Set<unknown>([206, 304])
const NONE: readonly string[] = []
const KINDS: readonly BodyKind[] = ['text', 'bytes', 'empty']

type Head = [
  versions: Record<string, string>,
  route: string,
  status: number,
  kind: number,
  filledAt: number,
  age: number,
  lifetime: number,
  headers: StoredHeaders,
  removed: readonly string[],
  variesOn?: readonly string[]
]

/** The bytes under which `key` keeps the entry. */
export function encodeEntry (key: string, entry: Entry): Buffer {
  const parts: Head = [
    entry.versions, entry.route, entry.status, KINDS.indexOf(entry.kind), entry.filledAt, entry.age, entry.lifetime,
    entry.headers, entry.removed ?? NONE
  ]
  if (entry.variesOn !== undefined) parts.push(entry.variesOn)
  const head = JSON.stringify(parts)
  const headBytes = Buffer.byteLength(head)
  const bodyAt = HEAD_AT + headBytes
  const frame = Buffer.allocUnsafe(bodyAt + entry.body.length)
  frame.writeUInt32BE(MAGIC, 0)
  frame.writeUInt32BE(headBytes, 8)
  frame.write(head, HEAD_AT)
  frame.set(entry.body, bodyAt)
  frame.writeUInt32BE(crc32(frame.subarray(8), crc32(key)), 4)
  return frame
}

/**
 * The entry in `frame`, its body a slice of it; undefined when the bytes are not exactly what
 * this version of the plugin wrote under this key.
 */
export function decodeEntry (key: string, frame: Buffer): Entry | undefined {
  const bodyAt = headEnd(frame)
  if (bodyAt === 0 || bodyAt > frame.length) return undefined
  if (crc32(frame.subarray(8), crc32(key)) !== frame.readUInt32BE(4)) return undefined
  const head = parseHead(frame.toString('utf8', HEAD_AT, bodyAt))
  if (head === undefined) return undefined
  const [versions, route, status, kind, filledAt, age, lifetime, headers, removed, variesOn] = head
  return {
    route,
    versions,
    status,
    headers,
    removed: removed.length === 0 ? undefined : removed,
    kind: KINDS[kind]!,
    body: frame.subarray(bodyAt),
    text: KINDS[kind] === 'text' ? frame.toString('utf8', bodyAt) : undefined,
    filledAt,
    age,
    lifetime,
    variesOn
  }
}

/** How many bytes from the beginning hold the head; 0 when this is no frame of ours. */
export function headEnd (beginning: Buffer): number {
  if (beginning.length < HEAD_AT || beginning.readUInt32BE(0) !== MAGIC) return 0
  const length = beginning.readUInt32BE(8)
  return length <= MAX_HEAD_BYTES ? HEAD_AT + length : 0
}

/** The versions in a frame of which at least the head is there; undefined for anything else. */
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

/** A checksum proves that nothing was damaged, not that nobody wrote it on purpose: each field is checked. */
function isHead (head: unknown): head is Head {
  if (!Array.isArray(head)) return false
  const [versions, route, status, kind, filledAt, age, lifetime, headers, removed, variesOn] = head as unknown[]
  return isVersions(versions) && typeof route === 'string' &&
    Number.isInteger(status) && (status as number) >= 200 && (status as number) <= 599 && !PARTIAL.has(status) &&
    Number.isInteger(kind) && KINDS[kind as number] !== undefined &&
    Number.isSafeInteger(filledAt) && isSeconds(age) && isSeconds(lifetime) &&
    isHeaders(headers) && isTexts(removed) && (removed as string[]).length <= MAX_HEADERS &&
    (removed as string[]).every((name) => isStorableHeader(name, '')) &&
    (variesOn === undefined || (isTexts(variesOn) && (variesOn as string[]).length <= MAX_VARIES_ON))
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
const isVersions = (value: unknown): boolean => isRecord(value) && isTexts(Object.values(value))
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every((item) => typeof item === 'string')
const isSeconds = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= ONE_YEAR_IN_SECONDS

function isHeaders (value: unknown): boolean {
  if (!isRecord(value)) return false
  const names = Object.keys(value)
  return names.length <= MAX_HEADERS && names.every((name) => isStorableHeader(name, value[name]))
}
