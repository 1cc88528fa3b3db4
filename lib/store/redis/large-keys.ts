import { LRUCache } from 'lru-cache'

/** Bodies and values of at least so many bytes are not sent among small ones. */
const LARGE = 16 * 1024
/** Most keys that are remembered. One that was forgotten is read among small ones once. */
const MAX_KEYS = 10_000

export const isLarge = (bytes: number): boolean => bytes >= LARGE

/** The keys whose value was large when this process last met it, and how large. */
export class LargeKeys {
  readonly #bytes = new LRUCache<string, number>({ max: MAX_KEYS })

  /** The size of its value; undefined if that is not known to be large. */
  get (key: string): number | undefined {
    return this.#bytes.size === 0 ? undefined : this.#bytes.get(key)
  }

  /** @param bytes the size of the key's value; 0 if it has none */
  note (key: string, bytes: number): void {
    if (isLarge(bytes)) this.#bytes.set(key, bytes)
    else if (this.#bytes.size > 0) this.#bytes.delete(key)
  }
}
