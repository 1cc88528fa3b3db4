import { randomBytes } from 'node:crypto'
import { setTimeout as startTimer } from 'node:timers'
import { setTimeout } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import type { Keyspace } from '../key/keyspace.js'
import { UNAVAILABLE, type Door } from '../store/guarded-store.js'
import { BATCH, Everything } from './everything.js'

/** Undelivered invalidations that are remembered one by one; beyond, all versions are to move. */
const MAX_PENDING = 10_000
/** Milliseconds between two tries to deliver what is pending. */
const RETRY_INTERVAL = 200
/** Longest wait of a response, in milliseconds, until everything has moved: enough for more than a million keys. */
const LONGEST_PASS = 5_000
/** Longest wait, in milliseconds, for the last try when the server closes. */
const LAST_TRY = 1_000
/** Milliseconds in which undelivered invalidations are logged once. */
const LOG_INTERVAL = 10_000

/** A text that nobody can guess and no two moves share. */
export const newVersion = (): string => randomBytes(16).toString('base64url')

/**
 * Moves versions. A move that the store did not confirm is kept and tried until it is
 * delivered; meanwhile everything filled under that version is bypassed in this process.
 */
export class Invalidator {
  readonly #door: Door
  readonly #keyspace: Keyspace
  readonly #log: FastifyBaseLogger
  /** Undelivered moves by version key, each with the number of its latest invalidation. */
  readonly #pending = new Map<string, number>()
  #sequence = 0
  readonly #everything: Everything
  /** The latest invalidation of everything that nobody waits for any more. */
  #undelivered = 0
  #retry: NodeJS.Timeout | undefined
  #delivering: Promise<boolean> | undefined
  #loggedAt = -Infinity
  #closed = false

  constructor (door: Door, keyspace: Keyspace, log: FastifyBaseLogger) {
    this.#door = door
    this.#keyspace = keyspace
    this.#log = log
    this.#everything = new Everything(door, keyspace, (versions) => this.#send(versions))
  }

  /** How many invalidations wait for delivery. */
  get pending (): number {
    return this.#pending.size + (this.#everythingIsPending ? MAX_PENDING : 0)
  }

  /** Moves the versions; false when that is still to be delivered. Never throws. */
  async move (versions: readonly string[]): Promise<boolean> {
    if (await this.#send(versions)) return true
    for (const version of versions) this.#pending.set(version, ++this.#sequence)
    if (this.#pending.size > MAX_PENDING) {
      this.#pending.clear()
      this.#undelivered = this.#everything.invalidate()
    }
    return this.#deliverLater({ versions: versions.slice(0, 10) })
  }

  /** Moves all versions that there are; false when that is still to be delivered. Never throws. */
  async moveEverything (): Promise<boolean> {
    const invalidation = this.#everything.invalidate()
    if (await this.#door.waitFor(this.#everything.move(invalidation), LONGEST_PASS) === true) return true
    // A later one may have been given up before.
    this.#undelivered = Math.max(this.#undelivered, invalidation)
    return this.#deliverLater({ everything: true })
  }

  /** Whether entries under these versions must not be served or filled here and now. */
  blocks (versions: Iterable<string>): boolean {
    if (this.#everythingIsPending) return true
    if (this.#pending.size === 0) return false
    for (const version of versions) {
      if (this.#pending.has(version)) return true
    }
    return false
  }

  /** Delivers what is pending; whether nothing is left. */
  deliver (): Promise<boolean> {
    this.#delivering ??= this.#deliverAll().finally(() => { this.#delivering = undefined })
    return this.#delivering
  }

  /** One last try; what is left is logged. */
  async close (): Promise<void> {
    this.#closed = true
    clearTimeout(this.#retry)
    if (this.pending === 0) return
    const delivered = await Promise.race([this.deliver(), setTimeout(LAST_TRY, false, { ref: false })])
    if (delivered) return
    this.#log.error({ versions: [...this.#pending.keys()].slice(0, 100), pending: this.pending },
      'api cache: closed with invalidations that could not be delivered')
  }

  get #everythingIsPending (): boolean {
    return !this.#everything.hasMoved(this.#undelivered)
  }

  async #send (versions: readonly string[]): Promise<boolean> {
    return await this.#door.pass('move', (store) => store.move(versions, newVersion())) !== UNAVAILABLE
  }

  #deliverLater (what: object): false {
    const now = performance.now()
    if (now - this.#loggedAt >= LOG_INTERVAL) {
      this.#loggedAt = now
      this.#log.error({ ...what, pending: this.pending }, 'api cache: an invalidation could not be delivered yet')
    }
    return this.#retryLater()
  }

  async #deliverAll (): Promise<boolean> {
    while (this.pending > 0) {
      const delivery = this.#everythingIsPending ? this.#everything.move(this.#undelivered) : this.#deliverBatch()
      if (!await delivery) return this.#retryLater()
    }
    if (this.#loggedAt !== -Infinity) {
      this.#loggedAt = -Infinity
      this.#log.info('api cache: all invalidations are delivered')
    }
    return true
  }

  async #deliverBatch (): Promise<boolean> {
    const batch = this.#groupsFirst([...this.#pending]).slice(0, BATCH)
    if (!await this.#send(batch.map(([version]) => version))) return false
    for (const [version, sequence] of batch) {
      // Invalidated again meanwhile: this move may have come before that write.
      if (this.#pending.get(version) === sequence) this.#pending.delete(version)
    }
    return true
  }

  /** A tag's group moves before or with the tag, as in every move. */
  #groupsFirst (moves: Array<[version: string, sequence: number]>): Array<[version: string, sequence: number]> {
    const groups = new Set(this.#keyspace.tagGroups)
    return moves.sort(([a], [b]) => Number(groups.has(b)) - Number(groups.has(a)))
  }

  #retryLater (): false {
    if (this.#closed || this.#retry !== undefined) return false
    this.#retry = startTimer(() => {
      this.#retry = undefined
      this.deliver()
    }, RETRY_INTERVAL).unref()
    return false
  }
}
