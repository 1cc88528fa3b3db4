import { serializeItem, Token, type BareItem } from 'structured-headers'
import { textOf, type HeaderValue } from './headers.js'

/** Why a request went to its handler (RFC 9211 section 2.2). */
export type Forwarded = 'bypass' | 'uri-miss' | 'vary-miss' | 'request' | 'stale'

/** What one response tells of the cache (RFC 9211 section 2). */
export interface CacheStatus {
  hit?: boolean
  fwd?: Forwarded
  stored?: boolean
  collapsed?: boolean
  /** Seconds of freshness left. */
  ttl?: number
  key?: string
  detail?: string
}

const MAX_MADE = 200
const FORWARDED: readonly Forwarded[] = ['bypass', 'uri-miss', 'vary-miss', 'request', 'stale']
const CACHE = new Token('fastify-api-cache')

/** The few that say the same for many requests, made once. */
const made = new Map<string, string>()

/** One member of a Cache-Status header. */
export function serialized (status: CacheStatus): string {
  if (status.ttl !== undefined || status.key !== undefined) return build(status)
  const same = `${status.hit} ${status.fwd} ${status.stored} ${status.collapsed} ${status.detail}`
  let member = made.get(same)
  if (member === undefined) {
    member = build(status)
    if (made.size < MAX_MADE) made.set(same, member)
  }
  return member
}

function build (status: CacheStatus): string {
  const parameters = new Map<string, BareItem>()
  if (status.hit) parameters.set('hit', true)
  if (status.fwd !== undefined) parameters.set('fwd', new Token(status.fwd))
  if (status.stored) parameters.set('stored', true)
  if (status.collapsed) parameters.set('collapsed', true)
  if (status.ttl !== undefined) parameters.set('ttl', status.ttl)
  if (status.key !== undefined) parameters.set('key', status.key)
  if (status.detail !== undefined) parameters.set('detail', /^[a-z][a-z0-9-]*$/.test(status.detail) ? new Token(status.detail) : status.detail)
  return serializeItem([CACHE, parameters])
}

/** What most MISSes say. */
const STORED = new Map(FORWARDED.map((fwd) => [fwd, build({ fwd, stored: true })]))

/** A MISS whose answer was stored, and of which there is no more to say. */
export const storedStatus = (fwd: Forwarded): string => STORED.get(fwd)!

const HIT = `${build({ hit: true })};ttl=`

let last = { ttl: 0, member: `${HIT}0` }

/** The most frequent one, built once for all HITs of an entry in a second. */
export function hitStatus (ttl: number): string {
  if (ttl !== last.ttl) last = { ttl, member: HIT + ttl }
  return last.member
}

/** Caches that the response passed before stand first, as they are nearer to the origin. */
export function appended (earlier: HeaderValue, member: string): string {
  const before = textOf(earlier)
  return before === undefined || before === '' ? member : `${before}, ${member}`
}
