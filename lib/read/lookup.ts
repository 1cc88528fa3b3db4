import { agesOf, timeToLive, type Entry } from '../entry/entry.js'
import { headerOn, serializerOf } from '../fastify/private-state.js'
import type { CacheControl } from '../http/cache-control.js'
import type { Forwarded } from '../http/cache-status.js'
import { accepts, asksForConnection } from '../http/request-directives.js'
import { serializedKey, type CacheKey } from '../key/cache-key.js'
import type { Lookup, MaybePromise } from '../store/contract.js'
import { UNAVAILABLE } from '../store/guarded-store.js'
import { bypassFor, type CachedRoute, type Exchange, type Found, type Hit, type Miss, type Stale } from './exchange.js'
import { areCurrent, payloadTagsOf } from './payload-tags.js'

/** Why an entry is not used that another application filled. */
const OTHER_APPLICATION = 'other-application'

/** Finds the entry for a request, or says why there is none. */
export function lookup (exchange: Exchange, directives: CacheControl | undefined): MaybePromise<Found> {
  const { route: { runtime, policy, variants, keyOf, name }, request, reply } = exchange
  if (directives?.noStore === true) return bypassFor('no-store')
  if (asksForConnection(request.headers)) return bypassFor('connection')
  const key = keyOf(request)
  if ('bypass' in key) {
    if ('fault' in key) runtime.log.policyFault(request.log, name, key.fault)
    return bypassFor(key.bypass)
  }
  // A serializer that a hook chose makes the bytes. Only the policy can say what it was chosen by.
  const serializer = serializerOf(reply)
  const vary = headerOn(reply, 'vary')
  if (serializer === undefined) return findUnblocked(exchange, variants.select(key, request, vary), directives)
  if (policy.vary.length === 0) return bypassFor('serializer')
  const serialized = serializedKey(key, serializer, runtime.keyspace)
  return findUnblocked(exchange, variants.select(serialized, request, vary), directives)
}

/** The same for a request that has waited for another process. */
export function lookupAgain (exchange: Exchange, key: CacheKey): MaybePromise<Found> {
  return findUnblocked(exchange, key, undefined)
}

/**
 * Pending bumps are looked at before the lookup as well as after it: one may be delivered meanwhile, and
 * on a Cluster the version may come from before that, and the entry from another server later.
 */
function findUnblocked (
  exchange: Exchange, key: CacheKey, directives: CacheControl | undefined
): MaybePromise<Found> {
  const { bumps } = exchange.route.runtime
  return bumps.blocks(key.versions) ? bypassFor('invalidating') : find(exchange, key, directives)
}

async function find (
  exchange: Exchange, key: CacheKey, directives: CacheControl | undefined
): Promise<Found> {
  const { route, request } = exchange
  const { store, bumps, log, application } = route.runtime
  const looked = await store.lookup(key.key, key.versions)
  if (bumps.blocks(key.versions)) return bypassFor('invalidating')
  if (looked === UNAVAILABLE) return bypassFor('unavailable')

  const found = evaluate(route, key, looked, directives)
  if (found.outcome === 'miss') {
    if (found.detail === OTHER_APPLICATION) log.otherApplication(application, looked.entry?.application)
    return route.variants.areTooMany(key, looked.versions) ? bypassFor('variants') : found
  }
  const { vary } = found.entry
  // An entry that only names headers leads to a variant. `evaluate` refuses a variant that does so again.
  if (vary !== undefined) return await find(exchange, route.variants.learn(key, vary, request), directives)
  // All versions of the key are among the entry's. Usually it has no others.
  if (Object.keys(found.entry.versions).length === key.versions.length) return found
  const tags = payloadTagsOf(found.entry, key.versions)
  const current = await areCurrent(route.runtime, found.entry, tags)
  if (current === UNAVAILABLE) return bypassFor('unavailable')
  if (current) return found
  return { outcome: 'miss', forwarded: 'stale', detail: 'invalidated', key, versions: looked.versions }
}

/** Whether the entry that was found may be used (RFC 9111 section 4). */
function evaluate (
  route: CachedRoute, key: CacheKey, { entry, versions }: Lookup, directives: CacheControl | undefined
): Hit | Stale | Miss {
  const miss = (forwarded: Forwarded, detail?: string): Miss => ({ outcome: 'miss', forwarded, detail, key, versions })
  if (entry === undefined || (entry.vary !== undefined && key.base !== undefined)) return miss('uri-miss')
  if (entry.application !== route.runtime.application) return miss('uri-miss', OTHER_APPLICATION)
  if (entry.route !== route.name) return miss('uri-miss', 'other-route')
  if (!isFilledUnder(entry, key.versions, versions)) return miss('stale', 'invalidated')
  const { age, freshness } = agesOf(entry)
  const isAccepted = directives === undefined || accepts(directives, age, freshness)
  if (freshness <= 0) {
    return isAccepted && timeToLive(entry) > 0 ? { outcome: 'stale', entry, key, age, freshness } : miss('stale')
  }
  return isAccepted ? { outcome: 'hit', entry, key, age, freshness, collapsed: false } : miss('request')
}

/** Whether an entry was filled under the current versions. */
export function isFilledUnder (
  entry: Entry, asked: readonly string[], current: ReadonlyArray<string | undefined>
): boolean {
  for (let index = 0; index < asked.length; index++) {
    const version = entry.versions[asked[index]!]
    // The entry lacks the version if its route did not declare the tag yet.
    if (version === undefined || version !== current[index]) return false
  }
  return true
}
