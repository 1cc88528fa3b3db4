import { InvalidFieldError, InvalidNameError, StoreUnavailableError } from './errors.js'
import type { Counters } from './observe/stats.js'
import { toSettle, type Duration } from './policy/duration.js'
import { describe, isObject, isText, settleField } from './policy/fields.js'
import { namesOf } from './policy/write-policy.js'
import type { Runtime } from './runtime.js'
import type { CacheStore, MaybePromise } from './store/contract.js'
import { Intent, type HeldNames } from './write/intent.js'
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

/** What a write outside of routes invalidates: namespaces, or namespaces and tags. */
export type WritingNames = string | readonly string[] | {
  readonly namespaces?: string | readonly string[]
  readonly tags?: string | readonly string[]
}

export interface InvalidateOptions {
  /** How long database replicas may lag behind the write, as in a write policy; default: that of the plugin. */
  readonly settle?: Duration | 0
}

export interface WritingOptions extends InvalidateOptions {
  /**
   * What to do if the store cannot record the intent: `'refuse'` (default) rejects before `run` is
   * called, `'run'` calls it anyway, and invalidates afterwards.
   */
  readonly unrecorded?: 'refuse' | 'run'
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
   * @throws InvalidNameError, InvalidFieldError
   */
  async invalidate (namespaces: string | readonly string[], options?: InvalidateOptions): Promise<Invalidated> {
    const settle = this.#settleOf('invalidate', options)
    return await this.#runtime.invalidation.invalidate(namesOf('invalidate', namespaces), [], settle)
  }

  /**
   * Invalidates all entries that have one of the tags. See `invalidate`.
   */
  async invalidateTags (tags: string | readonly string[], options?: InvalidateOptions): Promise<Invalidated> {
    const settle = this.#settleOf('invalidateTags', options)
    return await this.#runtime.invalidation.invalidate([], namesOf('invalidateTags', tags), settle)
  }

  /**
   * Invalidates everything under the prefix. See `invalidate`.
   */
  async clear (): Promise<Invalidated> {
    return await this.#runtime.invalidation.clear(this.#runtime.settle)
  }

  /**
   * Runs a write outside of a route, such as a transaction or an import. While it is at work its
   * namespaces and tags are held: no process serves or fills their entries. When it has settled they
   * are invalidated, whatever its outcome is, also if this process crashes meanwhile.
   * @returns what `run` returns
   * @throws InvalidNameError, StoreUnavailableError before `run` is called; what `run` throws
   */
  async writing<T> (
    names: WritingNames, run: () => MaybePromise<T>, options: WritingOptions = {}
  ): Promise<T> {
    const { unrecorded = 'refuse' } = options
    const settle = this.#settleOf('writing', options)
    const { namespaces, tags } = namesHeld(names)
    const { intents, invalidation } = this.#runtime
    const intent = intents && new Intent(this.#runtime, intents, { namespaces, tags }, settle)
    const isRecorded = await intent?.begin() === true
    if (!isRecorded && unrecorded === 'refuse') {
      throw new StoreUnavailableError('writing() did not begin, as its intent could not be recorded; ' +
        "to run anyway and invalidate afterwards, pass { unrecorded: 'run' }")
    }
    try {
      return await run()
    } finally {
      await (isRecorded ? intent!.end(true) : invalidation.invalidate(namespaces, tags, settle))
    }
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

  #settleOf (what: string, { settle }: InvalidateOptions = {}): number {
    if (settle === undefined) return this.#runtime.settle
    const milliseconds = toSettle(settle)
    if (milliseconds === undefined) throw new InvalidFieldError(what, 'settle', settleField.expects, describe(settle))
    return milliseconds
  }
}

function namesHeld (names: WritingNames): HeldNames {
  if (!isObject(names)) return { namespaces: namesOf('writing', names), tags: [] }
  const { namespaces = [], tags = [] } = names as Exclude<WritingNames, string | readonly string[]>
  return { namespaces: namesOf('writing', namespaces), tags: namesOf('writing', tags) }
}
