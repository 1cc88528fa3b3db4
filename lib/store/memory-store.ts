import { LRUCache } from 'lru-cache'
import type { Entry } from '../entry/entry.js'
import { CLOSED, type CacheStore, type Intents, type IsCurrent, type Lookup } from './contract.js'
import { EntryCache, type MemoryOptions } from './entry-cache.js'

/** Most versions. Losing one only makes its entries invalid. */
const MAX_VERSIONS = 100_000

/** A hold of strict writes on a version. */
interface Hold {
  /** When the intent of each writer expires, in milliseconds of `performance.now()`. */
  readonly writers: Map<string, number>
  /** The version to restore if no writer has written. */
  before: string | undefined
  /** Whether there was a version before. */
  readonly existed: boolean
}

/** Keeps entries and versions in this process. */
export class MemoryStore implements CacheStore {
  readonly name = 'memory'
  readonly immediate = true
  readonly #entries: EntryCache
  readonly #versions = new LRUCache<string, string>({ max: MAX_VERSIONS })
  readonly #held = new Map<string, Hold>()

  constructor (options: MemoryOptions = {}) {
    this.#entries = new EntryCache(options)
  }

  lookup (key: string, names: readonly string[]): Lookup {
    return { entry: this.#entries.get(key), versions: this.versions(names) }
  }

  versions (names: readonly string[]): Array<string | undefined> {
    return names.map((name) => this.#versions.get(name))
  }

  ensure (names: readonly string[], fresh: string): string[] {
    return names.map((name) => {
      if (this.#holdOn(name) !== undefined) return CLOSED
      const current = this.#versions.get(name)
      if (current === undefined) this.#versions.set(name, fresh)
      return current ?? fresh
    })
  }

  bump (names: readonly string[], fresh: string): void {
    for (const name of names) {
      const hold = this.#holdOn(name)
      if (hold !== undefined) hold.before = undefined
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
    for (const name of [...this.#entries.keys(), ...this.#versions.keys(), ...held]) {
      if (name.startsWith(prefix)) yield name
    }
  }

  sweep (prefix: string, isCurrent: IsCurrent): number {
    return this.#entries.sweep(prefix, isCurrent)
  }

  readonly intents: Intents = {
    begin: (names, writer, milliseconds) => {
      for (const name of names) {
        const hold = this.#holdOn(name) ?? this.#newHold(name)
        hold.writers.set(writer, performance.now() + milliseconds)
        this.#held.set(name, hold)
        this.#versions.delete(name)
      }
    },

    end: (names, writer, fresh, written) => {
      if (written) this.bump(names, fresh)
      for (const name of names) {
        const hold = this.#holdOn(name)
        if (hold?.writers.delete(writer) !== true || hold.writers.size > 0) continue
        this.#held.delete(name)
        if (hold.existed) this.#versions.set(name, hold.before ?? fresh)
      }
    }
  }

  #newHold (name: string): Hold {
    const before = this.#versions.get(name)
    return { writers: new Map<string, number>(), before, existed: before !== undefined }
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
    return undefined
  }
}
