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

const CACHE = new Token('fastify-api-cache')
const HIT = `${serialized({ hit: true })};ttl=`

/** One member of a Cache-Status header. */
export function serialized (status: CacheStatus): string {
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

/** The most frequent one, without building it each time. */
export const hitStatus = (ttl: number): string => HIT + ttl

/** Caches that the response passed before stand first, as they are nearer to the origin. */
export function appended (earlier: HeaderValue, member: string): string {
  const before = textOf(earlier)
  return before === undefined || before === '' ? member : `${before}, ${member}`
}
