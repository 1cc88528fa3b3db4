import { setImmediate } from 'node:timers/promises'
import type { Keyspace } from '../key/keyspace.js'
import type { CacheStore } from '../store/contract.js'
import type { GuardedStore } from '../store/guarded-store.js'

/** Versions that are bumped in one call. */
export const BATCH = 500

/**
 * Bumps all versions under the prefix: the tag groups, then all that a pass over the keys finds.
 * Passes run one at a time. Each covers all invalidations from before it began.
 */
export class BumpAll {
  readonly #store: GuardedStore
  readonly #keyspace: Keyspace
  readonly #bump: (names: readonly string[], settle: number) => Promise<boolean>
  /** The number of the latest invalidation of everything. */
  #latest = 0
  /** The number of the latest invalidation that a complete pass has covered. */
  done = 0
  #pass: Promise<boolean> | undefined
  /** The longest window of the invalidations that no complete pass has covered yet. */
  #settle = 0

  /** @param bump bumps some versions; false if the store did not confirm it */
  constructor (
    store: GuardedStore, keyspace: Keyspace, bump: (names: readonly string[], settle: number) => Promise<boolean>
  ) {
    this.#store = store
    this.#keyspace = keyspace
    this.#bump = bump
  }

  /** Invalidates everything; returns the number of this invalidation, for `run`. */
  invalidate (settle: number): number {
    this.#settle = Math.max(this.#settle, settle)
    return ++this.#latest
  }

  /** Runs passes until one has covered this invalidation; false if the store did not confirm it. Never throws. */
  async run (invalidation: number): Promise<boolean> {
    while (invalidation > this.done) {
      this.#pass ??= this.#runPass().finally(() => { this.#pass = undefined })
      if (!await this.#pass) return false
    }
    return true
  }

  async #runPass (): Promise<boolean> {
    const latest = this.#latest
    const settle = this.#settle
    // Before the tags: a reader that finds a new version of a tag must also find a new one of its group.
    if (!await this.#bump(this.#keyspace.tagGroups, settle)) return false
    if (await this.#store.callUnbounded('bump', (store) => this.#bumpListed(store, settle)) !== true) return false
    this.done = latest
    if (latest === this.#latest) this.#settle = 0
    return true
  }

  /**
   * The pass may miss a version that is created while it runs. That is safe: the fill that creates
   * it runs its handler afterwards and reads what was written. If it is a tag of the payload, the
   * fill finds that the version of the tag's group has changed since its handler began.
   */
  async #bumpListed (store: CacheStore, settle: number): Promise<boolean> {
    let batch: string[] = []
    for await (const key of store.keys(this.#keyspace.allBookkeeping)) {
      if (!this.#keyspace.isVersion(key) || batch.push(key) < BATCH) continue
      if (!await this.#bump(batch, settle)) return false
      batch = []
      // A store that answers at once would block the event loop.
      await setImmediate()
    }
    return batch.length === 0 || await this.#bump(batch, settle)
  }
}
