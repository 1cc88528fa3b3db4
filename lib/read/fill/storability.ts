import type { FastifyReply } from 'fastify'
import { initialAge, lifetimeOf } from '../../http/freshness.js'
import { listOf, textOf, type Headers, type HeaderValue } from '../../http/headers.js'
import { refusalToStore } from '../../http/storable.js'
import type { CompiledReadPolicy } from '../../policy/read-policy.js'
import type { Answer } from './answer.js'

/** An answer that varies on more request headers than this is not worth storing. */
const MAX_VARY = 16
const NONE: readonly string[] = []

/**
 * Why an answer may not be stored, as far as it shows when the handler sends it.
 * @param variesOn the request headers that choose between answers like this one
 */
export function earlyRefusal (policy: CompiledReadPolicy, { status, headers, body }: Answer, variesOn: readonly string[]): string | undefined {
  if (!policy.statuses.has(status)) return 'status'
  if ((body?.length ?? Number(headers['content-length'] ?? 0)) > policy.maxBytes) return 'too-large'
  if (variesOn.length > MAX_VARY) return 'vary'
  const now = Date.now()
  return refusalToStore(headers) ??
    (lifetimeOf(headers, policy.expire, now) <= initialAge(headers, now) ? 'expired' : undefined)
}

/**
 * The same, of what only shows when all hooks have run.
 * @param sentStatus the status that the handler's answer left with
 * @param ownCacheControl the Cache-Control that the cache itself put on the reply
 */
export function lateRefusal (reply: FastifyReply, sentStatus: number, ownCacheControl: string | undefined): string | undefined {
  if (reply.statusCode !== sentStatus && reply.statusCode >= 400) return 'failed'
  const late: Record<string, HeaderValue> = { 'set-cookie': reply.getHeader('set-cookie') }
  const cacheControl = reply.getHeader('cache-control')
  if (cacheControl !== ownCacheControl) late['cache-control'] = cacheControl
  return refusalToStore(late)
}

/**
 * The request headers that the handler's Vary nominates (RFC 9111 section 4.1): not those that only
 * hooks set for themselves, nor those that the key holds already.
 */
export function nominated (policy: CompiledReadPolicy, { vary }: Headers, before: Headers): readonly string[] {
  if (vary === undefined || textOf(vary) === textOf(before.vary)) return NONE
  return [...new Set(listOf(vary))].filter((name) => !policy.vary.includes(name)).sort()
}
