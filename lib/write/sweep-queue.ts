import { inBatches } from './in-batches.js'
import { UNAVAILABLE, type Door } from '../store/guarded-store.js'
import { newVersion } from './invalidator.js'

interface Next {
  readonly versions: Set<string>
  readonly swept: Promise<number>
}

/**
 * Frees what invalidations left unreachable: one sweep at a time below a prefix, and one more
 * for everything that was invalidated there while it ran.
 */
export class Sweeper {
  readonly #door: Door
  readonly #running = new Map<string, Promise<number>>()
  readonly #next = new Map<string, Next>()

  constructor (door: Door) {
    this.#door = door
  }

  /**
   * Sweeps the entries below `prefix` that were filled under older ones of these versions.
   * @returns how many were deleted; 0 when the store was not available, and they go by their expiry
   */
  sweep (prefix: string, versions: readonly string[]): Promise<number> {
    const running = this.#running.get(prefix)
    if (running === undefined) return this.#start(prefix, versions)
    let next = this.#next.get(prefix)
    if (next === undefined) {
      const waiting = new Set<string>()
      const swept = running.then(() => {
        this.#next.delete(prefix)
        return this.#start(prefix, [...waiting])
      })
      next = { versions: waiting, swept }
      this.#next.set(prefix, next)
    }
    for (const version of versions) next.versions.add(version)
    return next.swept
  }

  #start (prefix: string, versions: readonly string[]): Promise<number> {
    const sweep = this.#run(prefix, versions).finally(() => { this.#running.delete(prefix) })
    this.#running.set(prefix, sweep)
    return sweep
  }

  async #run (prefix: string, versions: readonly string[]): Promise<number> {
    const swept = await this.#door.work('sweep', async (store) => {
      const current = new Map<string, string>()
      for await (const [batch] of inBatches(versions)) {
        const claimed = await store.claim(batch, newVersion())
        for (const [index, version] of batch.entries()) current.set(version, claimed[index]!)
      }
      return await store.sweep(prefix, (filledUnder) =>
        Object.entries(filledUnder).every(([version, token]) => (current.get(version) ?? token) === token))
    })
    return swept === UNAVAILABLE ? 0 : swept
  }
}
