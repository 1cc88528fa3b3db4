/** A time limit. */
export interface Deadline {
  /** Milliseconds since it was started, as far as this process was running. */
  readonly elapsed: number
  /** Ends it before it expires. */
  release(): void
}

/**
 * Called when a deadline expires.
 * @param isReceiving whether bytes kept arriving, so that it expired because of `longest` only
 */
export type Expire = (isReceiving: boolean) => void

/** Time in which an answer keeps arriving does not count. */
export interface Progress {
  /** The bytes that have been exchanged so far. Fewer than before after a reconnection. */
  transferred(): number
  /** The limit in milliseconds however many bytes arrive. */
  readonly longest: number
}

/** How often a running deadline looks at the clock. */
const LOOKS = 10
/** Least number of bytes between two looks if an answer keeps arriving: 2.5 MB/s for a limit of 250 ms. */
const LEAST_PROGRESS = 64 * 1024

/**
 * Milliseconds since an earlier call in which this process had work to do and the machine did not run it,
 * because others took its time. Only an estimate: threads of its own that run beside it are taken for it.
 */
class Starvation {
  #cpu = cpuTime()
  #loop = performance.eventLoopUtilization()

  since (): number {
    const cpu = cpuTime()
    const loop = performance.eventLoopUtilization()
    const { active } = performance.eventLoopUtilization(loop, this.#loop)
    const starved = active - (cpu - this.#cpu)
    this.#cpu = cpu
    this.#loop = loop
    return Math.max(0, starved)
  }
}

/** The time in milliseconds for which this process has had a processor. */
function cpuTime (): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** The deadlines that were started in one turn of the event loop. */
class Batch {
  readonly deadlines: Waiting[] = []
  running = 0
  /** @param startedAt the time of both clocks */
  constructor (readonly startedAt: Times) {}
}

interface Times {
  /** Milliseconds in which this process was running. */
  readonly running: number
  /** The same without those in which an answer kept arriving. */
  readonly waiting: number
}

class Waiting implements Deadline {
  readonly #batch: Batch
  readonly #now: () => Times
  #expire: Expire | undefined

  constructor (batch: Batch, now: () => Times, expire: Expire) {
    this.#batch = batch
    this.#now = now
    this.#expire = expire
  }

  get elapsed (): number {
    return this.#now().running - this.#batch.startedAt.running
  }

  release (): void {
    if (this.#expire === undefined) return
    this.#expire = undefined
    this.#batch.running--
  }

  expire (isReceiving: boolean): void {
    const expire = this.#expire
    this.release()
    expire?.(isReceiving)
  }
}

/**
 * Many deadlines of the same length on one timer. Deadlines of one turn of the event loop share a
 * start time: every HIT starts and releases one, and so needs neither a timer nor a clock.
 *
 * A late timer says nothing about the store: while the event loop is blocked, or the process frozen,
 * no answer can be read. So the time is measured in short steps, and a step that took longer counts
 * as two. While an answer arrives, nor does time count in which other processes kept this one from reading it.
 */
export class Deadlines {
  readonly #milliseconds: number
  readonly #step: number
  readonly #progress: Progress | undefined
  /** In the order in which they expire. */
  readonly #batches: Batch[] = []
  #current: Batch | undefined
  #timer: NodeJS.Timeout | undefined
  #times: Times = { running: 0, waiting: 0 }
  /** Known while an answer arrives. */
  #starvation: Starvation | undefined
  #lookedAt = 0
  #transferred = 0

  constructor (milliseconds: number, progress?: Progress) {
    this.#milliseconds = milliseconds
    this.#step = milliseconds / LOOKS
    this.#progress = progress
  }

  /**
   * Calls `expire` after the time, unless the deadline is released before.
   * @param spent milliseconds of the time that have passed before
   */
  start (expire: Expire, spent = 0): Deadline {
    const batch = spent > 0 ? this.#beginLate(spent) : this.#current ?? this.#begin()
    const deadline = new Waiting(batch, this.#now, expire)
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
    this.#run()
    const batch = this.#current = new Batch(this.#now())
    this.#batches.push(batch)
    setImmediate(() => { this.#current = undefined })
    return batch
  }

  #beginLate (spent: number): Batch {
    this.#run()
    const { running, waiting } = this.#now()
    const batch = new Batch({ running: running - spent, waiting: waiting - spent })
    const before = this.#batches.findLastIndex(({ startedAt }) => startedAt.waiting <= batch.startedAt.waiting)
    this.#batches.splice(before + 1, 0, batch)
    return batch
  }

  #run (): void {
    // Drops batches whose deadlines have all been released, with their callbacks.
    while (this.#batches[0]?.running === 0) this.#batches.shift()
    if (this.#timer === undefined) {
      this.#lookedAt = performance.now()
      this.#starvation = undefined
      this.#transferred = this.#progress?.transferred() ?? 0
      this.#wait(this.#step)
    }
  }

  #wait (milliseconds: number): void {
    // One more turn, so that an answer counts that arrived while the event loop was busy.
    this.#timer = setTimeout(() => setImmediate(() => { this.#look() }), milliseconds)
    this.#timer.unref()
  }

  readonly #now = (): Times => {
    const { running, waiting } = this.#times
    const passed = Math.min(performance.now() - this.#lookedAt, 2 * this.#step)
    return { running: running + passed, waiting: waiting + passed }
  }

  #look (): void {
    const transferred = this.#progress?.transferred() ?? 0
    const isReceiving = transferred - this.#transferred >= LEAST_PROGRESS
    const { running, waiting } = this.#now()
    const starved = this.#starvation?.since() ?? 0
    this.#times = isReceiving
      ? { running: Math.max(this.#times.running, running - starved), waiting: this.#times.waiting }
      : { running, waiting }
    this.#starvation = isReceiving ? this.#starvation ?? new Starvation() : undefined
    this.#lookedAt = performance.now()
    this.#transferred = transferred
    this.#timer = undefined
    this.#expire()
  }

  #expire (): void {
    const { longest = Infinity } = this.#progress ?? {}
    for (let batch = this.#batches[0]; batch !== undefined; batch = this.#batches[0]) {
      const { running, waiting } = batch.startedAt
      const left = this.#milliseconds - (this.#times.waiting - waiting)
      const leftAtMost = longest - (this.#times.running - running)
      if (left > 0 && leftAtMost > 0 && batch.running > 0) {
        this.#wait(Math.ceil(Math.min(this.#step, left, leftAtMost)))
        return
      }
      this.#batches.shift()
      for (const deadline of batch.deadlines) deadline.expire(left > 0)
    }
  }
}
