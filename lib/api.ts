import type { FastifyRequest } from 'fastify'
import { Commands } from './commands.js'
import { isRefresh } from './fastify/injected-refresh.js'
import type { Counters } from './observe/stats.js'
import type { Runtime } from './runtime.js'
import type { CacheStore, MaybePromise } from './store/contract.js'
import type { Invalidated } from './write/invalidation.js'
import type { InvalidateOptions, WritingNames, WritingOptions } from './write/writing.js'

/** What `stats()` returns. */
export interface Stats extends Counters {
  /** The store's name. */
  store: string
  /** Whether the store is used: false while it is not connected, or the circuit breaker is open. */
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
  readonly #commands: Commands

  constructor (runtime: Runtime, store: CacheStore) {
    this.#runtime = runtime
    this.#store = store
    this.#commands = new Commands(runtime, store)
  }

  /**
   * Invalidates all entries of the namespaces. Resolves when their versions have been bumped; the
   * sweep runs afterwards. If the store cannot be reached, the invalidation is delivered later, and
   * this process bypasses the namespaces until then (`stats().pending`).
   * @throws InvalidNameError, UnknownFieldError, InvalidFieldError
   */
  async invalidate (namespaces: string | readonly string[], options?: InvalidateOptions): Promise<Invalidated> {
    return await this.#commands.invalidate(namespaces, options)
  }

  /**
   * Invalidates all entries that have one of the tags. See `invalidate`.
   */
  async invalidateTags (tags: string | readonly string[], options?: InvalidateOptions): Promise<Invalidated> {
    return await this.#commands.invalidateTags(tags, options)
  }

  /**
   * Invalidates everything under the prefix. See `invalidate`.
   */
  async clear (): Promise<Invalidated> {
    return await this.#commands.clear()
  }

  /**
   * Runs a write outside of a route, such as a transaction or an import. While it is at work its
   * namespaces and tags are held: no process serves or fills their entries. When it has settled they
   * are invalidated, whatever its outcome is, also if this process crashes meanwhile.
   * @returns what `run` returns
   * @throws InvalidNameError, UnknownFieldError, InvalidFieldError, StoreUnavailableError before `run` is called;
   *   what `run` throws
   */
  async writing<T> (names: WritingNames, run: () => MaybePromise<T>, options: WritingOptions = {}): Promise<T> {
    return (await this.#commands.writing(names, run, options)).value
  }

  /**
   * The keys of the entries of a namespace, without the client's keyPrefix. Waits for entries of earlier responses
   * that are on their way to the store.
   * @throws InvalidNameError, StoreUnavailableError
   */
  async * keys (namespace: string): AsyncGenerator<string, void, undefined> {
    await this.#runtime.fills.stored()
    yield * this.#commands.keys(namespace)
  }

  /**
   * The namespaces that have entries or a version under the prefix, each once. One whose name is too
   * long for a key comes as keys have it: its beginning, `~` and a hash.
   * @throws StoreUnavailableError
   */
  async * namespaces (): AsyncGenerator<string, void, undefined> {
    await this.#runtime.fills.stored()
    yield * this.#commands.namespaces()
  }

  /** Whether a request is a refresh by the cache, of a route with `refreshWith: 'inject'`. Nobody else can make one. */
  isRefresh (request: FastifyRequest): boolean {
    return isRefresh(request)
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

  /** Resolves when all background work, such as fills, refreshes and sweeps, has settled. */
  async settled (): Promise<void> {
    await this.#runtime.background.settled()
  }
}
