import { setTimeout as startTimer } from 'node:timers'
import { setTimeout } from 'node:timers/promises'
import type { Keyspace } from '../key/keyspace.js'
import type { Log } from '../observe/log.js'
import { UNAVAILABLE, type GuardedStore } from '../store/guarded-store.js'
import { BATCH, BumpAll } from './bump-all.js'
import { RecentBumps } from './recent-bumps.js'
import { newVersion } from './version.js'

/** Most pending bumps that are remembered one by one. If there are more, all versions are bumped. */
const MAX_PENDING = 10_000
/** Milliseconds between two attempts to deliver pending bumps. */
const RETRY_INTERVAL = 200
/** Longest time in milliseconds that a response waits for a pass: enough for more than a million keys. */
const LONGEST_PASS = 5_000
/** Longest time in milliseconds for the last attempt when the server closes. */
const LAST_TRY = 1_000

/** A bump that the store has not confirmed. */
interface Pending {
  /** The number of the latest invalidation. */
  readonly sequence: number
  /** The longest window of these invalidations, in milliseconds. */
  readonly settle: number
}

/**
 * Bumps versions. A bump that the store did not confirm is pending. It is retried until it is
 * delivered. Until then this process bypasses everything that was filled under that version.
 */
export class Bumps {
  readonly #store: GuardedStore
  readonly #keyspace: Keyspace
  readonly #log: Log
  readonly #longestPass: number
  /** Pending bumps by the version's key. */
  readonly #pending = new Map<string, Pending>()
  readonly #recent = new RecentBumps()
  #sequence = 0
  readonly #all: BumpAll
  /** The number of the latest invalidation of everything that became pending. */
  #undeliveredAll = 0
  #retry: NodeJS.Timeout | undefined
  #delivering: Promise<boolean> | undefined
  #closed = false

  /** @param longestPass milliseconds that a response waits for a pass, while the store answers; default 5,000 */
  constructor (store: GuardedStore, keyspace: Keyspace, log: Log, longestPass = LONGEST_PASS) {
    this.#store = store
    this.#keyspace = keyspace
    this.#log = log
    this.#longestPass = longestPass
    this.#all = new BumpAll(store, keyspace, (names, settle) => this.#send(names, settle))
  }

  /** The number of pending bumps. */
  get pending (): number {
    return this.#pending.size + (this.#isAllPending ? MAX_PENDING : 0)
  }

  /**
   * Bumps the versions; false if that is pending. Never throws. What could not be delivered at once, and what is
   * repeated, is delivered as a hard write.
   * @param settle milliseconds of a window, 0 for none
   * @param soft milliseconds for which the old entries may still be used, 0 (default) for a hard write
   */
  async bump (names: readonly string[], settle: number, soft = 0): Promise<boolean> {
    if (await this.#send(names, settle, soft)) {
      this.remember(names, settle)
      return true
    }
    for (const name of names) this.#await(name, settle)
    this.#log.undelivered(names, this.pending)
    return this.#retryLater()
  }

