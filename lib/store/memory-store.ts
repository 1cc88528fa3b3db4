import { randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { sizeOf, type Entry } from '../entry/entry.js'
import {
  CLOSED, isSettling, settlingVersion, type CacheStore, type Intents, type IsCurrent, type Lookup, type MaybePromise,
  type SoftWrites, type SweepHints
} from './contract.js'
import { DEFAULT_MAX_BYTES, EntryCache, type MemoryOptions } from './entry-cache.js'
import { softened, softenedAt, type SoftRecord } from './soft-record.js'

/** The bytes of all versions, as a share of those of entries. Losing a version only makes its entries invalid. */
const VERSIONS_SHARE = 1 / 4
/** Bytes of memory that a version takes besides its name and token. */
const VERSION_BYTES = 100
/** Most versions whose soft writes are remembered. For others they count as hard. */
const MAX_SOFTENED = 10_000
/** Most expired holds that are looked for at a time. */
const EXPIRED_BATCH = 100

/** A hold of strict writes on a version. */
interface Hold {
  /** When the intent of each writer expires, in milliseconds of `performance.now()`. */
  readonly writers: Map<string, number>
  /** The version to restore if no writer has written. */
  before: string | undefined
  /** Whether there was a version before. */
  readonly existed: boolean
  /** Milliseconds of the window that begins with its end; 0 for none. */
  settle: number
}

/** Keeps entries and versions in this process. */
export class MemoryStore implements CacheStore {
  readonly name = 'memory'
  readonly immediate = true
  readonly #entries: EntryCache
  readonly #versions: LRUCache<string, string>
  /** In the order in which they were begun or renewed. */
  readonly #held = new Map<string, Hold>()
  readonly #softened = new LRUCache<string, SoftRecord>({ max: MAX_SOFTENED })

  constructor (options: MemoryOptions = {}) {
    this.#entries = new EntryCache(options)
    this.#versions = new LRUCache({
      maxSize: Math.ceil((options.maxBytes ?? DEFAULT_MAX_BYTES) * VERSIONS_SHARE),
      sizeCalculation: (version, name) => VERSION_BYTES + sizeOf(name) + sizeOf(version)
    })
  }

  lookup (key: string, names: readonly string[]): Lookup {
    return { entry: this.#entries.get(key), versions: this.versions(names) }
  }

  versions (names: readonly string[]): Array<string | undefined> {
    return names.map((name) => this.#versions.get(name))
  }

  ensure (names: readonly string[], fresh: string): string[] {
    this.#dropExpired()
    return names.map((name) => {
      if (this.#holdOn(name) !== undefined) return CLOSED
      const current = this.#versions.get(name)
      if (current === undefined) this.#versions.set(name, fresh)
      return current ?? fresh
    })
  }

  bump (names: readonly string[], fresh: string, settle = 0): void {
    for (const name of names) {
      const hold = this.#holdOn(name)
      if (hold !== undefined) {
        hold.before = undefined
        hold.settle = Math.max(hold.settle, settle)
        continue
      }
      const window = Math.max(settle, this.#windowLeft(name))
      if (window > 0) this.#settle(name, fresh, window)
      // A version that does not exist has no entries.
      else if (this.#versions.has(name)) this.#versions.set(name, fresh)
    }
  }

  set (key: string, entry: Entry): void {
    this.#entries.add(key, entry)
  }

  async * keys (prefix: string): AsyncIterable<string> {
    // Listed at once, because a version moves from one map to the other when its hold ends.
    const held = [...this.#held.keys()].filter((name) => this.#holdOn(name) !== undefined)
    const names = [...this.#versions.keys(), ...held].filter((name) => name.startsWith(prefix))
    yield * this.#entries.keys(prefix)
    yield * names
  }

  sweep (prefix: string, isCurrent: IsCurrent, hints: SweepHints = {}): MaybePromise<number> {
    return this.#entries.sweep(prefix, isCurrent, hints)
  }

  readonly intents: Intents = {
    begin: (names, writer, milliseconds) => {
      for (const name of names) {
        const hold = this.#holdOn(name) ?? this.#newHold(name)
        hold.writers.set(writer, performance.now() + milliseconds)
        this.#held.delete(name)
        this.#held.set(name, hold)
        this.#versions.delete(name)
      }
      this.#dropExpired()
    },

    end: (names, writer, fresh, written) => {
      if (written) this.bump(names, fresh)
      for (const name of names) {
        const hold = this.#holdOn(name)
        if (hold?.writers.delete(writer) !== true || hold.writers.size > 0) continue
        this.#held.delete(name)
        if (hold.settle > 0) this.#settle(name, fresh, hold.settle)
        else if (hold.existed) this.#versions.set(name, hold.before ?? fresh)
      }
    }
  }

  readonly soft: SoftWrites = {
    bump: (names, fresh, soft, settle) => {
      for (const name of names) {
        const before = this.#versions.get(name)
        this.bump([name], fresh, settle)
        const current = this.#versions.get(name)
        if (before === undefined || current === undefined) continue
        this.#softened.set(name, softened(this.#softened.get(name), before, current, soft), { ttl: soft })
      }
    },

    softened: () => (name, earlier, current) => softenedAt(this.#softened.get(name), earlier, current)
  }

  #settle (name: string, fresh: string, window: number): void {
    this.#versions.set(name, settlingVersion(fresh), { ttl: window })
  }

  /** Milliseconds until the end of the version's window; 0 if it is not in one. */
  #windowLeft (name: string): number {
    const version = this.#versions.get(name)
    return version !== undefined && isSettling(version) ? this.#versions.getRemainingTTL(name) : 0
  }

  /** The version of a window does not come back: the hold may last longer. Another window follows. */
  #newHold (name: string): Hold {
    const settle = this.#windowLeft(name)
    const before = this.#versions.get(name)
    const existed = before !== undefined
    return { writers: new Map<string, number>(), before: settle > 0 ? undefined : before, existed, settle }
  }

  /** Nobody may ever ask again for a version whose writers did not end. */
  #dropExpired (): void {
    let left = EXPIRED_BATCH
    for (const name of this.#held.keys()) {
      if (left-- === 0 || this.#holdOn(name) !== undefined) return
    }
  }

  /** The hold on a version, without expired intents. What their writers wrote is unknown. */
  #holdOn (name: string): Hold | undefined {
    if (this.#held.size === 0) return undefined
    const hold = this.#held.get(name)
    if (hold === undefined) return undefined
    for (const [writer, until] of hold.writers) {
      if (until > performance.now()) continue
      hold.writers.delete(writer)
      hold.before = undefined
    }
    if (hold.writers.size > 0) return hold
    this.#held.delete(name)
    if (hold.settle > 0) this.#settle(name, randomUUID(), hold.settle)
    return undefined
  }
}
