import type { Keyspace } from '../key/keyspace.js'
import type { Events } from '../observe/events.js'
import {
  isPromise, type CurrentVersions, type FilledUnder, type MaybePromise, type SoftenedAt
} from '../store/contract.js'
import { UNAVAILABLE, type GuardedStore, type Unavailable } from '../store/guarded-store.js'
import { CURRENT, oldSince } from '../store/validity.js'

/** Most versions that a sweep remembers. If more were replaced, it compares all versions of all entries. */
export const MAX_VERSIONS = 10_000

export interface SweepParts {
  readonly store: GuardedStore
  readonly keyspace: Keyspace
  readonly events: Events
}

/** What was invalidated. */
export interface Replaced {
  /** The keys of the versions. */
  readonly versions: ReadonlySet<string>
  /** The beginnings of the keys of all entries that may have been filled under them. */
  readonly beginnings: ReadonlySet<string>
}

/** One walk over the entries, for all invalidations that waited for it. */
export class Sweep {
  readonly #parts: SweepParts
  /** The versions in question; undefined for all. */
  #versions: Set<string> | undefined = new Set()
  readonly #beginnings = new Set<string>()
  #invalidations = 0
  /** For each entry to delete the first version that it is deleted for. */
  readonly #reasons = new WeakMap<FilledUnder, string>()
  /** How many entries were deleted for each version. */
  readonly #deleted = new Map<string, number>()
  #end!: (swept: number) => void
  /** Resolves to the number of deleted entries. Never rejects. */
  readonly ended = new Promise<number>((resolve) => { this.#end = resolve })

  constructor (parts: SweepParts) {
    this.#parts = parts
  }

  /** Takes over an invalidation, before the walk begins; undefined for everything. */
  add (replaced: Replaced | undefined): void {
    this.#invalidations++
    if (replaced === undefined || this.#versions === undefined) {
      this.#versions = undefined
      return
    }
    for (const version of replaced.versions) this.#versions.add(version)
    for (const beginning of replaced.beginnings) this.#beginnings.add(beginning)
    if (this.#versions.size > MAX_VERSIONS) this.#versions = undefined
  }

  async run (): Promise<void> {
    const { store, keyspace, events } = this.#parts
    const [prefix, namespaces] = this.#where()
    const deleted = (filledUnder: FilledUnder): void => { this.#count(filledUnder) }
    const swept = await store.callUnbounded('sweep', (store) =>
      store.sweep(prefix, (filledUnder) => this.#isCurrent(filledUnder), { namespaces, deleted }))
    const count = swept === UNAVAILABLE ? 0 : swept
    events.publish('sweep', { prefix: keyspace.prefix, swept: count })
    this.#end(count)
  }

  /** How many entries were deleted for these versions. An entry that was invalidated twice counts once. */
  async sweptFor (versions: ReadonlySet<string>): Promise<number> {
    const all = await this.ended
    const isShared = this.#invalidations > 1 && this.#versions !== undefined && this.#deleted.size > 0
    if (!isShared) return all
    let swept = 0
    for (const version of versions) swept += this.#deleted.get(version) ?? 0
    return swept
  }

  /** The beginning of the keys to walk over, and the namespaces of interest among them. */
  #where (): [prefix: string, namespaces?: ReadonlySet<string>] {
    const { allEntries } = this.#parts.keyspace
    if (this.#versions === undefined || this.#beginnings.has(allEntries)) return [allEntries]
    const [first, ...others] = this.#beginnings
    return others.length === 0 ? [first!] : [allEntries, this.#beginnings]
  }

  /**
   * The versions are read after the entry: what is filled while the walk is at work stays. And one that
   * is missing then has been lost, so that its entries are unreachable.
   */
  #isCurrent (filledUnder: FilledUnder): MaybePromise<boolean> {
    const names = Object.keys(filledUnder).filter((name) => this.#versions?.has(name) ?? true)
    if (names.length === 0) return true
    const current = this.#parts.store.call('versions', (store) => store.versions(names))
    return isPromise(current)
      ? current.then((known) => this.#compare(filledUnder, names, known))
      : this.#compare(filledUnder, names, current)
  }

  #compare (
    filledUnder: FilledUnder, names: readonly string[], current: CurrentVersions | Unavailable
  ): MaybePromise<boolean> {
    if (current === UNAVAILABLE || oldSince(filledUnder, names, current) === CURRENT) return true
    const softened = this.#parts.store.call('softened', (store) => store.soft?.softened(names))
    const isSpared = (known: SoftenedAt | Unavailable | undefined): boolean =>
      known === UNAVAILABLE || this.#isSpared(filledUnder, names, current, known)
    return isPromise(softened) ? softened.then(isSpared) : isSpared(softened)
  }

  /** Whether an entry may still be used after soft writes. */
  #isSpared (
    filledUnder: FilledUnder, names: readonly string[], current: CurrentVersions, softened: SoftenedAt | undefined
  ): boolean {
    if (oldSince(filledUnder, names, current, softened) !== undefined) return true
    const replaced = names.find((name, index) => current[index] !== filledUnder[name])
    if (replaced !== undefined) this.#reasons.set(filledUnder, replaced)
    return false
  }

  #count (filledUnder: FilledUnder): void {
    const version = this.#reasons.get(filledUnder)
    if (version !== undefined) this.#deleted.set(version, (this.#deleted.get(version) ?? 0) + 1)
  }
}
