import { cacheControl } from '../../http/cache-control.js'
import { initialAge, lifetimeOf, staleWindows, type StaleWindows } from '../../http/freshness.js'
import type { Headers } from '../../http/headers.js'
import { refusalToStore } from '../../http/storable.js'
import { EXPECTED_RETURN, returnedSeconds } from '../../policy/expire.js'
import { unexpectedReturn } from '../../policy/fields.js'
import type { CompiledReadPolicy } from '../../policy/read-policy.js'
import type { Exchange } from '../exchange.js'

/** Why a response is not stored whose status is none of the policy's. */
export const STATUS = 'status'

/** How old a response is, and how long it is fresh, in seconds. */
export interface Freshness {
  readonly age: number
  /** Infinity until the policy's function has said it. */
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

/** Whether a response may be stored, and the reason if it may not. */
export interface Assessment {
  readonly freshness: Freshness
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
  const lifetime = lifetimeOf(headers, directives, policy.lifetimes.get(status) ?? 0, now)
  const freshness = { age, lifetime, windows: staleWindows(directives, policy.staleWindows) }
  const length = body?.length ?? Number(headers['content-length'] ?? 0)
  // What is private comes first: other responses that are not stored are shared by those who wait.
  const refusal = refusalToStore(status, headers, directives, policy.ignoresCookie) ??
    (length > policy.maxBytes ? 'too-large' : undefined)
  if (refusal !== undefined) return { freshness, refusal }
  if (!policy.lifetimes.has(status)) return { freshness, refusal: STATUS }
  return { freshness, refusal: lifetime <= age ? 'expired' : undefined }
}

/** What the functions of the policy say of a response that may be stored: whether it is, and for how long. */
export function judge (exchange: Exchange, payload: unknown, freshness: Freshness): Assessment {
  if (!isWanted(exchange, payload)) return { freshness, refusal: 'when' }
  if (freshness.lifetime !== Infinity) return { freshness, refusal: undefined }
  const lifetime = lifetimeByPolicy(exchange, payload)
  const limited = { ...freshness, lifetime }
  if (lifetime === 0) return { freshness: limited, refusal: 'expire' }
  return { freshness: limited, refusal: lifetime <= freshness.age ? 'expired' : undefined }
}

/** Whether the policy's `when` allows storing this response. */
function isWanted (exchange: Exchange, payload: unknown): boolean {
  const { when } = exchange.route.policy
  if (when === undefined) return true
  return asked(exchange, false, () => {
    const wanted: unknown = when(exchange.request, exchange.reply, payload)
    if (typeof wanted !== 'boolean') throw unexpectedReturn('when', 'true or false', wanted)
    return wanted
  })
}

/** The seconds that the policy's `expire` gives this response; 0 if it is not to be stored. */
function lifetimeByPolicy (exchange: Exchange, payload: unknown): number {
  return asked(exchange, 0, () => {
    const returned: unknown = exchange.route.policy.expireOf?.(exchange.request, exchange.reply, payload)
    const seconds = returnedSeconds(returned)
    if (seconds === undefined) throw unexpectedReturn('expire', EXPECTED_RETURN, returned)
    return seconds
  })
}

/** What a function of the policy says; if it fails, what does no harm. */
function asked<T> ({ route, request }: Exchange, harmless: T, ask: () => T): T {
  try {
    return ask()
  } catch (error) {
    route.runtime.log.policyFault(request.log, route.name, error)
    return harmless
  }
}
