import type { Entry } from '../entry/entry.js'
import type { CacheKey } from '../key/cache-key.js'
import type { Runtime } from '../runtime.js'
import type { CurrentVersions, Lookup, MaybePromise, SoftenedAt } from '../store/contract.js'
import { UNAVAILABLE, type StoreWait, type Unavailable } from '../store/guarded-store.js'
import { oldSince } from '../store/validity.js'
import type { CachedRoute } from './exchange.js'

/** What a store answers that is asked for soft writes. */
type Softened = MaybePromise<SoftenedAt | Unavailable | undefined>

/** What a lookup has found, and since when it is old by a write; see `oldSince`. */
export interface Compared extends Lookup {
  readonly oldSince: number | undefined
  /** Whether all versions of the entry were compared, not only those of the key. */
  readonly isComplete: boolean
}

/**
 * Looks up an entry, and compares its versions.
 * @param names what to ask for: the versions of the key, and those that the entry is expected to have besides
 * @param wait left out for the first lookup of a request
 */
export async function compared (
  { policy, runtime }: CachedRoute, { key, versions }: CacheKey, names: readonly string[], wait?: StoreWait
): Promise<Compared | Unavailable> {
  const { store } = runtime
  // In the same round trip. A store that answers at once is only asked if a version has changed.
  const softened = policy.mayBeStale && !store.isImmediate ? askSoftened(runtime, names, wait) : undefined
  const looked = await store.lookup(key, names, wait)
  if (looked === UNAVAILABLE) return UNAVAILABLE
  const { entry, versions: current } = looked
  const ofKey = names === versions ? current : current.slice(0, versions.length)
  if (entry === undefined) return { entry, versions: ofKey, oldSince: undefined, isComplete: true }
  const isComplete = hasJust(entry, names)
  // An entry with other tags than expected: those are compared later.
  const compares = isComplete ? names : versions
  const since = oldSince(entry.versions, compares, current) ??
    await softenedSince(runtime, entry, { names: compares, current, softened }, wait)
  return { entry, versions: ofKey, oldSince: since, isComplete }
}

const askSoftened = ({ store }: Runtime, names: readonly string[], wait: StoreWait | undefined): Softened =>
  store.call('softened', (store) => store.soft?.softened(names), wait)

/**
 * Since when an entry is old that lacks a current version; see `oldSince`. Only one that may be used when it is stale
 * can be old by soft writes.
 * @param versions their names and what they are now, and what soft writes have replaced if that was asked for already
 */
export async function softenedSince (
  runtime: Runtime, { versions, staleWindows }: Entry,
  { names, current, softened }: { names: readonly string[], current: CurrentVersions, softened?: Softened | undefined },
  wait: StoreWait | undefined
): Promise<number | undefined> {
  if (staleWindows === undefined) return undefined
  const known = await (softened ?? askSoftened(runtime, names, wait))
  return known === UNAVAILABLE ? undefined : oldSince(versions, names, current, known)
}

/** Whether these are the versions that an entry was filled under. */
function hasJust ({ versions }: Entry, names: readonly string[]): boolean {
  return Object.keys(versions).length === names.length && names.every((name) => name in versions)
}
