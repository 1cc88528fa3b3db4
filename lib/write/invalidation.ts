import type { Background } from '../background.js'
import type { Keyspace } from '../key/keyspace.js'
import type { Events } from '../observe/events.js'
import { UNAVAILABLE, type GuardedStore } from '../store/guarded-store.js'
import type { Bumps } from './bumps.js'
import { inBatches } from './in-batches.js'
import { SweepQueue } from './sweep-queue.js'

export interface InvalidationParts {
  readonly store: GuardedStore
  readonly keyspace: Keyspace
  readonly events: Events
  readonly bumps: Bumps
  readonly background: Background
}

/** The outcome of an invalidation. */
export interface Invalidated {
  /** Whether the store has confirmed it. Otherwise it is pending, and this process bypasses what it invalidates. */
  readonly delivered: boolean
  /** The number of entries that the sweep afterwards deletes. Never rejects. */
  readonly swept: Promise<number>
}

/** Most namespaces of one invalidation that are swept one by one. For more, all entries are swept once. */
const MANY_NAMESPACES = 20

/** Invalidates entries: bumps their versions, then sweeps them. */
export class Invalidation {
  readonly #parts: InvalidationParts
  readonly #sweeps: SweepQueue

  constructor (parts: InvalidationParts) {
    this.#parts = parts
    this.#sweeps = new SweepQueue(parts.store)
  }

  /** @param settle milliseconds of a window, 0 for none */
  async invalidate (namespaces: readonly string[], tags: readonly string[], settle: number): Promise<Invalidated> {
    let delivered = true
    for await (const [someNamespaces, someTags] of inBatches(namespaces, tags)) {
      delivered = await this.#parts.bumps.bump(this.namesOf(someNamespaces, someTags), settle) && delivered
    }
    return { delivered, swept: this.sweep(namespaces, tags, delivered) }
  }

  /**
   * Bumps all versions, if it is unknown what a write changed. The invalid entries are not swept:
   * they are replaced by new fills, or they expire.
   * @param settle milliseconds of a window, 0 for none
   */
  async invalidateAll (settle: number): Promise<boolean> {
    const delivered = await this.#parts.bumps.bumpAll(settle)
    this.#publish([ALL], [], delivered)
    return delivered
  }

  /** Invalidates everything, and deletes all entries, also those that were filled meanwhile. */
  async clear (settle: number): Promise<Invalidated> {
    const delivered = await this.invalidateAll(settle)
    return { delivered, swept: this.#parts.background.run(this.#sweepAll()) }
  }

  /** The keys of the versions of namespaces and tags. */
  namesOf (namespaces: readonly string[], tags: readonly string[]): string[] {
    const { keyspace } = this.#parts
    // Groups first: a reader that finds a new version of a tag must also find a new one of its group.
    return [
      ...new Set(tags.map((tag) => keyspace.tagGroup(tag))),
      ...namespaces.map((namespace) => keyspace.version(namespace)),
      ...tags.map((tag) => keyspace.tag(tag))
    ]
  }

  /** Sweeps the invalid entries of namespaces and tags; returns how many were deleted. Never rejects. */
  sweep (namespaces: readonly string[], tags: readonly string[], delivered: boolean): Promise<number> {
    this.#publish(namespaces, tags, delivered)
    return this.#parts.background.run(this.#sweep(namespaces, tags))
  }

  async #sweep (namespaces: readonly string[], tags: readonly string[]): Promise<number> {
    const { keyspace, events } = this.#parts
    const alone = namespaces.length > MANY_NAMESPACES ? [] : namespaces
    const sweeps = alone.map((namespace) =>
      this.#sweeps.sweep(keyspace.entries(namespace), [keyspace.version(namespace)]))
    const together: string[] = []
    for await (const [someNamespaces, someTags] of inBatches(namespaces.slice(alone.length), tags)) {
      for (const namespace of someNamespaces) together.push(keyspace.version(namespace))
      for (const tag of someTags) together.push(keyspace.tag(tag))
    }
    if (together.length > 0) sweeps.push(this.#sweeps.sweep(keyspace.allEntries, together))
    let swept = 0
    for (const count of await Promise.all(sweeps)) swept += count
    events.publish('sweep', { prefix: keyspace.prefix, swept })
    return swept
  }

  async #sweepAll (): Promise<number> {
    const { store, keyspace, events } = this.#parts
    const deleted = await store.callUnbounded('sweep', (store) => store.sweep(keyspace.allEntries, () => false))
    const swept = deleted === UNAVAILABLE ? 0 : deleted
    events.publish('sweep', { prefix: keyspace.prefix, swept })
    return swept
  }

  #publish (namespaces: readonly string[], tags: readonly string[], delivered: boolean): void {
    const { events, keyspace: { prefix } } = this.#parts
    events.publish('invalidation', { prefix, namespaces, tags, delivered })
  }
}

/** The namespace in an event if everything was invalidated. */
const ALL = '*'
