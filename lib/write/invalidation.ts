import type { Background } from '../background.js'
import type { Keyspace } from '../key/keyspace.js'
import type { Events } from '../observe/events.js'
import type { GuardedStore } from '../store/guarded-store.js'
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
  /** The number of entries that the sweep afterwards deletes for it. Never rejects. */
  readonly swept: Promise<number>
}

/** Waits for the sweep only if somebody asks for its outcome: a write leaves nothing behind that does. */
class Outcome implements Invalidated {
  readonly delivered: boolean
  readonly #swept: Promise<() => Promise<number>>

  constructor (delivered: boolean, swept: Promise<() => Promise<number>>) {
    this.delivered = delivered
    this.#swept = swept
  }

  get swept (): Promise<number> {
    return this.#swept.then((count) => count())
  }
}

/** Invalidates entries: bumps their versions, then sweeps them. */
export class Invalidation {
  readonly #parts: InvalidationParts
  readonly #sweeps: SweepQueue

  constructor (parts: InvalidationParts) {
    this.#parts = parts
    this.#sweeps = new SweepQueue(parts, parts.background)
  }

  /** @param settle milliseconds of a window, 0 for none */
  async invalidate (namespaces: readonly string[], tags: readonly string[], settle: number): Promise<Invalidated> {
    let delivered = true
    for await (const [someNamespaces, someTags] of inBatches(namespaces, tags)) {
      delivered = await this.#parts.bumps.bump(this.namesOf(someNamespaces, someTags), settle) && delivered
    }
    return new Outcome(delivered, this.sweep(namespaces, tags, delivered))
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

  /** Invalidates everything, and sweeps all that was filled before. */
  async clear (settle: number): Promise<Invalidated> {
    const delivered = await this.invalidateAll(settle)
    const sweep = this.#sweeps.add(undefined)
    return new Outcome(delivered, Promise.resolve(() => sweep.ended))
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

  /**
   * Lets the next sweep delete the invalid entries of namespaces and tags. Never rejects.
   * @returns a function that waits for the sweep, and returns how many entries it has deleted for them
   */
  sweep (
    namespaces: readonly string[], tags: readonly string[], delivered: boolean
  ): Promise<() => Promise<number>> {
    this.#publish(namespaces, tags, delivered)
    return this.#parts.background.run(this.#enqueue(namespaces, tags))
  }

  async #enqueue (namespaces: readonly string[], tags: readonly string[]): Promise<() => Promise<number>> {
    const { keyspace } = this.#parts
    const versions = new Set<string>()
    const beginnings = new Set(tags.length > 0 ? [keyspace.allEntries] : [])
    for await (const [someNamespaces, someTags] of inBatches(namespaces, tags)) {
      for (const namespace of someNamespaces) {
        versions.add(keyspace.version(namespace))
        beginnings.add(keyspace.entries(namespace))
      }
      for (const tag of someTags) versions.add(keyspace.tag(tag))
    }
    if (versions.size === 0) return async () => 0
    const sweep = this.#sweeps.add({ versions, beginnings })
    return () => sweep.sweptFor(versions)
  }

  #publish (namespaces: readonly string[], tags: readonly string[], delivered: boolean): void {
    const { events, keyspace: { prefix } } = this.#parts
    events.publish('invalidation', { prefix, namespaces, tags, delivered })
  }
}

/** The namespace in an event if everything was invalidated. */
const ALL = '*'
