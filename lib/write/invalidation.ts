import type { Background } from '../background.js'
import type { Keyspace } from '../key/keyspace.js'
import type { Events, InvalidationEvent } from '../observe/events.js'
import type { GuardedStore } from '../store/guarded-store.js'
import type { Bumps } from './bumps.js'
import { inBatches } from './in-batches.js'
import { LaterSweeps } from './later-sweeps.js'
import type { Replaced } from './sweep.js'
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
  /**
   * The number of entries that the sweep afterwards deletes for it; 0 for a soft write, whose old entries are deleted
   * when they may not be used any more. Never rejects.
   */
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
  readonly #later: LaterSweeps

  constructor (parts: InvalidationParts) {
    this.#parts = parts
    this.#sweeps = new SweepQueue(parts, parts.background)
    this.#later = new LaterSweeps(this.#sweeps)
  }

  /**
   * @param settle milliseconds of a window, 0 for none
   * @param soft milliseconds for which the old entries may still be used, 0 (default) for a hard write
   */
  async invalidate (
    namespaces: readonly string[], tags: readonly string[], settle: number, soft = 0
  ): Promise<Invalidated> {
    let delivered = true
    for await (const [someNamespaces, someTags] of inBatches(namespaces, tags)) {
      delivered = await this.#parts.bumps.bump(this.namesOf(someNamespaces, someTags), settle, soft) && delivered
    }
    if (soft === 0) return new Outcome(delivered, this.sweep(namespaces, tags, delivered))
    this.#publish({ namespaces, tags, delivered, soft })
    return new Outcome(delivered, this.#parts.background.run(this.#sweepLater(namespaces, tags, soft)))
  }

  /**
   * Bumps all versions, if it is unknown what a write changed. The invalid entries are not swept:
   * they are replaced by new fills, or they expire.
   * @param settle milliseconds of a window, 0 for none
   */
  async invalidateAll (settle: number): Promise<boolean> {
    const delivered = await this.#parts.bumps.bumpAll(settle)
    this.#publish({ namespaces: [ALL], tags: [], delivered })
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
    this.#publish({ namespaces, tags, delivered })
    return this.#parts.background.run(this.#enqueue(namespaces, tags))
  }

  /** No timer for a later sweep is left. */
  close (): void {
    this.#later.close()
  }

  async #enqueue (namespaces: readonly string[], tags: readonly string[]): Promise<() => Promise<number>> {
    const replaced = await this.#replaced(namespaces, tags)
    if (replaced.versions.size === 0) return NOTHING
    const sweep = this.#sweeps.add(replaced)
    return () => sweep.sweptFor(replaced.versions)
  }

  /** Nobody waits for that sweep. */
  async #sweepLater (
    namespaces: readonly string[], tags: readonly string[], soft: number
  ): Promise<() => Promise<number>> {
    const replaced = await this.#replaced(namespaces, tags)
    if (replaced.versions.size > 0) this.#later.add(replaced, soft)
    return NOTHING
  }

  async #replaced (namespaces: readonly string[], tags: readonly string[]): Promise<Replaced> {
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
    return { versions, beginnings }
  }

  #publish ({ soft = 0, ...event }: Omit<InvalidationEvent, 'prefix' | 'soft'> & { readonly soft?: number }): void {
    const { events, keyspace: { prefix } } = this.#parts
    events.publish('invalidation', { prefix, ...event, soft })
  }
}

const NOTHING = async (): Promise<number> => 0

/** The namespace in an event if everything was invalidated. */
const ALL = '*'
