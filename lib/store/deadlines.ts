/** One limit in time for something that is waited for. */
export interface Deadline {
  /** Milliseconds since it began. */
  readonly elapsed: number
  /** What was waited for is there. */
  release(): void
}

/** The deadlines that began in one turn of the event loop. */
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
 * Many deadlines of one length on one timer. Those of one turn of the event loop are kept
 * together: beginning and releasing one, as each HIT does, costs neither a timer nor a clock.
 */
export class Deadlines {
  readonly #milliseconds: number
  /** In the order in which they run out. */
  readonly #batches: Batch[] = []
  #current: Batch | undefined
  #timer: NodeJS.Timeout | undefined

  constructor (milliseconds: number) {
    this.#milliseconds = milliseconds
  }

  /** Calls `expire` when the time has passed before the deadline was released. */
  start (expire: () => void): Deadline {
    const batch = this.#current ?? this.#begin()
    const deadline = new Waiting(batch, expire)
    batch.deadlines.push(deadline)
    batch.running++
    return deadline
  }

  /** What the promise brings. @throws when it brings nothing in time */
  within<T> (promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const deadline = this.start(() => { reject(new Error('no answer in time')) })
      promise.then(resolve, reject).finally(() => { deadline.release() })
    })
  }

  #begin (): Batch {
    // Whatever has all been released is no longer kept, nor what it would have called.
    while (this.#batches[0]?.running === 0) this.#batches.shift()
    const batch = this.#current = new Batch()
    this.#batches.push(batch)
    setImmediate(() => { this.#current = undefined })
    if (this.#timer === undefined) this.#wait(this.#milliseconds)
    return batch
  }

  #wait (milliseconds: number): void {
    // One more turn, so that an answer which arrived while the loop was busy still counts.
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
