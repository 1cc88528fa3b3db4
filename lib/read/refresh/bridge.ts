import { agesOf, staleFor } from '../../entry/entry.js'
import { CURRENT } from '../../store/validity.js'
import { answers, flightOf } from '../coalesce/coalesce.js'
import { FillFailure } from '../coalesce/fill-failure.js'
import type { Outcome } from '../coalesce/fills-in-flight.js'
import { missFor, type Exchange, type Failed, type Hit, type Miss, type Stale } from '../exchange.js'
import { refresh, refreshAfter, type Handle } from './refresh.js'

/** The part of Fastify's `handlerTimeout` for which a request with a stale entry waits: the rest is to send it. */
const PART_OF_TIMEOUT = 0.9

/**
 * What a request with a stale entry gets (RFC 5861): the entry at once while it is refreshed, or if its refresh
 * fails; else what the refresh brings. A write is never bridged, unless it said for how long: an invalidated entry is
 * not stale.
 */
export async function bridge (exchange: Exchange, stale: Stale, handle: Handle): Promise<Hit | Failed | Miss> {
  const { route, request } = exchange
  const { entry } = stale
  const { whileRevalidate, ifError } = entry.staleWindows ?? { whileRevalidate: 0, ifError: 0 }
  if (route.runtime.refreshes.isGone(flightOf(route, stale.key), entry)) return missFor(stale)
  const late = staleFor(entry, stale.oldSince)
  if (late < whileRevalidate) {
    refreshAfter(exchange, stale, handle)
    return used(stale, 'stale-while-revalidate')
  }
  if (late >= ifError || request.method !== 'GET') return missFor(stale)
  return await refreshedOr(stale, 'stale-if-error', exchange, handle)
}

/** The stale entry, with its ages now. */
function used ({ entry, key, oldSince }: Stale, why: string): Hit {
  const detail = oldSince === CURRENT ? why : `soft-${why}`
  return { outcome: 'hit', entry, key, ...agesOf(entry, oldSince), collapsed: false, detail }
}

/** What the refresh brings; the stale entry if it fails, if it takes too long, or if one has failed a moment ago. */
async function refreshedOr (
  stale: Stale, detail: string, exchange: Exchange, handle: Handle
): Promise<Hit | Failed | Miss> {
  const { route } = exchange
  const { key, entry } = stale
  if (!route.runtime.refreshes.isDue(flightOf(route, key), entry)) return used(stale, detail)
  const outcome = await refreshed(exchange, stale, handle)
  if (outcome === 'late') return used(stale, detail)
  if (outcome instanceof FillFailure) {
    if (outcome.isOutage) return used(stale, detail)
    return outcome.isFor(exchange.request)
      ? { outcome: 'failed', cause: outcome.cause, forwarded: 'stale', key }
      : missFor(stale)
  }
  if (outcome === undefined || typeof outcome === 'string') return missFor(stale)
  if (!await answers(exchange, key, outcome)) return missFor(stale)
  return { outcome: 'hit', entry: outcome.entry, key, ...agesOf(outcome.entry), collapsed: true }
}

/** The outcome of the refresh, in the time for which this request waits; undefined if there is none. */
async function refreshed (exchange: Exchange, stale: Stale, handle: Handle): Promise<Outcome | 'late' | undefined> {
  const { route: { runtime, policy }, route, request, reply } = exchange
  const inFlight = refresh(exchange, stale, handle)
  if (inFlight === undefined) return undefined
  const { handlerTimeout } = request.routeOptions
  // The handler's time has begun with the request.
  const left = handlerTimeout ? Math.max(0, handlerTimeout * PART_OF_TIMEOUT - reply.elapsedTime) : Infinity
  const limit = Math.min(runtime.fills.timeout, left)
  const outcome = await inFlight.within(Math.min(limit, policy.softTimeout ?? Infinity))
  if (outcome !== undefined) return outcome
  // Later requests need not wait for a handler that hangs.
  if (policy.softTimeout === undefined) runtime.refreshes.backoff.failed(flightOf(route, stale.key))
  return 'late'
}
