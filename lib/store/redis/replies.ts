import { UnexpectedReplyError } from '../../errors.js'

/*
 * Checks that a reply has the form that the command's replies have. Any other reply is an error and
 * confirms nothing: inside MULTI every command replies QUEUED, and clients can transform replies.
 */

/** The value of a key; null if it does not exist. */
export type Value = Buffer | null

export function asValues (command: string, reply: unknown, count: number): readonly Value[] {
  if (Array.isArray(reply) && reply.length === count && reply.every(isValue)) return reply
  throw unexpected(command, reply)
}

/** QUEUED passes, too: it is neither an entry nor a version, and counts as missing. */
export function asValue (command: string, reply: unknown): Value {
  if (isValue(reply)) return reply
  throw unexpected(command, reply)
}

export function asBytes (command: string, reply: unknown): Buffer {
  if (Buffer.isBuffer(reply)) return reply
  throw unexpected(command, reply)
}

/** Clients return integers as number, as string (`stringNumbers`) or as bigint. */
export function asInteger (command: string, reply: unknown): number {
  if (Number.isSafeInteger(reply) || typeof reply === 'bigint') return Number(reply)
  if (typeof reply === 'string' && /^-?\d+$/.test(reply)) return Number(reply)
  throw unexpected(command, reply)
}

/** True for 1, false for 0. */
export function asFlag (command: string, reply: unknown): boolean {
  const integer = asInteger(command, reply)
  if (integer === 0 || integer === 1) return integer === 1
  throw unexpected(command, reply)
}

export function expectInteger (command: string, reply: unknown, expected: number): void {
  if (asInteger(command, reply) !== expected) throw unexpected(command, reply)
}

export function expectOk (command: string, reply: unknown): void {
  if (reply !== 'OK') throw unexpected(command, reply)
}

/** On a subscribed RESP2 connection the reply to PING is a list. */
export function expectPong (reply: unknown): void {
  if (reply !== 'PONG' && !(Array.isArray(reply) && reply[0] === 'pong')) throw unexpected('PING', reply)
}

/** The lines of INFO, possibly none. */
export function asInfo (reply: unknown): string {
  if (typeof reply === 'string' && (reply === '' || /^\w+:/m.test(reply))) return reply
  throw unexpected('INFO', reply)
}

export function asScan (reply: unknown): [cursor: string, keys: string[]] {
  if (Array.isArray(reply) && reply.length === 2) {
    const [cursor, keys] = reply as unknown[]
    if (typeof cursor === 'string' && /^\d+$/.test(cursor) && isTexts(keys)) return [cursor, keys]
  }
  throw unexpected('SCAN', reply)
}

/** Host and port, as one text. */
export function asAddress (command: string, reply: unknown): string {
  return asTexts(command, reply, 2).join(' ')
}

export function asTexts (command: string, reply: unknown, count: number): string[] {
  if (isTexts(reply) && reply.length === count) return reply
  throw unexpected(command, reply)
}

/** A string without its expected end; undefined for null. */
export function asMarkedText (command: string, reply: unknown, end: string): string | undefined {
  if (reply === null) return undefined
  if (typeof reply === 'string' && reply.length > end.length && reply.endsWith(end)) return reply.slice(0, -end.length)
  throw unexpected(command, reply)
}

const isValue = (reply: unknown): reply is Value => reply === null || Buffer.isBuffer(reply)
const isText = (reply: unknown): reply is string => typeof reply === 'string'
const isTexts = (reply: unknown): reply is string[] => Array.isArray(reply) && reply.every(isText)

const QUEUED = Buffer.from('QUEUED')

/** Does not show the reply's content, which may be a body. */
function unexpected (command: string, reply: unknown): Error {
  return new UnexpectedReplyError(command, formOf(reply))
}

function formOf (reply: unknown): string {
  if (reply === 'QUEUED' || (Buffer.isBuffer(reply) && reply.equals(QUEUED))) return 'QUEUED'
  if (Array.isArray(reply)) return `a list of ${reply.length}`
  return reply === null ? 'null' : `a value of type ${typeof reply}`
}
