import { agesOf, timeToLive } from '../entry/entry.js'
import { headerOn, serializerOf } from '../fastify/private-state.js'
import type { CacheControl } from '../http/cache-control.js'
import type { Forwarded } from '../http/cache-status.js'
import { accepts, asksForConnection } from '../http/request-directives.js'
import { serializedKey, type CacheKey } from '../key/cache-key.js'
import { isPromise, type MaybePromise } from '../store/contract.js'
import { UNAVAILABLE, type StoreWait } from '../store/guarded-store.js'
import { CURRENT } from '../store/validity.js'
import {
  bypassFor, INVALIDATED, type CachedRoute, type Exchange, type Found, type Hit, type Miss, type Stale
} from './exchange.js'
import { askSoftened, compared, type Compared, type Softened } from './old-since.js'
import { pastCache } from './past-cache.js'
import { payloadTagsOf, tagsOldSince } from './payload-tags.js'
import { storeWaitOf } from './store-wait.js'

/** Why an entry is not used that another application filled. */
const OTHER_APPLICATION = 'other-application'

/** Finds the entry for a request, or says why there is none. */
export function lookup (exchange: Exchange, directives: CacheControl | undefined): MaybePromise<Found> {
  const { route: { runtime, policy, variants, keyOf, name }, request, reply } = exchange
  const past = pastCache(exchange)
  if (past !== undefined) return past
  if (directives?.noStore === true) return bypassFor('no-store')
  if (asksForConnection(request.headers)) return bypassFor('connection')
  const key = keyOf(request)
  if ('bypass' in key) {
    if ('fault' in key) runtime.log.policyFault(request.log, name, key.fault)
    if (key.only !== undefined) runtime.log.onlyCredentials(request.log, name, key.only)
    return bypassFor(key.bypass)
  }
  // A serializer that a hook chose makes the bytes. Only the policy can say what it was chosen by.
  const serializer = serializerOf(reply)
  const vary = headerOn(reply, 'vary')
  if (serializer === undefined) return find(exchange, variants.select(key, request, vary), directives)
  if (policy.vary.length === 0) return bypassFor('serializer')
  const serialized = serializedKey(key, serializer, runtime.keyspace)
  return find(exchange, variants.select(serialized, request, vary), directives)
}

/** The same for a request that has waited for another process. */
export function lookupAgain (exchange: Exchange, key: CacheKey): MaybePromise<Found> {
  return find(exchange, key, undefined, storeWaitOf(exchange.request))
}

/**
 * Pending bumps are looked at before the lookup as well as after it: one may be delivered meanwhile, and
 * on a Cluster the version may come from before that, and the entry from another server later.
 * @param wait left out for the first lookup of a request
 */
async function find (
  exchange: Exchange, key: CacheKey, directives: CacheControl | undefined, wait?: StoreWait
): Promise<Found> {
  const { route, request } = exchange
  const { store, bumps, log, application } = route.runtime
  const names = namesFor(route, key)
  if (bumps.blocks(names)) return bypassFor('invalidating')
  const softened = softenedBeside(route, names, wait)
  const read = await store.lookup(key.key, names, wait)
  if (bumps.blocks(names)) return bypassFor('invalidating')
  if (read === UNAVAILABLE) return bypassFor('unavailable')
  const comparing = compared(store, key, read, { names, softened, wait })
  const looked = isPromise(comparing) ? await comparing : comparing

  const found = evaluate(route, key, looked, directives)
  if (found.outcome === 'miss') {
    if (found.detail === OTHER_APPLICATION) log.otherApplication(application, looked.entry?.application)
    return route.variants.areTooMany(key, looked.versions) ? bypassFor('variants') : found
  }
  const { vary } = found.entry
  // An entry that only names headers leads to a variant. `evaluate` refuses a variant that does so again.
  if (vary !== undefined) {
    return await find(exchange, route.variants.learn(key, vary, request), directives, storeWaitOf(request))
  }
  return looked.isComplete ? found : await withOwnTags(exchange, found, looked, directives)
}

/** The versions to ask for: those of the key, and those of the tags that its payload had. */
const namesFor = ({ policy, runtime }: CachedRoute, key: CacheKey): readonly string[] =>
  policy.payloadTags === undefined ? key.versions : runtime.knownTags.namesFor(key)

/** In the same round trip. A store that answers at once is only asked if a version has changed. */
function softenedBeside (
  { policy, runtime: { store } }: CachedRoute, names: readonly string[], wait: StoreWait | undefined
): Softened {
  return policy.mayBeStale && !store.isImmediate ? askSoftened(store, names, wait) : undefined
}

/** What was found, by the tags of its payload, too, which this process did not know. */
async function withOwnTags (
  exchange: Exchange, found: Hit | Stale, looked: Compared, directives: CacheControl | undefined
): Promise<Found> {
  const { entry, key } = found
  const tags = payloadTagsOf(entry, key.versions)
  const { policy, runtime } = exchange.route
  // The tags of a request are versions of its key.
  if (policy.payloadTags !== undefined) runtime.knownTags.note(key, tags)
  if (tags.length === 0) return found
  const ofTags = await tagsOldSince(exchange, entry, tags)
  if (ofTags === UNAVAILABLE) return bypassFor('unavailable')
  if (ofTags === CURRENT) return found
  const oldSince = ofTags && Math.min(ofTags, looked.oldSince!)
  return evaluate(exchange.route, key, { ...looked, oldSince }, directives)
}

/** Whether the entry that was found may be used (RFC 9111 section 4). */
function evaluate (
  route: CachedRoute, key: CacheKey, { entry, versions, oldSince }: Compared, directives: CacheControl | undefined
): Hit | Stale | Miss {
  const miss = (forwarded: Forwarded, detail?: string): Miss => ({ outcome: 'miss', forwarded, detail, key, versions })
  if (entry === undefined || (entry.vary !== undefined && key.base !== undefined)) return miss('uri-miss')
  if (entry.application !== route.runtime.application) return miss('uri-miss', OTHER_APPLICATION)
  if (entry.route !== route.name) return miss('uri-miss', 'other-route')
  if (oldSince === undefined) return miss('stale', INVALIDATED)
  const { age, freshness } = agesOf(entry, oldSince)
  const isAccepted = directives === undefined || accepts(directives, age, freshness)
  if (freshness <= 0) {
    if (!isAccepted || timeToLive(entry) <= 0) return miss('stale')
    return { outcome: 'stale', entry, key, age, freshness, versions: versions as string[], oldSince }
  }
  return isAccepted ? { outcome: 'hit', entry, key, age, freshness, collapsed: false } : miss('request')
}
