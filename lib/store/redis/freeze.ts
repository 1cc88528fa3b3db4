/** Milliseconds between two looks at the clocks. */
const INTERVAL = 500
/** A process that has not looked for this long, in milliseconds, was frozen. It counts as such for as long again. */
const LONG = 1_500

/**
 * Tells whether this process was frozen until just now: stopped by a signal, suspended with its
 * machine, or kept between two calls of a function. What happened to its connections meanwhile says
 * nothing about the servers.
 */
export class FreezeWatch {
  readonly #timer = setInterval(() => { this.#look() }, INTERVAL).unref()
  // The monotonic clock stands still while a machine is suspended, and the other one may be set back.
  #lookedAt = performance.now()
  #lookedAtDate = Date.now()
  #thawedAt = -Infinity

  hasThawed (): boolean {
    this.#look()
    return performance.now() - this.#thawedAt < LONG
  }

  close (): void {
    clearInterval(this.#timer)
  }

  #look (): void {
    const [now, date] = [performance.now(), Date.now()]
    if (Math.max(now - this.#lookedAt, date - this.#lookedAtDate) > LONG) this.#thawedAt = now
    this.#lookedAt = now
    this.#lookedAtDate = date
  }
}
