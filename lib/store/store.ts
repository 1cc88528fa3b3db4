import type { Entry } from './entry.js'

export type MaybePromise<T> = T | Promise<T>

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
  /** False while asking is known to be useless; not asked then. */
  ready?(): boolean
  /** Resolves when the store answers: asked from time to time after it did not. */
  ping?(): MaybePromise<unknown>
  /**
   * Calls `suspect` whenever the store may have fallen back to an older state (a failover, a
   * restart from disk): versions read before count as lost then.
   */
  watch?(suspect: () => void): void
  /** The entry and the versions as they are at one moment after the call: one round trip. */
  lookup(key: string, versions: readonly string[]): MaybePromise<Lookup>
  /** The versions as they are at one moment after the call; undefined where there is none. */
  current(versions: readonly string[]): MaybePromise<ReadonlyArray<string | undefined>>
  /** The current versions; one that does not exist becomes `fresh` first, atomically for each. */
  claim(versions: readonly string[], fresh: string): MaybePromise<string[]>
  /** Replaces the versions by `fresh`, whatever they were. One round trip. */
  move(versions: readonly string[], fresh: string): MaybePromise<void>
  /** Keeps the entry for at most `seconds`. */
  set(key: string, entry: Entry, seconds: number): MaybePromise<void>
  /** The keys of entries and of versions that begin with `prefix`, each at least once. */
  keys(prefix: string): AsyncIterable<string>
  /** Deletes every entry whose key begins with `prefix` and whose versions are not current; how many. */
  sweep(prefix: string, isCurrent: (versions: Readonly<Record<string, string>>) => boolean): MaybePromise<number>
  /**
   * Takes the lease on a key for `milliseconds` unless somebody holds it.
   * Only needed for `coalesce: 'fleet'`.
   */
  lease?(key: string, holder: string, milliseconds: number): MaybePromise<boolean>
  /** Gives the lease back, when `holder` still has it. */
  release?(key: string, holder: string): MaybePromise<void>
  /** Called when the server closes: frees what the store itself opened. */
  close?(): MaybePromise<void>
}

export function isPromise<T> (value: MaybePromise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && typeof (value as Promise<T>).then === 'function'
}
