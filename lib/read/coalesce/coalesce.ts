import { agesOf } from '../../entry/entry.js'
import { headerOn } from '../../fastify/private-state.js'
import type { CacheControl } from '../../http/cache-control.js'
import { accepts } from '../../http/request-directives.js'
import type { CacheKey } from '../../key/cache-key.js'
import { CLOSED } from '../../store/contract.js'
import { UNAVAILABLE } from '../../store/guarded-store.js'
import { CURRENT } from '../../store/validity.js'
import { newVersion } from '../../write/version.js'
import {
  bypassFor, type Bypass, type CachedRoute, type Exchange, type Failed, type Hit, type Miss
} from '../exchange.js'
import type { FillContext } from '../fill/context.js'
import { lookupAgain } from '../lookup.js'
import { groupVersions, payloadTagsOf, tagsOldSince } from '../payload-tags.js'
import { storeWaitOf } from '../store-wait.js'
import { FillFailure } from './fill-failure.js'
import { FillInFlight, type Filled } from './fills-in-flight.js'

/**
 * Turns a miss into a fill of its own, or into the outcome of another request's fill.
 * @param directives those of the request
 */
export async function coalesce (
  exchange: Exchange, miss: Miss, directives: CacheControl | undefined
): Promise<FillContext | Hit | Failed | Bypass> {
  const { request, route: { runtime, policy } } = exchange
  const { key, forwarded, detail } = miss
  const versions = allOf(miss.versions) ??
    await runtime.store.call('ensure', (store) => store.ensure(key.versions, newVersion()), storeWaitOf(request))
  if (versions === UNAVAILABLE) return bypassFor('unavailable')
  if (versions.includes(CLOSED)) return bypassFor('invalidating')

  // A request whose directives refuse stored responses does not share a fill.
  const isShared = forwarded !== 'request' && (directives === undefined || accepts(directives, 0, Infinity))
  const joined = isShared ? await join(exchange, key, versions) : undefined
  if (joined instanceof FillFailure) return { outcome: 'failed', cause: joined.cause, forwarded, key }
  if (joined !== undefined && !(joined instanceof FillInFlight)) {
    return { outcome: 'hit', entry: joined.entry, key, ...agesOf(joined.entry), collapsed: true }
  }
  // After joining, so that other requests already wait for this fill.
  const groups = policy.payloadTags === undefined ? undefined : await groupVersions(exchange)
  const beganAt = performance.now()
  return { outcome: 'fill', forwarded, detail, key, versions, groups, beganAt, isRefresh: false, inFlight: joined }
}

const allOf = (versions: ReadonlyArray<string | undefined>): string[] | undefined =>
  versions.every((version) => version !== undefined) ? versions as string[] : undefined

/** What fills wait for each other by. Two routes may have the same key, but no common response. */
export const flightOf = ({ name }: CachedRoute, { key }: CacheKey): string => `${name} ${key}`

/** The result of another request's fill, a fill of its own to run, or undefined if they cannot share. */
async function join (
  exchange: Exchange, key: CacheKey, versions: readonly string[]
): Promise<Filled | FillFailure | FillInFlight | undefined> {
  const { route } = exchange
  const { fills } = route.runtime
  const flight = flightOf(route, key)
  let joined = fills.find(flight, versions) === undefined
    ? fills.begin(flight, versions)
    : await fills.join(flight, versions)
  if (joined !== undefined && !(joined instanceof FillInFlight)) {
    if (await answers(exchange, key, joined)) return joined
    joined = joined instanceof FillFailure ? undefined : fills.beginAnew(flight, versions)
  }
  if (joined === undefined) return undefined
  const led = await filledElsewhere(exchange, key, joined)
  if (led === undefined) return joined
  return led === 'hit-for-miss' ? undefined : led
}

/**
 * With `coalesce: 'fleet'`: waits for the fill of another process; its outcome is then that of this fill, too.
 * @param after the entry is newer than this, in milliseconds since 1970
 * @returns undefined if this fill is to run
 */
export async function filledElsewhere (
  exchange: Exchange, key: CacheKey, fill: FillInFlight, after = 0
): Promise<Filled | 'hit-for-miss' | undefined> {
  const { request, route: { policy, runtime: { fills, leases } } } = exchange
  if (policy.coalesce !== 'fleet' || leases === undefined) return undefined
  const led = await leases.join(fill, async () => {
    const found = await lookupAgain(exchange, key)
    const isFilled = found.outcome === 'hit' && found.entry.storedAt > after
    return isFilled ? { entry: found.entry, key: found.key.key } : undefined
  }, storeWaitOf(request))
  if (led === undefined) return undefined
  fills.publish(fill, led)
  fills.release(fill)
  return led
}

/** Whether the result of another request's fill may be used for this request. */
export async function answers (
  exchange: Exchange, key: CacheKey, outcome: Filled | FillFailure
): Promise<boolean> {
  const { route, request, reply } = exchange
  if (outcome instanceof FillFailure) return outcome.isFor(request)
  const { entry, key: filled } = outcome
  // The fill may have shown that responses vary, so that this request needs another variant.
  if (route.variants.select(key, request, headerOn(reply, 'vary')).key !== filled) return false
  // The fill began under the versions that this request found. Only its payload's tags are unchecked.
  const tags = payloadTagsOf(entry, key.versions)
  return tags.length === 0 || await tagsOldSince(exchange, entry, tags) === CURRENT
}
