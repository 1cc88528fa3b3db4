import { setImmediate } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { detached, sizeOfEntry, timeToLive, type Entry } from '../entry/entry.js'
import { beginningOf } from '../key/keyspace.js'
import { Budget, DEFAULT_SWEEP_SHARE } from './budget.js'
import type { IsCurrent, SweepHints } from './contract.js'

/** Default for `MemoryOptions.maxBytes`. */
export const DEFAULT_MAX_BYTES = 64 * 1024 * 1024

/** Limits for the entries that are kept in the process. */
export interface MemoryOptions {
  /** About how many bytes of memory entries take at the most, with their keys; default 64 MiB. */
  maxBytes?: number
  /** Most entries; default 10,000. */
  maxEntries?: number
}

/** Entries that a sweep looks at in one turn of the event loop. */
const SWEEP_BATCH = 100

/** Entries in this process's memory, until their `deleteAt`. Above the limits, the least recently used are removed. */
export class EntryCache {
  readonly #entries: LRUCache<string, Entry>
  /** All keys by the beginning that those of a namespace share, so that a sweep of it does not look at all others. */
  readonly #keys = new Map<string, Set<string>>()
  readonly #budget = new Budget(DEFAULT_SWEEP_SHARE)

  constructor ({ maxBytes = DEFAULT_MAX_BYTES, maxEntries = 10_000 }: MemoryOptions) {
    this.#entries = new LRUCache({
      max: maxEntries,
      maxSize: maxBytes,
      sizeCalculation: sizeOfEntry,
      ttlResolution: 0,
      dispose: (_entry, key, reason) => { if (reason !== 'set') this.#unlist(key) }
    })
  }

  get (key: string): Entry | undefined {
    return this.#entries.get(key)
  }

  add (key: string, entry: Entry): void {
    const ttl = timeToLive(entry)
    if (ttl > 0) this.#entries.set(key, detached(entry), { ttl })
    else this.#entries.delete(key)
    if (this.#entries.has(key)) this.#list(key)
    else this.#unlist(key)
  }

  delete (key: string): void {
    this.#entries.delete(key)
  }

  /** The keys that begin with `prefix`. */
  * keys (prefix: string): Iterable<string> {
    for (const key of this.#listed([prefix])) if (this.#entries.has(key)) yield key
  }

  /** See `CacheStore.sweep`. */
  async sweep (prefix: string, isCurrent: IsCurrent, { namespaces, deleted }: SweepHints): Promise<number> {
    let swept = 0
    for (const keys of inBatches(this.#listed(namespaces ?? [prefix]))) {
      // No response waits for it.
      await setImmediate()
      for (const entry of await this.#budget.spend(() => this.#sweepBatch(keys, isCurrent))) {
        deleted?.(entry.versions)
        swept++
      }
    }
    return swept
  }

  /** Returns the entries that it has deleted. */
  async #sweepBatch (keys: readonly string[], isCurrent: IsCurrent): Promise<Entry[]> {
    const found = keys.map((key) => this.#entries.peek(key))
    const current = await Promise.all(found.map((entry) => entry === undefined || isCurrent(entry.versions)))
    return found.filter((entry, index): entry is Entry => {
      const key = keys[index]!
      // Another one may have been filled meanwhile.
      return !current[index] && this.#entries.peek(key) === entry && this.#entries.delete(key)
    })
  }

  /** The keys that begin with one of these, as far as they were listed before. Others may come and go meanwhile. */
  * #listed (beginnings: Iterable<string>): Iterable<string> {
    let left = this.#entries.size
    for (const beginning of beginnings) {
      for (const keys of this.#namespacesUnder(beginning)) {
        for (const key of keys) {
          if (left-- === 0) return
          if (key.startsWith(beginning)) yield key
        }
      }
    }
  }

  #namespacesUnder (beginning: string): Iterable<ReadonlySet<string>> {
    if (beginning === '' || beginningOf(beginning) !== beginning) return this.#keys.values()
    const keys = this.#keys.get(beginning)
    return keys === undefined ? [] : [keys]
  }

  #list (key: string): void {
    const beginning = beginningOf(key)
    const keys = this.#keys.get(beginning)
    if (keys === undefined) this.#keys.set(beginning, new Set([key]))
    else keys.add(key)
  }

  #unlist (key: string): void {
    const beginning = beginningOf(key)
    const keys = this.#keys.get(beginning)
    if (keys?.delete(key) && keys.size === 0) this.#keys.delete(beginning)
  }
}

function * inBatches (keys: Iterable<string>): Iterable<readonly string[]> {
  let batch: string[] = []
  for (const key of keys) {
    if (batch.push(key) < SWEEP_BATCH) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}
