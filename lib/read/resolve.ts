import { REFRESH, takeInjected } from '../fastify/injected-refresh.js'
import { kFound } from '../fastify/state.js'
import type { CacheControl } from '../http/cache-control.js'
import { requestDirectives } from '../http/request-directives.js'
import type { MaybePromise } from '../store/contract.js'
import { coalesce } from './coalesce/coalesce.js'
import {
  bypassFor, missFor, type Bypass, type Exchange, type Failed, type Found, type Hit, type Miss, type Stale
} from './exchange.js'
import type { FillContext } from './fill/context.js'
import { lookup } from './lookup.js'
import { bridge } from './refresh/bridge.js'
import { isDueEarly } from './refresh/early.js'
import { refreshAfter, type Handle } from './refresh/refresh.js'

/** A request with `only-if-cached` for which there is no entry. */
export interface Refused {
  readonly outcome: 'refused'
  readonly found: Miss | Bypass
}

/** What answers a request: an entry, a run of the handler that is stored, one that is not, or a failure. */
export type Resolved = Hit | FillContext | Miss | Bypass | Failed | Refused

/**
 * Finds what answers a request.
 * @param fills whether the answer of the handler may be stored
 * @param handle runs the handler to refresh an entry; undefined where that is not possible
 */
export async function resolve (exchange: Exchange, fills: boolean, handle?: Handle): Promise<Resolved> {
  const { route, request } = exchange
  const refresh = REFRESH in request.headers ? takeInjected(request, route) : undefined
  if (refresh !== undefined) return refresh
  const directives = route.policy.obeysRequest ? requestDirectives(request.headers) : undefined
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
