import { cacheControl } from '../../http/cache-control.js'
import { initialAge, lifetimeOf, staleWindows, type StaleWindows } from '../../http/freshness.js'
import type { Headers } from '../../http/headers.js'
import { refusalToStore } from '../../http/storable.js'
import { unexpectedReturn } from '../../policy/fields.js'
import type { CompiledReadPolicy } from '../../policy/read-policy.js'
import type { Exchange } from '../exchange.js'

/** Why a response is not stored whose status is none of the policy's. */
export const STATUS = 'status'

/** How old a response is, and how long it is fresh, in seconds. */
export interface Freshness {
  readonly age: number
  readonly lifetime: number
  readonly windows: StaleWindows
}

/** What both of two assessments allow. */
export function least (a: Freshness, b: Freshness): Freshness {
  return {
    age: Math.max(a.age, b.age),
    lifetime: Math.min(a.lifetime, b.lifetime),
    windows: {
      whileRevalidate: Math.min(a.windows.whileRevalidate, b.windows.whileRevalidate),
      ifError: Math.min(a.windows.ifError, b.windows.ifError)
    }
  }
}

/** What decides whether a response may be stored. */
export interface Candidate {
  readonly status: number
  readonly headers: Headers
  /** Undefined for a stream. */
  readonly body: Buffer | undefined
}

/** Whether a response may be stored: its freshness, and the reason if it may not. */
export interface Assessment extends Freshness {
  readonly refusal: string | undefined
}

/**
 * Assesses a response (RFC 9111 section 3). Called for what the handler sends, and again for what leaves:
 * a hook may forbid what the handler allowed, but not the reverse.
 * @param now in milliseconds since 1970
 */
export function assess (policy: CompiledReadPolicy, { status, headers, body }: Candidate, now: number): Assessment {
  const directives = cacheControl(headers['cache-control'])
  const age = initialAge(headers, now)
  const lifetime = lifetimeOf(headers, directives, policy.expire, now)
  const freshness = { age, lifetime, windows: staleWindows(directives, policy.staleWindows) }
  const length = body?.length ?? Number(headers['content-length'] ?? 0)
  // What is private comes first: other responses that are not stored are shared by those who wait.
  const refusal = refusalToStore(status, headers, directives, policy.ignoresCookie) ??
    (length > policy.maxBytes ? 'too-large' : undefined)
  if (refusal !== undefined) return { ...freshness, refusal }
  if (!policy.statuses.has(status)) return { ...freshness, refusal: STATUS }
  return { ...freshness, refusal: lifetime <= age ? 'expired' : undefined }
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
