import { InvalidNameError } from './errors.js'
import type { Counters } from './observe/stats.js'
import { describe, isText } from './policy/fields.js'
import { namesOf } from './policy/write-policy.js'
import type { Runtime } from './runtime.js'
import type { CacheStore } from './store/contract.js'
import type { Invalidated } from './write/invalidation.js'

/** What `stats()` returns. */
export interface Stats extends Counters {
  /** The store's name. */
  store: string
  /** Whether the store is used: false while the circuit breaker is open. */
  available: boolean
  /** Invalidations that the store has not confirmed yet. */
  pending: number
  /** Fills in progress that other requests can wait for. */
  filling: number
}

/** `fastify.apiCache`: the cache for code outside of routes. */
export class ApiCache {
  readonly #runtime: Runtime
  readonly #store: CacheStore

  constructor (runtime: Runtime, store: CacheStore) {
    this.#runtime = runtime
    this.#store = store
  }

  /**
   * Invalidates all entries of the namespaces. Resolves when their versions have been bumped; the
   * sweep runs afterwards. If the store cannot be reached, the invalidation is delivered later, and
   * this process bypasses the namespaces until then (`stats().pending`).
   * @throws InvalidNameError
   */
  async invalidate (namespaces: string | readonly string[]): Promise<Invalidated> {
    return await this.#runtime.invalidation.invalidate(namesOf('invalidate', namespaces), [])
  }

  /**
   * Invalidates all entries that have one of the tags. See `invalidate`.
   */
  async invalidateTags (tags: string | readonly string[]): Promise<Invalidated> {
    return await this.#runtime.invalidation.invalidate([], namesOf('invalidateTags', tags))
  }

  /**
   * The keys of the entries of a namespace, without the client's keyPrefix.
   * @throws InvalidNameError
   */
  async * keys (namespace: string): AsyncGenerator<string, void, undefined> {
    if (!isText(namespace)) throw new InvalidNameError('keys', describe(namespace))
    yield * await this.#store.keys(this.#runtime.keyspace.entries(namespace))
  }

  stats (): Stats {
    const { stats, store, bumps, fills } = this.#runtime
    return {
      ...stats.counters,
      store: this.#store.name,
      available: store.available,
      pending: bumps.pending,
      filling: fills.size
    }
  }

  /** Resolves when all background work, such as fills and sweeps, has settled. */
  async settled (): Promise<void> {
    await this.#runtime.background.settled()
  }
}
