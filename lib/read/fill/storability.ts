import { cacheControl } from '../../http/cache-control.js'
import { initialAge, lifetimeOf } from '../../http/freshness.js'
import type { Headers, HeaderValue } from '../../http/headers.js'
import { refusalToStore } from '../../http/storable.js'
import { unexpectedReturn } from '../../policy/fields.js'
import type { CachedRoute, Exchange } from '../exchange.js'
import { NO_NAMES } from '../variants.js'
import type { Answer, Sent } from './answer.js'

/** Most request headers that a stored response may vary on. */
const MAX_VARY = 16

interface Assessment {
  answer: Answer
  /** Why the response may not be stored. */
  refusal: string | undefined
}

/**
 * Assesses what a handler sent, before hooks run.
 * @param before the headers before the handler ran
 */
export function assess ({ policy, variants }: CachedRoute, sent: Sent, before: Headers): Assessment {
  const { status, headers, own, type, kind, body, text } = sent
  const directives = cacheControl(headers['cache-control'])
  const sentAt = Date.now()
  // Not `{ ...sent, … }`: V8 creates a hidden class for each object that grows after a spread.
  const answer: Answer = {
    status,
    headers,
    own,
    type,
    kind,
    body,
    text,
    vary: headers.vary === undefined ? NO_NAMES : variants.nominated(headers, before),
    age: initialAge(headers, sentAt),
    lifetime: lifetimeOf(headers, directives, policy.expire, sentAt),
    sentAt,
    sentAtMonotonic: performance.now()
  }
  const refusal = refusalOf(answer, policy) ?? refusalToStore(headers, directives)
  return { answer, refusal: refusal ?? (answer.lifetime <= answer.age ? 'expired' : undefined) }
}

function refusalOf (
  { status, headers, body, vary }: Answer, { statuses, maxBytes }: CachedRoute['policy']
): string | undefined {
  if (!statuses.has(status)) return 'status'
  if ((body?.length ?? Number(headers['content-length'] ?? 0)) > maxBytes) return 'too-large'
  return vary.length > MAX_VARY ? 'vary' : undefined
}

/**
 * Why a response may not be stored, from what hooks changed after the handler.
 * @param sentStatus the status of the reply after the handler sent its response
 * @param ownCacheControl the Cache-Control that the cache added to the reply
 */
export function lateRefusal (
  { reply }: Exchange, sentStatus: number, ownCacheControl: string | undefined
): string | undefined {
  if (reply.statusCode !== sentStatus && reply.statusCode >= 400) return 'failed'
  const setCookie = reply.getHeader('set-cookie')
  const given = reply.getHeader('cache-control')
  if (setCookie === undefined && given === ownCacheControl) return undefined
  const late: Record<string, HeaderValue> = { 'set-cookie': setCookie }
  return refusalToStore(late, cacheControl(given === ownCacheControl ? undefined : given))
}

/** Whether the policy's `when` allows storing this response. */
export function isWanted ({ route, request, reply }: Exchange, payload: unknown): boolean {
  const { policy: { when }, runtime, name } = route
  if (when === undefined) return true
  try {
    const wanted: unknown = when(request, reply, payload)
    if (typeof wanted !== 'boolean') throw unexpectedReturn('when', 'true or false', wanted)
    return wanted
  } catch (error) {
    runtime.log.policyFault(request.log, name, error)
    return false
  }
}
