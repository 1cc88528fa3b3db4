import type { Entry } from '../entry/entry.js'

export type MaybePromise<T> = T | Promise<T>

/** Instead of a version to fill under: a strict write holds it. */
export const CLOSED = '~' as const

/** What one look into a store found. */
export interface Lookup {
  readonly entry: Entry | undefined
  /** The current versions, in the order in which they were asked for; undefined where there is none. */
  readonly versions: ReadonlyArray<string | undefined>
}

/**
 * Where entries and versions live. Every method may answer at once or with a promise, and may
 * throw or reject when the store cannot be reached: the plugin then answers from the handler.
 *
 * A version is a text that nobody can guess, kept under a key of its own. A store may lose
 * entries and versions at any time; it must never bring back an older version.
 */
export interface CacheStore {
  /** Named in the log. */
  readonly name: string
  /**
   * True where lookups are answered at once, out of this process's memory. What the requests of one
   * turn of the event loop ask for is then looked up when the turn is over, so that their answers
   * leave one right behind the other, as they do where a store answers for all of them together.
   */
  readonly immediate?: boolean
  /** False while asking is known to be useless; not asked then. */
  ready?(): boolean
  /** Resolves when the store answers: asked from time to time after it did not. */
  ping?(): MaybePromise<unknown>
  /** The entry and the versions as they are at one moment after the call: one round trip. */
  lookup(key: string, versions: readonly string[]): MaybePromise<Lookup>
  /** The versions as they are at one moment after the call; undefined where there is none. */
  current(versions: readonly string[]): MaybePromise<ReadonlyArray<string | undefined>>
  /**
   * The current versions; one that does not exist becomes `fresh` first, atomically for each, or
   * another text that the store makes of it (here and below) and that is never used twice.
   * `CLOSED` for one that is held.
   */
  claim(versions: readonly string[], fresh: string): MaybePromise<string[]>
  /**
   * Replaces the versions by `fresh`, whatever they were; one that is held stays so. In this
   * order: nobody sees one moved and one before it not. One round trip.
   */
  move(versions: readonly string[], fresh: string): MaybePromise<void>
  /**
   * Holds the versions for a writer: until all who hold one have let it go, or `milliseconds`
   * have passed, it counts as one that does not exist and cannot be claimed.
   * Only needed for `strict` writes.
   */
  hold?(versions: readonly string[], writer: string, milliseconds: number): MaybePromise<void>
  /**
   * The writer lets go of the versions. The last one makes each `fresh`; or, where no writer has
   * `moved` it and none was heard of no more, what it was before.
   */
  letGo?(versions: readonly string[], writer: string, fresh: string, moved: boolean): MaybePromise<void>
  /** Keeps the entry for at most `seconds`. */
  set(key: string, entry: Entry, seconds: number): MaybePromise<unknown>
  /** The keys of entries and of versions that begin with `prefix`, those of versions that are held too, each at least once. */
  keys(prefix: string): AsyncIterable<string>
  /** Deletes every entry whose key begins with `prefix` and whose versions are not current; how many. */
  sweep(prefix: string, isCurrent: (versions: Readonly<Record<string, string>>) => boolean): MaybePromise<number>
  /**
   * Takes the lease on a key for `milliseconds`, or prolongs it for its holder; false while it is
   * somebody else's. Only needed for `coalesce: 'fleet'`, like the next two.
   */
  lease?(key: string, holder: string, milliseconds: number): MaybePromise<boolean>
  /** Gives the lease back, when `holder` still has it, and tells `news` to everybody who listens. */
  release?(key: string, holder: string, news: string): MaybePromise<void>
  /** Calls `told` for each lease that is given back from now on, as far as the store learns of it. */
  listen?(told: (key: string, news: string) => void): void
  /** Called when the server closes: frees what the store itself opened. */
  close?(): MaybePromise<void>
}

export function isPromise<T> (value: MaybePromise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && typeof (value as Promise<T>).then === 'function'
}
