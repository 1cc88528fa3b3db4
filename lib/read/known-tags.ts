import { LRUCache } from 'lru-cache'
import { sizeOf } from '../entry/entry.js'
import type { CacheKey } from '../key/cache-key.js'

/** Most memory that the names may take, in bytes. */
const MAX_BYTES = 8 * 1024 * 1024

/**
 * The tags that payloads had, by the keys of their entries. A lookup that knows them asks for their versions, too,
 * and needs no second round trip.
 */
export class KnownTags {
  /** The versions of a key, then those of its tags. */
  readonly #names = new LRUCache<string, readonly string[]>({
    maxSize: MAX_BYTES, sizeCalculation: (names, key) => sizeOf(key) + sizeOf(names)
  })

  /** The versions to ask for, each once: those of the key first, which are the same in each request for it. */
  namesFor ({ key, versions }: CacheKey): readonly string[] {
    return (this.#names.size === 0 ? undefined : this.#names.get(key)) ?? versions
  }

  /** @param tags the versions of the tags that the payload under this key has; usually none */
  note ({ key, versions }: CacheKey, tags: readonly string[]): void {
    if (tags.length > 0) this.#names.set(key, [...new Set([...versions, ...tags])])
    else if (this.#names.size > 0) this.#names.delete(key)
  }
}
