interface Deadline {
  readonly at: number
  readonly expire: () => void
}

/**
 * Many deadlines of one length on one timer: starting and releasing one, as each HIT does, costs
 * no timer of its own.
 */
export class Deadlines {
  readonly #milliseconds: number
  /** In the order in which they run out. */
  readonly #running = new Set<Deadline>()
  #timer: NodeJS.Timeout | undefined

  constructor (milliseconds: number) {
    this.#milliseconds = milliseconds
  }

  /** Calls `expire` when the time has passed before the returned function was called. */
  start (expire: () => void): () => void {
    const deadline = { at: performance.now() + this.#milliseconds, expire }
    this.#running.add(deadline)
    if (this.#timer === undefined) this.#wait(this.#milliseconds)
    return () => { this.#running.delete(deadline) }
  }

  #wait (milliseconds: number): void {
    // One more turn, so that an answer which arrived while the loop was busy still counts.
    this.#timer = setTimeout(() => setImmediate(() => { this.#expire() }), milliseconds)
    this.#timer.unref()
  }

  #expire (): void {
    this.#timer = undefined
    const now = performance.now()
    for (const deadline of this.#running) {
      if (deadline.at > now) {
        this.#wait(Math.ceil(deadline.at - now))
        return
      }
      this.#running.delete(deadline)
      deadline.expire()
    }
  }
}
