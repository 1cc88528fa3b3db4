import { setImmediate } from 'node:timers/promises'
import type { Keyspace } from '../key/keyspace.js'
import type { Door } from '../store/guarded-store.js'
import type { CacheStore } from '../store/contract.js'

/** Versions that move together. */
export const BATCH = 500

/**
 * Moves all versions that there are under the prefix: the groups of tags, then whatever one pass
 * over the keys finds. Passes run one at a time, and each is for all invalidations from before it began.
 */
export class Everything {
  readonly #door: Door
  readonly #keyspace: Keyspace
  readonly #move: (versions: readonly string[]) => Promise<boolean>
  /** The number of the latest invalidation of everything, and of the latest one that a whole pass came after. */
  #latest = 0
  #moved = 0
  #pass: Promise<boolean> | undefined

  /** @param move moves some versions; false when the store did not confirm it */
  constructor (door: Door, keyspace: Keyspace, move: (versions: readonly string[]) => Promise<boolean>) {
    this.#door = door
    this.#keyspace = keyspace
    this.#move = move
  }

  /** Everything is old now; the number of this invalidation. */
  invalidate (): number {
    return ++this.#latest
  }

  /** Whether everything has moved since this invalidation. */
  hasMoved (invalidation: number): boolean {
    return invalidation <= this.#moved
  }

  /**
   * Moves everything, unless that was done since this invalidation; false when the store did not
   * confirm it. Never throws.
   */
  async move (invalidation: number): Promise<boolean> {
    while (!this.hasMoved(invalidation)) {
      this.#pass ??= this.#run().finally(() => { this.#pass = undefined })
      if (!await this.#pass) return false
    }
    return true
  }

  async #run (): Promise<boolean> {
    const latest = this.#latest
    // Before every tag: whoever finds a tag moved has to find that its group has.
    if (!await this.#move(this.#keyspace.tagGroups)) return false
    if (await this.#door.work('move', (store) => this.#moveListed(store)) !== true) return false
    this.#moved = latest
    return true
  }

  /**
   * A version that is claimed during the pass may be missed. A fill claims it before its handler
   * runs, so that handler reads what has been written; or, where it is a tag of the payload, the
   * fill finds that the tag's group has moved since its handler began.
   */
  async #moveListed (store: CacheStore): Promise<boolean> {
    let batch: string[] = []
    for await (const key of store.keys(this.#keyspace.allBookkeeping)) {
      if (!this.#keyspace.isVersion(key) || batch.push(key) < BATCH) continue
      if (!await this.#move(batch)) return false
      batch = []
      // A store that answers at once would keep all others waiting.
      await setImmediate()
    }
    return batch.length === 0 || await this.#move(batch)
  }
}
