import { LRUCache } from 'lru-cache'
import { detached, sizeOfEntry, timeToLive, type Entry } from '../entry/entry.js'
import type { IsCurrent } from './contract.js'

/** Limits for the entries that are kept in the process. */
export interface MemoryOptions {
  /** Most bytes of all keys and entries; default 64 MiB. */
  maxBytes?: number
  /** Most entries; default 10,000. */
  maxEntries?: number
}

/** Entries in this process's memory, until their `deleteAt`. Above the limits, the least recently used are removed. */
export class EntryCache extends LRUCache<string, Entry> {
  constructor ({ maxBytes = 64 * 1024 * 1024, maxEntries = 10_000 }: MemoryOptions) {
    super({ max: maxEntries, maxSize: maxBytes, sizeCalculation: sizeOfEntry, ttlResolution: 0 })
  }

  add (key: string, entry: Entry): void {
    const ttl = timeToLive(entry)
    if (ttl > 0) this.set(key, detached(entry), { ttl })
    else this.delete(key)
  }

  /** Deletes the entries under `prefix` that are not current; returns how many. */
  sweep (prefix: string, isCurrent: IsCurrent): number {
    let swept = 0
    for (const [key, entry] of [...this.entries()]) {
      if (key.startsWith(prefix) && !isCurrent(entry.versions) && this.delete(key)) swept++
    }
    return swept
  }
}