  /** Bumps all versions; false if that is pending. Never throws. */
  async bumpAll (settle: number): Promise<boolean> {
    const invalidation = this.#all.invalidate(settle)
    // Before it is done: a pass may end on another server than the one that it began on.
    this.#recent.rememberEverything(settle)
    if (await this.#store.waitFor(this.#all.run(invalidation), this.#longestPass) === true) return true
    // A later invalidation may have become pending before this one.
    this.#undeliveredAll = Math.max(this.#undeliveredAll, invalidation)
    this.#log.undelivered('everything', this.pending)
    return this.#retryLater()
  }

  /** The store has confirmed that these versions were bumped. */
  remember (names: readonly string[], settle: number): void {
    this.#recent.remember(names, settle)
  }

  /**
   * The store may have lost what it confirmed: bumps the versions of the last time once more.
   * @param isAffected whether a version was bumped on a server that has been replaced
   */
  repeat (isAffected: (name: string) => boolean): void {
    const { everything } = this.#recent
    if (everything !== undefined) this.#undeliveredAll = this.#all.invalidate(everything.settle)
    for (const [name, settle] of this.#recent.names()) if (isAffected(name)) this.#await(name, settle)
    if (this.pending === 0) return
    this.#log.repeating(this.pending)
    void this.deliver()
  }

  /** Entries may be older than they seem: bumps all versions, and bypasses everything until that is done. */
  distrustAll (): void {
    this.#undeliveredAll = this.#all.invalidate(0)
    this.#log.clockSetBack()
    void this.deliver()
  }

  /** Whether entries under these versions must not be served or filled in this process now. */
  blocks (names: readonly string[]): boolean {
    if (this.#undeliveredAll > this.#all.done) return true
    return this.#pending.size > 0 && names.some((name) => this.#pending.has(name))
  }

  /** Delivers pending bumps; returns whether none is left. Never throws. */
  deliver (): Promise<boolean> {
    this.#delivering ??= this.#deliverAll().finally(() => { this.#delivering = undefined })
    return this.#delivering
  }

  /** Makes one last attempt to deliver, and logs what is still pending. */
  async close (): Promise<void> {
    this.#closed = true
    clearTimeout(this.#retry)
    if (this.pending === 0) return
    const delivered = await Promise.race([this.deliver(), setTimeout(LAST_TRY, false, { ref: false })])
    if (!delivered) this.#log.closedUndelivered([...this.#pending.keys()], this.pending)
  }

  get #isAllPending (): boolean {
    return this.#undeliveredAll > this.#all.done
  }

  async #send (names: readonly string[], settle: number, soft = 0): Promise<boolean> {
    const version = newVersion()
    return await this.#store.call('bump', (store) => soft > 0 && store.soft !== undefined
      ? store.soft.bump(names, version, soft, settle)
      : store.bump(names, version, settle)) !== UNAVAILABLE
  }

  /** From now on the bump is pending. */
  #await (name: string, settle: number): void {
    const earlier = this.#pending.get(name)?.settle ?? 0
    this.#pending.set(name, { sequence: ++this.#sequence, settle: Math.max(settle, earlier) })
    if (this.#pending.size <= MAX_PENDING) return
    let longest = 0
    for (const { settle } of this.#pending.values()) longest = Math.max(longest, settle)
    this.#pending.clear()
    this.#undeliveredAll = this.#all.invalidate(longest)
  }

  async #deliverAll (): Promise<boolean> {
    while (this.pending > 0) {
      const delivered = this.#isAllPending ? await this.#all.run(this.#undeliveredAll) : await this.#deliverBatch()
      if (!delivered) return this.#retryLater()
    }
    this.#log.delivered()
    return true
  }

  async #deliverBatch (): Promise<boolean> {
    const sorted = this.#groupsFirst([...this.#pending])
    const { settle } = sorted[0]![1]
    const others = sorted.findIndex(([, pending]) => pending.settle !== settle)
    const batch = sorted.slice(0, Math.min(others === -1 ? BATCH : others, BATCH))
    if (!await this.#send(batch.map(([name]) => name), settle)) return false
    this.remember(batch.map(([name]) => name), settle)
    for (const [name, pending] of batch) {
      // If it was invalidated again in the meantime, this bump may have happened before that write.
      if (this.#pending.get(name) === pending) this.#pending.delete(name)
    }
    return true
  }

  /** A tag's group must never be bumped after the tag. Bumps with the same window are together. */
  #groupsFirst (bumps: Array<[name: string, pending: Pending]>): Array<[name: string, pending: Pending]> {
    const groups = new Set(this.#keyspace.tagGroups)
    return bumps.sort(([a, one], [b, other]) =>
      Number(groups.has(b)) - Number(groups.has(a)) || one.settle - other.settle)
  }

  #retryLater (): false {
    if (this.#closed || this.#retry !== undefined) return false
    this.#retry = startTimer(() => {
      this.#retry = undefined
      void this.deliver()
    }, RETRY_INTERVAL).unref()
    return false
  }
}
