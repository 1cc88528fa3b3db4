import { LRUCache } from 'lru-cache'
import { detached, freshnessOf, sizeOfEntry, type Entry } from '../entry/entry.js'
import { CLOSED, type CacheStore, type Lookup } from './contract.js'

/** Bounds of the memory store. */
export interface MemoryOptions {
  /** Bytes of all keys and entries; default 64 MiB. */
  maxBytes?: number
  /** Number of entries; default 10,000. */
  maxEntries?: number
}

/** Versions are small, and a lost one only makes entries unreachable. */
const MAX_VERSIONS = 100_000

/** A version that strict writes hold. */
interface Hold {
  /** Until when each holds it, in milliseconds since 1970. */
  readonly writers: Map<string, number>
  /** The version to go back to where none of the writers moves it. */
  before: string | undefined
}

/** Keeps entries and versions in this process. */
export class MemoryStore implements CacheStore {
  readonly name = 'memory'
  readonly immediate = true
  readonly #entries: LRUCache<string, Entry>
  readonly #versions = new LRUCache<string, string>({ max: MAX_VERSIONS })
  readonly #held = new Map<string, Hold>()

  constructor ({ maxBytes = 64 * 1024 * 1024, maxEntries = 10_000 }: MemoryOptions = {}) {
    this.#entries = new LRUCache({ max: maxEntries, maxSize: maxBytes, sizeCalculation: sizeOfEntry })
  }

  lookup (key: string, versions: readonly string[]): Lookup {
    const entry = this.#entries.get(key)
    return {
      entry: entry !== undefined && freshnessOf(entry, Date.now()) > 0 ? entry : undefined,
      versions: this.current(versions)
    }
  }

  current (versions: readonly string[]): Array<string | undefined> {
    return versions.map((version) => this.#versions.get(version))
  }

  claim (versions: readonly string[], fresh: string): string[] {
    return versions.map((version) => {
      if (this.#holdOn(version) !== undefined) return CLOSED
      const current = this.#versions.get(version)
      if (current === undefined) this.#versions.set(version, fresh)
      return current ?? fresh
    })
  }

  move (versions: readonly string[], fresh: string): void {
    for (const version of versions) {
      const hold = this.#holdOn(version)
      if (hold === undefined) this.#versions.set(version, fresh)
      else hold.before = undefined
    }
  }

  hold (versions: readonly string[], writer: string, milliseconds: number): void {
    for (const version of versions) {
      const hold = this.#holdOn(version) ?? { writers: new Map<string, number>(), before: this.#versions.get(version) }
      hold.writers.set(writer, Date.now() + milliseconds)
      this.#held.set(version, hold)
      this.#versions.delete(version)
    }
  }

  letGo (versions: readonly string[], writer: string, fresh: string, moved: boolean): void {
    if (moved) this.move(versions, fresh)
    for (const version of versions) {
      const hold = this.#holdOn(version)
      if (hold?.writers.delete(writer) !== true || hold.writers.size > 0) continue
      this.#held.delete(version)
      this.#versions.set(version, hold.before ?? fresh)
    }
  }

  /** The hold on a version without the writers whose time is over: what they wrote is not known. */
  #holdOn (version: string): Hold | undefined {
    if (this.#held.size === 0) return undefined
    const hold = this.#held.get(version)
    if (hold === undefined) return undefined
    for (const [writer, until] of hold.writers) {
      if (until > Date.now()) continue
      hold.writers.delete(writer)
      hold.before = undefined
    }
    if (hold.writers.size > 0) return hold
    this.#held.delete(version)
    return undefined
  }

  set (key: string, entry: Entry): void {
    this.#entries.set(key, detached(entry))
  }

  async * keys (prefix: string): AsyncIterable<string> {
    for (const key of [...this.#entries.keys()]) {
      const entry = this.#entries.peek(key)
      if (key.startsWith(prefix) && entry !== undefined && freshnessOf(entry, Date.now()) > 0) yield key
    }
    // Both at one moment: a version that is let go meanwhile goes from one to the other.
    const held = [...this.#held.keys()].filter((version) => this.#holdOn(version) !== undefined)
    for (const version of [...this.#versions.keys(), ...held]) {
      if (version.startsWith(prefix)) yield version
    }
  }

  sweep (prefix: string, isCurrent: (versions: Readonly<Record<string, string>>) => boolean): number {
    let swept = 0
    for (const [key, entry] of [...this.#entries.entries()]) {
      if (key.startsWith(prefix) && !isCurrent(entry.versions) && this.#entries.delete(key)) swept++
    }
    return swept
  }
}
