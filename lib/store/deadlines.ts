/** A time limit. */
export interface Deadline {
  /** Milliseconds since it was started. */
  readonly elapsed: number
  /** Ends it before it expires. */
  release(): void
}

/** The deadlines that were started in one turn of the event loop. */
class Batch {
  readonly began = performance.now()
  readonly deadlines: Waiting[] = []
  running = 0
}

class Waiting implements Deadline {
  readonly #batch: Batch
  #expire: (() => void) | undefined

  constructor (batch: Batch, expire: () => void) {
    this.#batch = batch
    this.#expire = expire
  }

  get elapsed (): number {
    return performance.now() - this.#batch.began
  }

  release (): void {
    if (this.#expire === undefined) return
    this.#expire = undefined
    this.#batch.running--
  }

  expire (): void {
    const expire = this.#expire
    this.release()
    expire?.()
  }
}

/**
 * Many deadlines of the same length on one timer. Deadlines of one turn of the event loop share a
 * start time: every HIT starts and releases one, and so needs neither a timer nor a clock.
 */
export class Deadlines {
  readonly #milliseconds: number
  /** In the order in which they expire. */
  readonly #batches: Batch[] = []
  #current: Batch | undefined
  #timer: NodeJS.Timeout | undefined

  constructor (milliseconds: number) {
    this.#milliseconds = milliseconds
  }

  /** Calls `expire` after the time, unless the deadline is released before. */
  start (expire: () => void): Deadline {
    const batch = this.#current ?? this.#begin()
    const deadline = new Waiting(batch, expire)
    batch.deadlines.push(deadline)
    batch.running++
    return deadline
  }

  /** The promise's result. @throws if it does not settle in time */
  within<T> (promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const deadline = this.start(() => { reject(new Error('timed out')) })
      promise.then(resolve, reject).finally(() => { deadline.release() })
    })
  }

  #begin (): Batch {
    // Drops batches whose deadlines have all been released, with their callbacks.
    while (this.#batches[0]?.running === 0) this.#batches.shift()
    const batch = this.#current = new Batch()
    this.#batches.push(batch)
    setImmediate(() => { this.#current = undefined })
    if (this.#timer === undefined) this.#wait(this.#milliseconds)
    return batch
  }

  #wait (milliseconds: number): void {
    // One more turn, so that an answer counts that arrived while the event loop was busy.
    this.#timer = setTimeout(() => setImmediate(() => { this.#expire() }), milliseconds)
    this.#timer.unref()
  }

  #expire (): void {
    this.#timer = undefined
    const now = performance.now()
    for (let batch = this.#batches[0]; batch !== undefined; batch = this.#batches[0]) {
      const left = batch.began + this.#milliseconds - now
      if (left > 0 && batch.running > 0) {
        this.#wait(Math.ceil(left))
        return
      }
      this.#batches.shift()
      for (const deadline of batch.deadlines) deadline.expire()
    }
  }
}
