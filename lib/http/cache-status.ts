import { serializeItem, Token, type BareItem } from 'structured-headers'
import { textOf, type HeaderValue } from './headers.js'

/** Why a request went to its handler (RFC 9211 section 2.2). */
export type Forwarded = 'bypass' | 'uri-miss' | 'vary-miss' | 'request' | 'stale'

/** What the Cache-Status of a response says (RFC 9211 section 2). */
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
const CACHE = new Token('fastify-api-cache')

/** Members without key and ttl, which are the same for many requests. */
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
  if (status.detail !== undefined) parameters.set('detail', detailOf(status.detail))
  return serializeItem([CACHE, parameters])
}

const detailOf = (text: string): BareItem => /^[a-z][a-z0-9-]*$/.test(text) ? new Token(text) : text

const HIT = `${build({ hit: true })};ttl=`

let last = { ttl: 0, member: `${HIT}0` }

/** The member for a HIT. The last one is kept, because all HITs of an entry within a second have the same. */
export function hitStatus (ttl: number): string {
  if (ttl !== last.ttl) last = { ttl, member: HIT + ttl }
  return last.member
}

/** Adds a member behind those of caches nearer to the origin (RFC 9211 section 2). */
export function appended (earlier: HeaderValue, member: string): string {
  return earlier === undefined || earlier === '' ? member : `${textOf(earlier)!}, ${member}`
}
