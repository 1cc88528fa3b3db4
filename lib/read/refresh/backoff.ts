import { LRUCache } from 'lru-cache'

const FIRST_MILLISECONDS = 1_000
const LONGEST_MILLISECONDS = 30_000
const MAX_KEYS = 10_000

interface Failures {
  readonly count: number
  /** Of `performance.now()`. */
  readonly retryAt: number
}

/** When to refresh again: a second after the first failure, twice as long after each that follows, at most 30. */
export class Backoff {
  readonly #failures = new LRUCache<string, Failures>({ max: MAX_KEYS })

  isDue (key: string): boolean {
    const failures = this.#failures.get(key)
    return failures === undefined || performance.now() >= failures.retryAt
  }

  failed (key: string): void {
    const count = (this.#failures.get(key)?.count ?? 0) + 1
    const pause = Math.min(FIRST_MILLISECONDS * 2 ** (count - 1), LONGEST_MILLISECONDS)
    this.#failures.set(key, { count, retryAt: performance.now() + pause })
  }

  succeeded (key: string): void {
    if (this.#failures.size > 0) this.#failures.delete(key)
  }
}
