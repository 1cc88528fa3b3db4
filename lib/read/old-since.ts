import type { Entry } from '../entry/entry.js'
import type { Runtime } from '../runtime.js'
import { isPromise, type CurrentVersions, type MaybePromise, type SoftenedAt } from '../store/contract.js'
import { UNAVAILABLE, type Unavailable } from '../store/guarded-store.js'
import { oldSince } from '../store/validity.js'

/** What a store answers that is asked for soft writes. */
export type Softened = MaybePromise<SoftenedAt | Unavailable | undefined>

/** Asks what soft writes have replaced of these versions: at the same time as a lookup in its round trip. */
export const askSoftened = ({ store }: Runtime, names: readonly string[]): Softened =>
  store.call('softened', (store) => store.soft?.softened(names))

export interface Compared {
  readonly names: readonly string[]
  readonly current: CurrentVersions
  /** If it was asked for already. */
  readonly softened?: Softened | undefined
}

/** Since when an entry is old; see `oldSince`. Only an entry that may be used when it is stale can be old by soft writes. */
export function entryOldSince (
  runtime: Runtime, { versions, staleWindows }: Entry, { names, current, softened }: Compared
): MaybePromise<number | undefined> {
  const since = oldSince(versions, names, current)
  if (since !== undefined || staleWindows === undefined) return since
  const known = softened ?? askSoftened(runtime, names)
  const compare = (known: SoftenedAt | Unavailable | undefined): number | undefined =>
    known === UNAVAILABLE ? undefined : oldSince(versions, names, current, known)
  return isPromise(known) ? known.then(compare) : compare(known)
}
