import type { RouteHandlerMethod } from 'fastify'
import { OnlyIfCachedError } from '../errors.js'
import { REFRESH, takeInjected } from '../fastify/injected-refresh.js'
import { isReading } from '../fastify/methods.js'
import { kFound } from '../fastify/state.js'
import type { CacheControl } from '../http/cache-control.js'
import { requestDirectives } from '../http/request-directives.js'
import type { MaybePromise } from '../store/contract.js'
import { coalesce } from './coalesce/coalesce.js'
import { readable, UNREADABLE } from './encoding/plain.js'
import {
  bypassFor, missFor, type Bypass, type CachedRoute, type Exchange, type Failed, type Found, type Hit, type Miss,
  type Stale
} from './exchange.js'
import type { FillContext } from './fill/context.js'
import { fill } from './fill/fill.js'
import { presentEntry, sendEntry } from './hit.js'
import { lookup } from './lookup.js'
import { passThrough, publishRefused, refuseOnlyIfCached, sendFailure } from './pass-through.js'
import { bridge } from './refresh/bridge.js'
import { isDueEarly } from './refresh/early.js'
import { injected, refreshAfter, type Handle } from './refresh/refresh.js'

/**
 * The handler of a cached route: serves a stored response, waits for the fill of another request, or
 * runs the route's own handler and stores its response. Because it is the handler, it runs after all
 * hooks that the application put before it, and gets the request validated, coerced and
 * authenticated.
 */
export function cachedHandler (
  route: CachedRoute, handler: RouteHandlerMethod, methods: readonly string[]
): RouteHandlerMethod {
  const isInjected = route.policy.refreshWith === 'inject'
  let handle: Handle | undefined
  const cached: RouteHandlerMethod = function cached (request, reply) {
    // Once: Fastify calls a route's handler with the same instance. One that returns nothing sends the response itself.
    const run = handle ??= (request, reply) => handler.call(this, request, reply) ?? reply
    return respond({ route, request, reply }, () => run(request, reply), isInjected ? injected : run)
  }
  if (methods.every(isReading)) return cached
  return function cachedIfReading (request, reply) {
    return (isReading(request.method) ? cached : handler).call(this, request, reply)
  }
}

/**
 * Responds to a request from the cache, or with what `run` answers; returns what Fastify is to send.
 * @param handle runs the handler to refresh an entry; default: in a request of the application's own
 */
export async function respond (exchange: Exchange, run: () => unknown, handle: Handle = injected): Promise<unknown> {
  const resolved = await resolve(exchange, exchange.request.method === 'GET', handle)
  switch (resolved.outcome) {
    case 'hit': {
      const hit = resolved.entry.plainLength === undefined ? resolved : await readable(exchange, resolved, false)
      return hit === undefined ? passThrough(exchange, bypassFor(UNREADABLE), run) : sendEntry(exchange, hit)
    }
    case 'fill': return fill(exchange, resolved, run)
    case 'failed': return sendFailure(exchange, resolved)
    case 'refused': return refuseOnlyIfCached(exchange, resolved.found)
    default: return passThrough(exchange, resolved, run)
  }
}

/** A request with `only-if-cached` for which there is no entry. */
export interface Refused {
  readonly outcome: 'refused'
  readonly found: Miss | Bypass
}

/** What answers a request: an entry, a run of the handler that is stored, one that is not, or a failure. */
export type Resolved = Hit | FillContext | Miss | Bypass | Failed | Refused

/**
 * Finds what answers a request: looks it up, bridges a stale entry, waits for another's fill or begins one.
 * @param fills whether the answer of the handler may be stored
 * @param handle runs the handler to refresh an entry; undefined where that is not possible
 */
export async function resolve (exchange: Exchange, fills: boolean, handle?: Handle): Promise<Resolved> {
  const { route, request } = exchange
  const refresh = REFRESH in request.headers ? takeInjected(request, route) : undefined
  if (refresh !== undefined) return refresh
  const directives = directivesOf(exchange)
  const looked = await lookedUp(exchange, directives)
  if (looked.outcome === 'hit') {
    refreshEarly(exchange, looked, handle)
    return looked
  }
  const found = looked.outcome === 'stale' ? await bridged(exchange, looked, handle) : looked
  if (found.outcome === 'hit' || found.outcome === 'failed') return found
  // RFC 9111 section 5.2.1.7.
  if (directives?.onlyIfCached === true) return { outcome: 'refused', found }
  return found.outcome === 'bypass' || !fills ? found : await coalesce(exchange, found, directives)
}

/** Where the cache is switched off there is only an origin, for which they are not meant. */
const directivesOf = ({ route: { policy, runtime }, request }: Exchange): CacheControl | undefined =>
  policy.obeysRequest && runtime.enabled ? requestDirectives(request.headers) : undefined

function lookedUp (exchange: Exchange, directives: CacheControl | undefined): MaybePromise<Found> {
  const { request } = exchange
  // With `attachValidation` the handler responds to invalid requests itself.
  if (request.validationError != null) return bypassFor('validation')
  return request[kFound] ?? lookup(exchange, directives)
}

const bridged = (exchange: Exchange, stale: Stale, handle: Handle | undefined): MaybePromise<Hit | Failed | Miss> =>
  handle === undefined ? missFor(stale) : bridge(exchange, stale, handle)

function refreshEarly (exchange: Exchange, hit: Hit, handle: Handle | undefined): void {
  const { earlyRefresh } = exchange.route.policy
  if (earlyRefresh === 0 || handle === undefined) return
  // The hook serves all HITs but those that refresh.
  const isFromHook = hit === exchange.request[kFound]
  if (isFromHook || isDueEarly(hit, earlyRefresh)) refreshAfter(exchange, hit, handle)
}

/**
 * Responds in the same way where a framework sends what this returns, after it has done more to the reply.
 * @throws OnlyIfCachedError
 */
export async function presented (exchange: Exchange, run: () => unknown): Promise<unknown> {
  const resolved = await resolve(exchange, exchange.request.method === 'GET', injected)
  switch (resolved.outcome) {
    case 'hit': {
      const hit = resolved.entry.plainLength === undefined ? resolved : await readable(exchange, resolved, true)
      return hit === undefined
        ? await passThrough(exchange, bypassFor(UNREADABLE), run)
        : presentEntry(exchange, hit)
    }
    case 'failed': return sendFailure(exchange, resolved)
    case 'fill': {
      let answer: unknown
      // The framework may send something that it makes of the answer.
      await fill(exchange, resolved, async () => { answer = await run() })
      return answer
    }
    case 'refused':
      publishRefused(exchange, resolved.found)
      throw new OnlyIfCachedError(exchange.route.name)
    default: return await passThrough(exchange, resolved, run)
  }
}
