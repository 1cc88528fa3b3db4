import { LRUCache } from 'lru-cache'
import { detached, freshnessOf, sizeOfEntry, type Entry } from '../entry/entry.js'
import { isPromise, type CacheStore, type Lookup, type MaybePromise } from './contract.js'

/** The part of the store that is kept in this process. */
export interface LocalOptions {
  /** Bytes of all keys and entries; default 64 MiB. */
  maxBytes?: number
  /** Number of entries; default 10,000. */
  maxEntries?: number
  /**
   * `'strict'` (default): each HIT compares versions with the store. `'tracked'`: versions are
   * kept, too, and Redis tells when one moves.
   */
  consistency?: 'strict' | 'tracked'
}

/** Knows which versions are current without asking the store each time. */
export interface KnownVersions extends Pick<CacheStore, 'current'> {
  /** These move, or moved, through this process. */
  moved(versions: readonly string[]): void
  close(): void
}

/**
 * Keeps entries of another store in this process, decoded. Bodies do not travel on a HIT; an
 * entry counts only while its versions are current, by the word of the store or of who knows them.
 */
export class LocalTier implements CacheStore {
  readonly name: string
  readonly immediate: boolean
  readonly hold?: NonNullable<CacheStore['hold']>
  readonly letGo?: NonNullable<CacheStore['letGo']>
  readonly #store: CacheStore
  readonly #known: KnownVersions | undefined
  readonly #entries: LRUCache<string, Entry>

  constructor (store: CacheStore, known: KnownVersions | undefined, { maxBytes = 64 * 1024 * 1024, maxEntries = 10_000 }: LocalOptions) {
    this.name = `${store.name} behind a local tier`
    this.immediate = known !== undefined
    this.#store = store
    this.#known = known
    const { hold, letGo } = store
    this.hold = hold && ((versions, ...rest) => this.#changing(versions, () => hold.call(store, versions, ...rest)))
    this.letGo = letGo && ((versions, ...rest) => this.#changing(versions, () => letGo.call(store, versions, ...rest)))
    this.#entries = new LRUCache({ max: maxEntries, maxSize: maxBytes, sizeCalculation: sizeOfEntry })
  }

  ready (): boolean {
    return this.#store.ready?.() ?? true
  }

  ping (): MaybePromise<unknown> {
    return this.#store.ping?.()
  }

  lookup (key: string, versions: readonly string[]): MaybePromise<Lookup> {
    const entry = this.#entries.get(key)
    if (entry === undefined || freshnessOf(entry, Date.now()) <= 0) return this.#fetch(key, versions)
    const current = this.current(versions)
    return isPromise(current)
      ? current.then((known) => this.#confirm(key, entry, versions, known))
      : this.#confirm(key, entry, versions, current)
  }

  current (versions: readonly string[]): MaybePromise<ReadonlyArray<string | undefined>> {
    return (this.#known ?? this.#store).current(versions)
  }

  claim (versions: readonly string[], fresh: string): MaybePromise<string[]> {
    return this.#store.claim(versions, fresh)
  }

  async move (versions: readonly string[], fresh: string): Promise<void> {
    await this.#changing(versions, () => this.#store.move(versions, fresh))
  }

  set (key: string, entry: Entry, seconds: number): MaybePromise<unknown> {
    this.#entries.set(key, detached(entry))
    return this.#store.set(key, entry, seconds)
  }

  keys (prefix: string): AsyncIterable<string> {
    return this.#store.keys(prefix)
  }

  sweep (prefix: string, isCurrent: (versions: Readonly<Record<string, string>>) => boolean): MaybePromise<number> {
    for (const [key, entry] of [...this.#entries.entries()]) {
      if (key.startsWith(prefix) && !isCurrent(entry.versions)) this.#entries.delete(key)
    }
    return this.#store.sweep(prefix, isCurrent)
  }

  lease (key: string, holder: string, milliseconds: number): MaybePromise<boolean> {
    return this.#store.lease?.(key, holder, milliseconds) ?? true
  }

  release (key: string, holder: string, news: string): MaybePromise<void> {
    return this.#store.release?.(key, holder, news)
  }

  listen (told: (key: string, news: string) => void): void {
    this.#store.listen?.(told)
  }

  close (): MaybePromise<void> {
    this.#known?.close()
    return this.#store.close?.()
  }

  async #changing (versions: readonly string[], change: () => MaybePromise<void>): Promise<void> {
    this.#known?.moved(versions)
    try {
      await change()
    } finally {
      // Whatever was read while the change was on its way may be from before it.
      this.#known?.moved(versions)
    }
  }

  /** An entry that is old here may have been filled anew by another process. */
  #confirm (key: string, entry: Entry, asked: readonly string[], current: ReadonlyArray<string | undefined>): MaybePromise<Lookup> {
    for (let index = 0; index < asked.length; index++) {
      const filledUnder = entry.versions[asked[index]!]
      if (filledUnder !== undefined && filledUnder !== current[index]) return this.#fetch(key, asked)
    }
    return { entry, versions: current }
  }

  async #fetch (key: string, versions: readonly string[]): Promise<Lookup> {
    const found = await this.#store.lookup(key, versions)
    if (found.entry === undefined) {
      this.#entries.delete(key)
      return found
    }
    this.#entries.set(key, detached(found.entry))
    return found
  }
}
