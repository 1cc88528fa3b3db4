import { setTimeout } from 'node:timers/promises'
import type { MaybePromise } from './contract.js'

/** The default share of the time that sweeps may take. */
export const DEFAULT_SWEEP_SHARE = 0.1
/** Milliseconds of work after which it begins to rest: short work is done at once. */
const AT_ONCE = 50
/** Longest time in milliseconds that counts for one piece of work. A longer one has waited for something else. */
const LONGEST_PIECE = 5

/** Keeps work that consists of many short pieces to a share of the time. */
export class Budget {
  readonly #share: number
  readonly #stop = new AbortController()
  /** The time of `performance.now()` at which the share has paid for all work so far. */
  #paidAt = 0

  /** @param share above 0, at most 1 */
  constructor (share: number) {
    this.#share = share
  }

  /** Does one piece of work, after the rest that is due. */
  async spend<T> (work: () => MaybePromise<T>): Promise<T> {
    const rest = this.#paidAt - AT_ONCE / this.#share - performance.now()
    if (rest > 0) await setTimeout(rest, undefined, { signal: this.#stop.signal }).catch(() => {})
    const began = performance.now()
    try {
      return await work()
    } finally {
      const took = Math.min(performance.now() - began, LONGEST_PIECE)
      this.#paidAt = Math.max(this.#paidAt, began) + took / this.#share
    }
  }

  /** Ends the rest in progress and all later ones. */
  stop (): void {
    this.#stop.abort()
  }
}
