import type { Entry } from '../entry/entry.js'

export type MaybePromise<T> = T | Promise<T>

/** Returned instead of a version that a strict write holds. */
export const CLOSED = '~' as const

/** The last character of a version that lives only until its window (`settle`) ends. No other version ends with it. */
const SETTLING = '+'

/** The version of a window, made from `fresh`. */
export const settlingVersion = (fresh: string): string => fresh + SETTLING

/** Whether a version is one of a window, under which nothing is kept beyond its end. */
export const isSettling = (version: string): boolean => version.endsWith(SETTLING)

/** The current versions, in the order of their names; undefined for a version that does not exist. */
export type CurrentVersions = ReadonlyArray<string | undefined>

/** The result of a lookup in a store. */
export interface Lookup {
  readonly entry: Entry | undefined
  readonly versions: CurrentVersions
}

/**
 * Where entries and versions are kept. Every method may return its result or a promise. It may throw
 * or reject if the store cannot be reached; the plugin then runs the handler.
 *
 * A version is an unguessable string under its own key. A store may lose entries and versions at any
 * time, but must never bring back an earlier version.
 */
export interface CacheStore {
  /** Its name in the log. */
  readonly name: string
  /**
   * True if lookups are answered at once, from this process's memory. The lookups of all requests of
   * one tick of the event loop then run after the tick, so that their responses are sent together,
   * as they are with a store that answers all of them together.
   */
  readonly immediate?: boolean
  /** For `strict` writes; a store that cannot hold versions leaves it out. */
  readonly intents?: Intents
  /** For `coalesce: 'fleet'`; a store without leases leaves it out. */
  readonly leases?: Leases
  /** For soft writes; to a store that leaves it out every write is a hard one. */
  readonly soft?: SoftWrites
  /** False while the store is known to be unavailable; it is not called then. */
  ready?(): boolean
  /**
   * A promise of being ready again, if the connection was lost through no fault of the server. Calls
   * wait for it, and those that it has interrupted are repeated.
   */
  reconnecting?(): Promise<unknown> | undefined
  /** Resolves when the store answers. Called repeatedly after it did not answer. */
  ping?(): MaybePromise<unknown>
  /**
   * The bytes exchanged with a server so far, if all answers come in order on one connection. While
   * it increases quickly, operations may take twice as long, and do not count as unanswered.
   */
  transferred?(): number
  /**
   * Tells when another server, or another run of one, answers in place of the one before, which may
   * have confirmed what this one has not got. Called before anything of the new one is used.
   * @param listener gets a function that says whether the version with this name is affected
   */
  onTakeover?(listener: TakeoverListener): void
  /**
   * Tells when a server's clock was set back, so that what it keeps lives for longer, and what was stored
   * before may seem younger than it is. Called before anything more is used.
   */
  onSetBack?(listener: () => void): void
  /** The entry and the versions at one point in time after the call. One round trip. */
  lookup(key: string, names: readonly string[]): MaybePromise<Lookup>
  /** The versions at one point in time after the call; undefined for a version that does not exist. */
  versions(names: readonly string[]): MaybePromise<CurrentVersions>
  /**
   * The current versions; `CLOSED` for a version that is held. A version that does not exist is
   * created from `fresh`, atomically. Here and below, the store may derive another string from
   * `fresh` if it never uses that twice.
   */
  ensure(names: readonly string[], fresh: string): MaybePromise<string[]>
  /**
   * Replaces the versions; a version that is held stays held. One that does not exist has no entries
   * and may be left so: names can come from anyone's request. They are replaced in this order: a
   * reader that sees one replaced also sees those before it replaced. One round trip.
   * @param settle milliseconds of a window, 0 (default) for none. Each version, also one that did not
   *   exist, is then replaced by a `settlingVersion`, which is missing from the end of the window on.
   *   Another bump within the window replaces it by another one; the end of the longest window counts.
   *   The window of a version that is held begins when the hold ends.
   */
  bump(names: readonly string[], fresh: string, settle?: number): MaybePromise<void>
  /** Keeps the entry, at most until its `deleteAt`. */
  set(key: string, entry: Entry): MaybePromise<unknown>
  /** The keys of entries and versions, including held ones, that begin with `prefix`; each at least once. */
  keys(prefix: string): AsyncIterable<string>
  /**
   * Deletes all entries whose key begins with `prefix` and that are not current; returns how many.
   * @param hints may be ignored
   */
  sweep(prefix: string, isCurrent: IsCurrent, hints?: SweepHints): MaybePromise<number>
  /** Called when the server closes: releases what the store itself opened. */
  close?(): MaybePromise<void>
}

export type TakeoverListener = (isAffected: (name: string) => boolean) => void

/** The versions that an entry was filled under, by their names. */
export type FilledUnder = Readonly<Record<string, string>>

/** Whether an entry is still current. To be asked after the entry has been read. */
export type IsCurrent = (versions: FilledUnder) => MaybePromise<boolean>

/** What makes a sweep cheaper, and its outcome better known. */
export interface SweepHints {
  /** The beginnings of the keys that need to be looked at, each of all entries of a namespace. Others are current. */
  readonly namespaces?: ReadonlySet<string> | undefined
  /** To be called for each entry that was deleted. */
  readonly deleted?: ((versions: FilledUnder) => void) | undefined
}

/** Writes in progress, recorded before they begin. */
export interface Intents {
  /**
   * Holds the versions for a writer, or renews its intent. Until all intents on a version have ended
   * or expired, it counts as missing, and `ensure` does not create it.
   */
  begin(names: readonly string[], writer: string, milliseconds: number): MaybePromise<void>
  /**
   * Ends the writer's intent. The last one to end replaces each version by `fresh`; or restores it,
   * if no writer has `written` and no intent has expired. One that did not exist may be left so.
   */
  end(names: readonly string[], writer: string, fresh: string, written: boolean): MaybePromise<void>
}

/**
 * When a soft write first replaced an earlier version of this name, in milliseconds since 1970. Undefined if
 * entries under it must not be used: a hard write, or a lost version, came between it and the current version,
 * or its time is over.
 */
export type SoftenedAt = (name: string, earlier: string, current: string | undefined) => number | undefined

/** Writes that say for how long their old entries may be used meanwhile. */
export interface SoftWrites {
  /**
   * Like `bump`, with another deadline: entries under the replaced versions may be used for `soft` milliseconds
   * from now on. This shortens what earlier soft writes allowed, and never prolongs it; with many writes a store
   * may end it early, after half of that time. A version that is held is bumped as by `bump`.
   */
  bump(names: readonly string[], fresh: string, soft: number, settle: number): MaybePromise<void>
  /** What soft writes have replaced, at one point in time after the call. One round trip, and none beside a lookup. */
  softened(names: readonly string[]): MaybePromise<SoftenedAt>
}

/** Decides which of several processes fills a key. */
export interface Leases {
  /** Takes the lease on a key for `milliseconds`, or prolongs it for its holder; false if another holder has it. */
  take(key: string, holder: string, milliseconds: number): MaybePromise<boolean>
  /** Releases the lease if `holder` still has it, and publishes `news` to all subscribers. */
  release(key: string, holder: string, news: string): MaybePromise<void>
  /** Calls `listener` for each lease that is released from now on. News may be lost. */
  subscribe(listener: (key: string, news: string) => void): void
}

export function isPromise<T> (value: MaybePromise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && typeof (value as Promise<T>).then === 'function'
}
