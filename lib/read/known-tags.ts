import { LRUCache } from 'lru-cache'
import { sizeOf } from '../entry/entry.js'
import type { CacheKey } from '../key/cache-key.js'

/** Most memory that the names may take, in bytes. */
const MAX_BYTES = 8 * 1024 * 1024

interface Known {
  /** The versions of the tags that the last payload under the key had. */
  readonly tags: readonly string[]
  /** The versions of the key that `names` begins with. */
  versions: readonly string[]
  names: readonly string[]
}

/**
 * The tags that payloads had, by the keys of their entries. A lookup that knows them asks for their versions, too,
 * and needs no second round trip.
 */
export class KnownTags {
  readonly #known = new LRUCache<string, Known>({
    maxSize: MAX_BYTES, sizeCalculation: ({ names }, key) => sizeOf(key) + 2 * sizeOf(names)
  })

  /** The versions to ask for: those of the key first, each once. */
  namesFor ({ key, versions }: CacheKey): readonly string[] {
    const known = this.#known.size === 0 ? undefined : this.#known.get(key)
    if (known === undefined) return versions
    // Requests with the same list share it, so that a store reads it once for all of them.
    if (known.versions !== versions) {
      known.versions = versions
      known.names = union(versions, known.tags)
    }
    return known.names
  }

  /** @param tags the versions of the tags that the payload under this key has; usually none */
  note ({ key, versions }: CacheKey, tags: readonly string[]): void {
    if (tags.length > 0) this.#known.set(key, { tags, versions, names: union(versions, tags) })
    else if (this.#known.size > 0) this.#known.delete(key)
  }
}

const union = (a: readonly string[], b: readonly string[]): readonly string[] => [...new Set([...a, ...b])]
