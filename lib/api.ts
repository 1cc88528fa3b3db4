import { InvalidNameError } from './errors.js'
import type { Core, Counters } from './runtime.js'
import { isText, show } from './policy/fields.js'
import { namesOf } from './policy/write-policy.js'

/** What `stats()` tells. */
export interface Stats extends Counters {
  /** The store's name. */
  store: string
  /** Whether the store is being asked at present. */
  available: boolean
  /** Store operations that found no answer. */
  failures: number
  /** Invalidations that are still to be delivered. */
  pending: number
  /** Fills under way that others could wait for. */
  filling: number
}

/** `fastify.apiCache`: the cache for everything that is not a route. */
export class ApiCache {
  readonly #core: Core
  readonly #store: string

  constructor (core: Core, store: string) {
    this.#core = core
    this.#store = store
  }

  /**
   * Makes everything in the namespaces old.
   * @returns the number of entries swept; 0 when the store could not be told yet: the invalidation
   *   is kept and delivered later, and the namespaces are bypassed here until then (`stats().pending`)
   * @throws InvalidNameError
   */
  async invalidate (namespaces: string | readonly string[]): Promise<number> {
    return await this.#invalidate(namesOf('invalidate', namespaces), [])
  }

  /**
   * Makes everything old that carries one of the tags. See `invalidate`.
   */
  async invalidateTags (tags: string | readonly string[]): Promise<number> {
    return await this.#invalidate([], namesOf('invalidateTags', tags))
  }

  /**
   * The keys of a namespace's entries, without a client's keyPrefix.
   * @throws InvalidNameError
   */
  async * keys (namespace: string): AsyncGenerator<string, void, undefined> {
    if (!isText(namespace)) throw new InvalidNameError('keys', show(namespace))
    yield * await this.#core.keys(this.#core.keyspace.entries(namespace))
  }

  stats (): Stats {
    const { counters, door, invalidator, flights } = this.#core
    return {
      ...counters,
      store: this.#store,
      available: door.open,
      failures: door.failures,
      pending: invalidator.pending,
      filling: flights.size
    }
  }

  /** Resolves when pending fills and sweeps have settled. */
  async ready (): Promise<void> {
    await this.#core.settled()
  }

  async #invalidate (namespaces: string[], tags: string[]): Promise<number> {
    return await (await this.#core.invalidate(namespaces, tags)).swept
  }
}
