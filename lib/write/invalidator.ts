import { randomBytes } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import type { Keyspace } from '../key/keyspace.js'
import { UNAVAILABLE, type Door } from '../store/door.js'

/** Undelivered invalidations that are remembered one by one; beyond, all versions are to move. */
const MAX_PENDING = 10_000
/** Versions known to have moved since the store was last suspected; forgetting them costs MISSes only. */
const MAX_TRUSTED = 100_000
/** Milliseconds between two tries to deliver what is pending. */
const RETRY_INTERVAL = 200
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
  #suspicious = false
  readonly #trusted = new Set<string>()
  #retry: NodeJS.Timeout | undefined
  #delivering: Promise<boolean> | undefined
  #closed = false

  constructor (door: Door, keyspace: Keyspace, log: FastifyBaseLogger) {
    this.#door = door
    this.#keyspace = keyspace
    this.#log = log
  }

  /** How many invalidations wait for delivery. */
  get pending (): number {
    return this.#everything ? Infinity : this.#pending.size
  }

  /** Moves the versions; false when that is still to be delivered. Never throws. */
  async move (versions: readonly string[]): Promise<boolean> {
    if (await this.#door.pass('move', (store) => store.move(versions, newVersion())) !== UNAVAILABLE) {
      if (this.#suspicious) this.#trust(versions)
      return true
    }
    for (const version of versions) this.#pending.set(version, ++this.#sequence)
    if (this.#pending.size > MAX_PENDING) {
      this.#pending.clear()
      this.#everything = true
    }
    this.#log.error({ versions: versions.slice(0, 10), pending: this.pending }, 'api cache: an invalidation could not be delivered yet')
    this.#retryLater()
    return false
  }

  /** Whether entries under these versions must not be served or filled here and now. */
  blocks (versions: Iterable<string>): boolean {
    if (this.#everything) return true
    if (this.#pending.size === 0 && !this.#suspicious) return false
    let blocked = false
    for (const version of versions) {
      if (this.#pending.has(version)) blocked = true
      else if (this.#suspicious && !this.#trusted.has(version)) {
        blocked = true
        this.#pending.set(version, ++this.#sequence)
        this.#retryLater(0)
      }
    }
    return blocked
  }

  /**
   * The store may have fallen back to an older state, and versions with it: each one that is
   * used from now on moves first.
   */
  suspect (): void {
    this.#suspicious = true
    this.#trusted.clear()
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
    if (this.pending === 0 || await this.deliver()) return
    this.#log.error({ versions: [...this.#pending.keys()].slice(0, 100), pending: this.pending },
      'api cache: closed with invalidations that could not be delivered')
  }

  async #deliverAll (): Promise<boolean> {
    if (this.#everything && !await this.#moveEverything()) return this.#retryLater()
    while (this.#pending.size > 0) {
      const batch = [...this.#pending].slice(0, BATCH)
      const versions = batch.map(([version]) => version)
      const moved = await this.#door.pass('move', (store) => store.move(versions, newVersion()))
      if (moved === UNAVAILABLE) return this.#retryLater()
      this.#trust(versions)
      for (const [version, sequence] of batch) {
        // Invalidated again meanwhile: this move may have come before that write.
        if (this.#pending.get(version) === sequence) this.#pending.delete(version)
      }
    }
    return true
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

  #trust (versions: readonly string[]): void {
    if (!this.#suspicious) return
    if (this.#trusted.size > MAX_TRUSTED) this.#trusted.clear()
    for (const version of versions) this.#trusted.add(version)
  }

  #retryLater (milliseconds = RETRY_INTERVAL): false {
    if (this.#closed || this.#retry !== undefined) return false
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      this.deliver()
    }, milliseconds).unref()
    return false
  }
}
