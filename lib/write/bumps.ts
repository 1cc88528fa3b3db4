import { setTimeout as startTimer } from 'node:timers'
import { setTimeout } from 'node:timers/promises'
import type { Keyspace } from '../key/keyspace.js'
import type { Log } from '../observe/log.js'
import { UNAVAILABLE, type GuardedStore } from '../store/guarded-store.js'
import { BATCH, BumpAll } from './bump-all.js'
import { newVersion } from './version.js'

/** Most pending bumps that are remembered one by one. If there are more, all versions are bumped. */
const MAX_PENDING = 10_000
/** Milliseconds between two attempts to deliver pending bumps. */
const RETRY_INTERVAL = 200
/** Longest time in milliseconds that a response waits for a pass: enough for more than a million keys. */
const LONGEST_PASS = 5_000
/** Longest time in milliseconds for the last attempt when the server closes. */
const LAST_TRY = 1_000

/**
 * Bumps versions. A bump that the store did not confirm is pending. It is retried until it is
 * delivered. Until then this process bypasses everything that was filled under that version.
 */
export class Bumps {
  readonly #store: GuardedStore
  readonly #keyspace: Keyspace
  readonly #log: Log
  /** Pending bumps by the version's key, each with the number of its latest invalidation. */
  readonly #pending = new Map<string, number>()
  #sequence = 0
  readonly #all: BumpAll
  /** The number of the latest invalidation of everything that became pending. */
  #undeliveredAll = 0
  #retry: NodeJS.Timeout | undefined
  #delivering: Promise<boolean> | undefined
  #closed = false

  constructor (store: GuardedStore, keyspace: Keyspace, log: Log) {
    this.#store = store
    this.#keyspace = keyspace
    this.#log = log
    this.#all = new BumpAll(store, keyspace, (names) => this.#send(names))
  }

  /** The number of pending bumps. */
  get pending (): number {
    return this.#pending.size + (this.#isAllPending ? MAX_PENDING : 0)
  }

  /** Bumps the versions; false if that is pending. Never throws. */
  async bump (names: readonly string[]): Promise<boolean> {
    if (await this.#send(names)) return true
    for (const name of names) this.#pending.set(name, ++this.#sequence)
    if (this.#pending.size > MAX_PENDING) {
      this.#pending.clear()
      this.#undeliveredAll = this.#all.invalidate()
    }
    this.#log.undelivered(names, this.pending)
    return this.#retryLater()
  }

  /** Bumps all versions; false if that is pending. Never throws. */
  async bumpAll (): Promise<boolean> {
    const invalidation = this.#all.invalidate()
    if (await this.#store.waitFor(this.#all.run(invalidation), LONGEST_PASS) === true) return true
    // A later invalidation may have become pending before this one.
    this.#undeliveredAll = Math.max(this.#undeliveredAll, invalidation)
    this.#log.undelivered('everything', this.pending)
    return this.#retryLater()
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

  async #send (names: readonly string[]): Promise<boolean> {
    return await this.#store.call('bump', (store) => store.bump(names, newVersion())) !== UNAVAILABLE
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
    const batch = this.#groupsFirst([...this.#pending]).slice(0, BATCH)
    if (!await this.#send(batch.map(([name]) => name))) return false
    for (const [name, sequence] of batch) {
      // If it was invalidated again in the meantime, this bump may have happened before that write.
      if (this.#pending.get(name) === sequence) this.#pending.delete(name)
    }
    return true
  }

  /** A tag's group must never be bumped after the tag. */
  #groupsFirst (bumps: Array<[name: string, sequence: number]>): Array<[name: string, sequence: number]> {
    const groups = new Set(this.#keyspace.tagGroups)
    return bumps.sort(([a], [b]) => Number(groups.has(b)) - Number(groups.has(a)))
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
