import type { Entry } from '../entry/entry.js'
import type { CacheKey } from '../key/cache-key.js'
import type { Runtime } from '../runtime.js'
import { isPromise, type CurrentVersions, type Lookup, type MaybePromise, type SoftenedAt } from '../store/contract.js'
import { UNAVAILABLE, type StoreWait, type Unavailable } from '../store/guarded-store.js'
import { oldSince } from '../store/validity.js'
import type { CachedRoute } from './exchange.js'

/** What a store answers that is asked for soft writes. */
type Softened = MaybePromise<SoftenedAt | Unavailable | undefined>

/** What a lookup has found, and since when it is old by a write; see `oldSince`. */
export interface Compared extends Lookup {
  readonly oldSince: number | undefined
}

/**
 * Looks up an entry, and compares the versions that its key names.
 * @param wait left out for the first lookup of a request
 */
export async function compared (
  { policy, runtime }: CachedRoute, { key, versions: names }: CacheKey, wait?: StoreWait
): Promise<Compared | Unavailable> {
  const { store } = runtime
  // In the same round trip. A store that answers at once is only asked if a version has changed.
  const softened = policy.mayBeStale && !store.isImmediate ? askSoftened(runtime, names, wait) : undefined
  const looked = await store.lookup(key, names, wait)
  if (looked === UNAVAILABLE) return UNAVAILABLE
  const { entry, versions: current } = looked
  const since = entry && entryOldSince(runtime, entry, { names, current, softened }, wait)
  return { ...looked, oldSince: isPromise(since) ? await since : since }
}

const askSoftened = ({ store }: Runtime, names: readonly string[], wait: StoreWait | undefined): Softened =>
  store.call('softened', (store) => store.soft?.softened(names), wait)

/**
 * Since when an entry is old; see `oldSince`. Only one that may be used when it is stale can be old by soft writes.
 * @param versions their names and what they are now, and what soft writes have replaced if that was asked for already
 */
export function entryOldSince (
  runtime: Runtime, { versions, staleWindows }: Entry,
  { names, current, softened }: { names: readonly string[], current: CurrentVersions, softened?: Softened | undefined },
  wait: StoreWait | undefined
): MaybePromise<number | undefined> {
  const since = oldSince(versions, names, current)
  if (since !== undefined || staleWindows === undefined) return since
  const known = softened ?? askSoftened(runtime, names, wait)
  const compare = (known: SoftenedAt | Unavailable | undefined): number | undefined =>
    known === UNAVAILABLE ? undefined : oldSince(versions, names, current, known)
  return isPromise(known) ? known.then(compare) : compare(known)
}
