import { finished } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { RefreshTimeoutError } from '../../errors.js'
import { injectRefresh } from '../../fastify/injected-refresh.js'
import { replyToNobody, sendReturned, withoutClient } from '../../fastify/without-client.js'
import { kStoreWait } from '../../fastify/state.js'
import { kExplanation } from '../../observe/explain.js'
import { filledElsewhere, flightOf } from '../coalesce/coalesce.js'
import { FillFailure } from '../coalesce/fill-failure.js'
import type { FillInFlight } from '../coalesce/fills-in-flight.js'
import type { Exchange, Hit, Stale } from '../exchange.js'
import type { FillContext } from '../fill/context.js'
import { fill } from '../fill/fill.js'
import { groupVersions } from '../payload-tags.js'

/** Milliseconds after which a refresh is given up on a route without `handlerTimeout`. */
const LONGEST = 60_000

/** The route's handler, for any of its requests. */
export type Handle = (request: FastifyRequest, reply: FastifyReply) => unknown

/** Stands for a handler that is only run by a request of the application's own. */
export const injected: Handle = () => { throw new TypeError('a request of its own runs this handler') }

/** Refreshes an entry when the caller's response has left. */
export function refreshAfter (exchange: Exchange, found: Hit | Stale, handle: Handle): void {
  const { route, request, reply } = exchange
  const { fills, refreshes } = route.runtime
  const flight = flightOf(route, found.key)
  if (request.method !== 'GET' || !refreshes.isDue(flight, found.entry)) return
  // One at a time, however many soft writes come meanwhile.
  finished(reply.raw, () => { if (!fills.isRunning(flight)) refresh(exchange, found, handle) })
}

/**
 * Fills the key of an entry anew, on the validated request of a caller that has passed all guards, but without its
 * client. It is fenced like every fill: it stores under the versions that were current at the lookup.
 * @returns the fill in flight, also if another has begun it; undefined if there is nothing to do
 */
export function refresh (exchange: Exchange, found: Hit | Stale, handle: Handle): FillInFlight | undefined {
  const { route, request } = exchange
  const { fills, refreshes, background, log } = route.runtime
  const { key, entry } = found
  const flight = flightOf(route, key)
  const versions = found.outcome === 'stale' ? found.versions : key.versions.map((name) => entry.versions[name]!)
  const current = fills.find(flight, versions)
  if (current !== undefined || !refreshes.isDue(flight, entry)) return current
  const inFlight = fills.begin(flight, versions)
  if (inFlight === undefined) return undefined
  inFlight.whenPublished((outcome) => {
    refreshes.ended(flight, outcome, entry)
    if (outcome instanceof FillFailure) log.refreshFailed(request.log, route.name, outcome.cause)
  })
  void background.run(run(exchange, found, handle, inFlight).catch((error: unknown) => {
    fills.publish(inFlight, new FillFailure({ error }, request))
  }))
  return inFlight
}

async function run (
  { route, request, reply }: Exchange, { key, entry }: Hit | Stale, handle: Handle, inFlight: FillInFlight
): Promise<void> {
  const { runtime: { fills }, policy } = route
  const controller = new AbortController()
  const detached = withoutClient(request, controller.signal)
  detached[kExplanation] = undefined
  detached[kStoreWait] = { milliseconds: 0 }
  const own = handle === injected ? undefined : replyToNobody(detached, reply)
  const exchange: Exchange = { route, request: detached, reply: own ?? reply }
  const limit = request.routeOptions.handlerTimeout || LONGEST
  // A handler that hangs keeps no other from refreshing the entry.
  const timer = setTimeout(() => {
    fills.publish(inFlight, new FillFailure({ error: new RefreshTimeoutError(route.name, String(limit)) }, request))
    controller.abort()
  }, limit).unref()
  inFlight.whenPublished(() => { clearTimeout(timer) })
  if (await filledElsewhere(exchange, key, inFlight, entry.storedAt) !== undefined) return
  const groups = policy.payloadTags === undefined ? undefined : await groupVersions(exchange)
  const { versions } = inFlight
  const context: FillContext = {
    outcome: 'fill',
    forwarded: 'stale',
    detail: undefined,
    key,
    versions,
    groups,
    beganAt: performance.now(),
    isRefresh: true,
    inFlight
  }
  if (own === undefined) {
    // If a guard or a limit refused it, it has not reached the handler.
    if (!await injectRefresh(detached, { route, context })) fills.publish(inFlight, 'unshared')
  } else {
    sendReturned(own, () => fill(exchange, context, () => handle(detached, own)))
  }
  // A handler that hangs keeps nobody from closing the server.
  await inFlight.within(fills.timeout)
}
