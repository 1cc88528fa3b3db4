import { randomBytes } from 'node:crypto'
import { setTimeout as startTimer } from 'node:timers'
import { setTimeout } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import type { Keyspace } from '../key/keyspace.js'
import { UNAVAILABLE, type Door } from '../store/door.js'

/** Undelivered invalidations that are remembered one by one; beyond, all versions are to move. */
const MAX_PENDING = 10_000
/** Milliseconds between two tries to deliver what is pending. */
const RETRY_INTERVAL = 200
/** Longest wait, in milliseconds, for the last try when the server closes. */
const LAST_TRY = 1_000
/** Milliseconds in which undelivered invalidations are logged once. */
const LOG_INTERVAL = 10_000
const BATCH = 500

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
  #everything = false
  #retry: NodeJS.Timeout | undefined
  #delivering: Promise<boolean> | undefined
  #loggedAt = -Infinity
  #closed = false

  constructor (door: Door, keyspace: Keyspace, log: FastifyBaseLogger) {
    this.#door = door
    this.#keyspace = keyspace
    this.#log = log
  }

  /** How many invalidations wait for delivery. */
  get pending (): number {
    return this.#pending.size + (this.#everything ? MAX_PENDING : 0)
  }

  /** Moves the versions; false when that is still to be delivered. Never throws. */
  async move (versions: readonly string[]): Promise<boolean> {
    if (await this.#door.pass('move', (store) => store.move(versions, newVersion())) !== UNAVAILABLE) return true
    for (const version of versions) this.#pending.set(version, ++this.#sequence)
    if (this.#pending.size > MAX_PENDING) {
      this.#pending.clear()
      this.#everything = true
    }
    const now = performance.now()
    if (now - this.#loggedAt >= LOG_INTERVAL) {
      this.#loggedAt = now
      this.#log.error({ versions: versions.slice(0, 10), pending: this.pending }, 'api cache: an invalidation could not be delivered yet')
    }
    this.#retryLater()
    return false
  }

  /** Whether entries under these versions must not be served or filled here and now. */
  blocks (versions: Iterable<string>): boolean {
    if (this.#everything) return true
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

  async #deliverAll (): Promise<boolean> {
    if (this.#everything && !await this.#moveEverything()) return this.#retryLater()
    while (this.#pending.size > 0) {
      const batch = this.#groupsFirst([...this.#pending]).slice(0, BATCH)
      const versions = batch.map(([version]) => version)
      const moved = await this.#door.pass('move', (store) => store.move(versions, newVersion()))
      if (moved === UNAVAILABLE) return this.#retryLater()
      for (const [version, sequence] of batch) {
        // Invalidated again meanwhile: this move may have come before that write.
        if (this.#pending.get(version) === sequence) this.#pending.delete(version)
      }
    }
    if (this.#loggedAt !== -Infinity) {
      this.#loggedAt = -Infinity
      this.#log.info('api cache: all invalidations are delivered')
    }
    return true
  }

  /** A tag's group moves before or with the tag, as in every move. */
  #groupsFirst (moves: Array<[version: string, sequence: number]>): Array<[version: string, sequence: number]> {
    const groups = new Set(this.#keyspace.tagGroups)
    return moves.sort(([a], [b]) => Number(groups.has(b)) - Number(groups.has(a)))
  }

  async #moveEverything (): Promise<boolean> {
    const sequence = this.#sequence
    const outcome = await this.#door.work('move', async (store) => {
      for (const prefix of this.#keyspace.allVersions) {
        let batch: string[] = []
        for await (const version of store.keys(prefix)) {
          if (batch.push(version) < BATCH) continue
          await store.move(batch, newVersion())
          batch = []
        }
        if (batch.length > 0) await store.move(batch, newVersion())
      }
    })
    if (outcome === UNAVAILABLE || sequence !== this.#sequence) return false
    this.#everything = false
    return true
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
