import { isFromFuture, isStale, type Entry } from '../entry/entry.js'
import {
  isPromise, type CacheStore, type Intents, type IsCurrent, type Leases, type Lookup, type MaybePromise,
  type SoftWrites, type SweepHints, type TakeoverListener
} from './contract.js'
import { EntryCache, type MemoryOptions } from './entry-cache.js'

/** Options of the local tier. */
export interface LocalOptions extends MemoryOptions {
  /**
   * `'strict'` (default): each HIT compares versions with the store. `'tracked'`: versions are kept
   * in this process, too, and Redis notifies it when one changes.
   */
  consistency?: 'strict' | 'tracked'
}

/** Knows the current versions without asking the store each time. */
export interface KnownVersions extends Pick<CacheStore, 'versions'> {
  /** Called before and after this process changes versions. */
  forget(names: readonly string[]): void
  close(): void
}

/**
 * Keeps decoded entries of another store in this process, so that a HIT does not transfer bodies.
 * Whether an entry is current is still decided by the versions of the store, or by `KnownVersions`.
 */
export class LocalTier implements CacheStore {
  readonly name: string
  readonly immediate: boolean
  readonly intents?: Intents
  readonly leases?: Leases
  readonly soft?: SoftWrites
  readonly #store: CacheStore
  readonly #known: KnownVersions | undefined
  readonly #entries: EntryCache
  /** Those that the store had when they were stale already. */
  readonly #knownStale = new WeakSet<Entry>()

  constructor (store: CacheStore, known: KnownVersions | undefined, options: LocalOptions) {
    this.name = `${store.name} behind a local tier`
    this.immediate = known !== undefined
    this.#store = store
    this.#known = known
    this.#entries = new EntryCache(options)
    const { intents, leases, soft } = store
    if (leases !== undefined) this.leases = leases
    if (soft !== undefined) {
      this.soft = {
        bump: (names, ...rest) => this.#changing(names, () => soft.bump(names, ...rest)),
        softened: (names) => soft.softened(names)
      }
    }
    if (intents !== undefined) {
      this.intents = {
        begin: (names, ...rest) => this.#changing(names, () => intents.begin(names, ...rest)),
        end: (names, ...rest) => this.#changing(names, () => intents.end(names, ...rest))
      }
    }
  }

  ready (): boolean {
    return this.#store.ready?.() ?? true
  }

  reconnecting (): Promise<unknown> | undefined {
    return this.#store.reconnecting?.()
  }

  ping (): MaybePromise<unknown> {
    return this.#store.ping?.()
  }

  transferred (): number {
    return this.#store.transferred?.() ?? 0
  }

  onTakeover (listener: TakeoverListener): void {
    this.#store.onTakeover?.(listener)
  }

  onSetBack (listener: () => void): void {
    this.#store.onSetBack?.(listener)
  }

  lookup (key: string, names: readonly string[]): MaybePromise<Lookup> {
    const entry = this.#entries.get(key)
    // Another process may have refreshed it. If nobody has, this one will.
    if (entry === undefined || (isStale(entry) && !this.#knownStale.has(entry))) return this.#fetch(key, names)
    const versions = this.versions(names)
    return isPromise(versions)
      ? versions.then((known) => this.#confirm(key, entry, names, known))
      : this.#confirm(key, entry, names, versions)
  }

  versions (names: readonly string[]): MaybePromise<ReadonlyArray<string | undefined>> {
    return (this.#known ?? this.#store).versions(names)
  }

  ensure (names: readonly string[], fresh: string): MaybePromise<string[]> {
    return this.#store.ensure(names, fresh)
  }

  async bump (names: readonly string[], fresh: string, settle?: number): Promise<void> {
    await this.#changing(names, () => this.#store.bump(names, fresh, settle))
  }

  set (key: string, entry: Entry): MaybePromise<unknown> {
    this.#entries.add(key, entry)
    return this.#store.set(key, entry)
  }

  keys (prefix: string): AsyncIterable<string> {
    return this.#store.keys(prefix)
  }

  async sweep (prefix: string, isCurrent: IsCurrent, hints: SweepHints = {}): Promise<number> {
    await this.#entries.sweep(prefix, isCurrent, { namespaces: hints.namespaces })
    return await this.#store.sweep(prefix, isCurrent, hints)
  }

  close (): MaybePromise<void> {
    this.#known?.close()
    return this.#store.close?.()
  }

  async #changing (names: readonly string[], change: () => MaybePromise<void>): Promise<void> {
    this.#known?.forget(names)
    try {
      await change()
    } finally {
      // Versions that were read during the change may be from before it.
      this.#known?.forget(names)
    }
  }

  /** Checks a local entry. If it is invalid, another process may have stored a newer one. */
  #confirm (
    key: string, entry: Entry, names: readonly string[], versions: ReadonlyArray<string | undefined>
  ): MaybePromise<Lookup> {
    for (let index = 0; index < names.length; index++) {
      const filledUnder = entry.versions[names[index]!]
      if (filledUnder !== undefined && filledUnder !== versions[index]) return this.#fetch(key, names)
    }
    return { entry, versions }
  }

  async #fetch (key: string, names: readonly string[]): Promise<Lookup> {
    const found = await this.#store.lookup(key, names)
    // An entry from the future has an unknown age. Only the store ends it: here its lifetime would begin again.
    if (found.entry === undefined || isFromFuture(found.entry)) this.#entries.delete(key)
    else this.#keep(key, found.entry)
    return found
  }

  #keep (key: string, entry: Entry): void {
    this.#entries.add(key, entry)
    const kept = isStale(entry) ? this.#entries.get(key) : undefined
    if (kept !== undefined) this.#knownStale.add(kept)
  }
}
