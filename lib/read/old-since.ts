import type { Entry } from '../entry/entry.js'
import type { CacheKey } from '../key/cache-key.js'
import type { CurrentVersions, Lookup, MaybePromise, SoftenedAt } from '../store/contract.js'
import { UNAVAILABLE, type GuardedStore, type StoreWait, type Unavailable } from '../store/guarded-store.js'
import { oldSince } from '../store/validity.js'

/** What a store answers that is asked for soft writes; undefined if it was not asked. */
export type Softened = MaybePromise<SoftenedAt | Unavailable | undefined>

/** The versions that a lookup has asked for. */
interface Asked {
  /** Those of the key, then those that the entry is expected to have besides. */
  readonly names: readonly string[]
  readonly softened?: Softened
  /** Left out for the first lookup of a request. */
  readonly wait?: StoreWait | undefined
}

/** What a lookup has found, and since when it is old by a write; see `oldSince`. */
export interface Compared extends Lookup {
  readonly oldSince: number | undefined
  /** Whether all versions of the entry were compared, not only those of the key. */
  readonly isComplete: boolean
}

/** Compares the versions of what was found under a key. */
export function compared (
  store: GuardedStore, { versions }: CacheKey, { entry, versions: current }: Lookup, asked: Asked
): MaybePromise<Compared> {
  const { names } = asked
  const ofKey = names === versions ? current : current.slice(0, versions.length)
  if (entry === undefined) return { entry, versions: ofKey, oldSince: undefined, isComplete: true }
  const isComplete = hasExactly(entry, names)
  // An entry with other tags than expected: those are compared later.
  const compares = isComplete ? names : versions
  const since = oldSince(entry.versions, compares, current)
  if (since !== undefined || entry.staleWindows === undefined) {
    return { entry, versions: ofKey, oldSince: since, isComplete }
  }
  return softenedSince(store, entry, current, { ...asked, names: compares })
    .then((since) => ({ entry, versions: ofKey, oldSince: since, isComplete }))
}

/** Whether these are the versions that an entry was filled under. */
function hasExactly ({ versions }: Entry, names: readonly string[]): boolean {
  return Object.keys(versions).length === names.length && names.every((name) => name in versions)
}

/** What soft writes have replaced. */
export const askSoftened = (
  store: GuardedStore, names: readonly string[], wait: StoreWait | undefined
): Softened => store.call('softened', (store) => store.soft?.softened(names), wait)

/**
 * Since when an entry is old that lacks a current version; see `oldSince`. Only one that may be used when it is stale
 * can be old by soft writes.
 */
export async function softenedSince (
  store: GuardedStore, { versions, staleWindows }: Entry, current: CurrentVersions, { names, softened, wait }: Asked
): Promise<number | undefined> {
  if (staleWindows === undefined) return undefined
  const known = await (softened ?? askSoftened(store, names, wait))
  return known === UNAVAILABLE ? undefined : oldSince(versions, names, current, known)
}
