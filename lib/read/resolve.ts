import { REFRESH, takeInjected } from '../fastify/injected-refresh.js'
import { kFound } from '../fastify/state.js'
import type { CacheControl } from '../http/cache-control.js'
import { requestDirectives } from '../http/request-directives.js'
import { coalesce } from './coalesce/coalesce.js'
import { bypassFor, missFor, type Bypass, type Exchange, type Failed, type Hit, type Miss } from './exchange.js'
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
  const found = await find(exchange, directives, handle)
  if (found.outcome === 'hit' || found.outcome === 'failed') return found
  // RFC 9111 section 5.2.1.7.
  if (directives?.onlyIfCached === true) return { outcome: 'refused', found }
  return found.outcome === 'bypass' || !fills ? found : await coalesce(exchange, found, directives)
}

async function find (
  exchange: Exchange, directives: CacheControl | undefined, handle: Handle | undefined
): Promise<Hit | Miss | Bypass | Failed> {
  const { route: { policy }, request } = exchange
  // With `attachValidation` the handler responds to invalid requests itself.
  if (request.validationError != null) return bypassFor('validation')
  const early = request[kFound]
  const found = await (early ?? lookup(exchange, directives))
  if (found.outcome === 'stale') return handle === undefined ? missFor(found) : await bridge(exchange, found, handle)
  if (found.outcome === 'hit' && handle !== undefined && policy.earlyRefresh > 0) {
    // The hook serves all HITs but those that refresh.
    if (found === early || isDueEarly(found, policy.earlyRefresh)) refreshAfter(exchange, found, handle)
  }
  return found
}
