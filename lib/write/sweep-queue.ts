import { UNAVAILABLE, type GuardedStore } from '../store/guarded-store.js'
import { inBatches } from './in-batches.js'
import { newVersion } from './version.js'

interface Next {
  readonly names: Set<string>
  readonly swept: Promise<number>
}

/**
 * Deletes invalid entries. One sweep at a time runs under a prefix. Everything that is invalidated
 * while it runs is swept by one more.
 */
export class SweepQueue {
  readonly #store: GuardedStore
  readonly #running = new Map<string, Promise<number>>()
  readonly #next = new Map<string, Next>()

  constructor (store: GuardedStore) {
    this.#store = store
  }

  /**
   * Deletes the entries under `prefix` that were filled under earlier values of these versions.
   * @returns how many were deleted; 0 if the store is unavailable, and the entries expire
   */
  sweep (prefix: string, names: readonly string[]): Promise<number> {
    const running = this.#running.get(prefix)
    if (running === undefined) return this.#start(prefix, names)
    let next = this.#next.get(prefix)
    if (next === undefined) {
      const waiting = new Set<string>()
      const swept = running.then(() => {
        this.#next.delete(prefix)
        return this.#start(prefix, [...waiting])
      })
      next = { names: waiting, swept }
      this.#next.set(prefix, next)
    }
    for (const name of names) next.names.add(name)
    return next.swept
  }

  #start (prefix: string, names: readonly string[]): Promise<number> {
    const sweep = this.#run(prefix, names).finally(() => { this.#running.delete(prefix) })
    this.#running.set(prefix, sweep)
    return sweep
  }

  async #run (prefix: string, names: readonly string[]): Promise<number> {
    const swept = await this.#store.callUnbounded('sweep', async (store) => {
      const latest = new Map<string, string>()
      const missing = new Set<string>()
      for await (const [batch] of inBatches(names)) {
        // Not ensured: that would leave a key behind for each name.
        const versions = await store.versions(batch)
        batch.forEach((name, index) => {
          if (versions[index] === undefined) missing.add(name)
          else latest.set(name, versions[index])
        })
      }
      const used = new Set<string>()
      const first = await store.sweep(prefix, (filledUnder) => {
        for (const name in filledUnder) if (missing.has(name)) used.add(name)
        return isCurrent(filledUnder, latest)
      })
      if (used.size === 0) return first
      // The version was lost, or a fill has made it meanwhile. Now it exists, and tells old entries from new ones.
      const found = [...used]
      const versions = await store.ensure(found, newVersion())
      const ensured = new Map(found.map((name, index) => [name, versions[index]!]))
      return first + await store.sweep(prefix, (filledUnder) => isCurrent(filledUnder, ensured))
    })
    return swept === UNAVAILABLE ? 0 : swept
  }
}

/** Whether all versions that an entry was filled under are still the latest. */
function isCurrent (
  filledUnder: Readonly<Record<string, string>>, latest: ReadonlyMap<string, string>
): boolean {
  for (const name in filledUnder) {
    if (latest.has(name) && latest.get(name) !== filledUnder[name]) return false
  }
  return true
}
