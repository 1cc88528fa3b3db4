import { InvalidNameError, StoreUnavailableError } from './errors.js'
import { describe, isText } from './policy/fields.js'
import { namesOf } from './policy/names.js'
import type { CacheStore, MaybePromise } from './store/contract.js'
import type { Invalidated } from './write/invalidation.js'
import type { WriteRuntime } from './write/write-runtime.js'
import {
  windowsOf, writing, type InvalidateOptions, type Written, type WritingNames, type WritingOptions
} from './write/writing.js'

/** What code outside of routes can do with a cache, on a server and in a client without one. */
export class Commands {
  readonly #runtime: WriteRuntime
  readonly #store: CacheStore

  constructor (runtime: WriteRuntime, store: CacheStore) {
    this.#runtime = runtime
    this.#store = store
  }

  async invalidate (namespaces: string | readonly string[], options?: InvalidateOptions): Promise<Invalidated> {
    const { settle, soft } = windowsOf('invalidate', this.#runtime, options)
    return await this.#runtime.invalidation.invalidate(namesOf('invalidate', namespaces), [], settle, soft)
  }

  async invalidateTags (tags: string | readonly string[], options?: InvalidateOptions): Promise<Invalidated> {
    const { settle, soft } = windowsOf('invalidateTags', this.#runtime, options)
    return await this.#runtime.invalidation.invalidate([], namesOf('invalidateTags', tags), settle, soft)
  }

  async clear (): Promise<Invalidated> {
    return await this.#runtime.invalidation.clear(this.#runtime.settle)
  }

  async writing<T> (names: WritingNames, run: () => MaybePromise<T>, options: WritingOptions): Promise<Written<T>> {
    return await writing(this.#runtime, names, run, options)
  }

  async * keys (namespace: string): AsyncGenerator<string, void, undefined> {
    if (!isText(namespace)) throw new InvalidNameError('keys', describe(namespace))
    yield * this.#listed('keys()', this.#runtime.keyspace.entries(namespace))
  }

  async * namespaces (): AsyncGenerator<string, void, undefined> {
    const { keyspace } = this.#runtime
    const seen = new Set<string>()
    for await (const key of this.#listed('namespaces()', keyspace.prefix)) {
      const namespace = keyspace.namespaceOf(key)
      if (namespace === undefined || seen.has(namespace)) continue
      seen.add(namespace)
      yield namespace
    }
  }

  async * #listed (what: string, prefix: string): AsyncGenerator<string, void, undefined> {
    const { available } = this.#runtime.store
    if (!available) throw new StoreUnavailableError(`${what} cannot list keys, as the store is unavailable`)
    try {
      yield * this.#store.keys(prefix)
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : 'the store failed'
      throw new StoreUnavailableError(`${what} could not list all keys: ${reason}`, { cause })
    }
  }
}
