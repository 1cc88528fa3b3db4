import { MAX_VERSIONS, type Replaced } from './sweep.js'
import type { SweepQueue } from './sweep-queue.js'

/** Milliseconds by which this process's timer may be ahead of the store's. */
const MARGIN = 1_000

/** What one sweep is to delete. */
interface Later {
  readonly versions: Set<string>
  readonly beginnings: Set<string>
  /** It has so many versions that it compares all. */
  isOfAll: boolean
  /** When none of it may be used any more, in milliseconds of `performance.now()`. */
  at: number
}

/**
 * Sweeps what soft writes have invalidated when it may not be used any more. All such writes that come while one sweep
 * waits share the next, so that there is one for each such time, however many they are.
 */
export class LaterSweeps {
  readonly #sweeps: SweepQueue
  #waiting: NodeJS.Timeout | undefined
  #next: Later | undefined

  constructor (sweeps: SweepQueue) {
    this.#sweeps = sweeps
  }

  /** @param soft milliseconds */
  add ({ versions, beginnings }: Replaced, soft: number): void {
    const next = this.#next ??= { versions: new Set(), beginnings: new Set(), isOfAll: false, at: 0 }
    next.at = Math.max(next.at, performance.now() + soft + MARGIN)
    if (!next.isOfAll) this.#collect(next, versions, beginnings)
    if (this.#waiting === undefined) this.#wait()
  }

  #collect (next: Later, versions: ReadonlySet<string>, beginnings: ReadonlySet<string>): void {
    for (const version of versions) next.versions.add(version)
    for (const beginning of beginnings) next.beginnings.add(beginning)
    if (next.versions.size <= MAX_VERSIONS) return
    next.isOfAll = true
    next.versions.clear()
    next.beginnings.clear()
  }

  /** What waits is left to expire. */
  close (): void {
    clearTimeout(this.#waiting)
  }

  #wait (): void {
    const next = this.#next
    this.#next = undefined
    this.#waiting = next && setTimeout(() => {
      this.#sweeps.add(next.isOfAll ? undefined : next)
      this.#wait()
    }, next.at - performance.now()).unref()
  }
}
