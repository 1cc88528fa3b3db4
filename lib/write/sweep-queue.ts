import type { Background } from '../background.js'
import { Sweep, type Replaced, type SweepParts } from './sweep.js'

/** Runs one sweep at a time. All that is invalidated while it runs shares the next one. */
export class SweepQueue {
  readonly #parts: SweepParts
  readonly #background: Background
  #next: Sweep | undefined
  #isRunning = false

  constructor (parts: SweepParts, background: Background) {
    this.#parts = parts
    this.#background = background
  }

  /**
   * Adds an invalidation to the next sweep, which begins at once unless one is running.
   * @param replaced undefined for everything
   */
  add (replaced: Replaced | undefined): Sweep {
    const sweep = this.#next ??= this.#begin()
    sweep.add(replaced)
    if (!this.#isRunning) void this.#run()
    return sweep
  }

  #begin (): Sweep {
    const sweep = new Sweep(this.#parts)
    void this.#background.run(sweep.ended)
    return sweep
  }

  async #run (): Promise<void> {
    this.#isRunning = true
    for (let sweep = this.#next; sweep !== undefined; sweep = this.#next) {
      this.#next = undefined
      await sweep.run()
    }
    this.#isRunning = false
  }
}
