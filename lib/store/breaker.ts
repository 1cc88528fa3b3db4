import type { StoreEvent } from '../observe/events.js'

/** Milliseconds between two pings of a store that did not answer. */
const PROBE_INTERVAL = 100
/**
 * Milliseconds from the first answer until the store is read again. Other processes may have pending
 * invalidations from the same outage, and may notice its end later.
 */
const RECOVERY = 400

/** `recovering`: the store answers again, but is not read yet: all processes may deliver invalidations first. */
export type BreakerState = 'closed' | 'open' | 'recovering'

/** What the breaker needs from its owner. */
export interface BreakerOptions {
  /** Whether the store answers a ping in time. Never rejects. */
  probe(): Promise<boolean>
  /** Runs after the store has answered again and before it is read again. Never rejects. */
  recover(): Promise<unknown>
  publish(event: Pick<StoreEvent, 'state' | 'reason'>): void
}

/**
 * A circuit breaker. It is open while the store does not answer, so that requests do not wait for
 * it. It closes some time after the store has answered a ping.
 */
export class Breaker {
  state: BreakerState = 'closed'
  readonly #options: BreakerOptions
  #stopped = false
  #timer: NodeJS.Timeout | undefined

  constructor (options: BreakerOptions) {
    this.#options = options
  }

  open (reason: string): void {
    if (this.state === 'open') return
    this.state = 'open'
    this.#options.publish({ state: 'unavailable', reason })
    this.#probeLater()
  }

  /** Opens for good. */
  stop (): void {
    this.#stopped = true
    this.state = 'open'
    clearTimeout(this.#timer)
  }

  #probeLater (): void {
    if (this.#stopped) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => { void this.#probe() }, PROBE_INTERVAL).unref()
  }

  async #probe (): Promise<void> {
    const answered = await this.#options.probe()
    if (this.#stopped) return
    if (!answered) return this.#probeLater()
    this.state = 'recovering'
    this.#timer = setTimeout(() => { this.#close() }, RECOVERY).unref()
    await this.#options.recover()
  }

  #close (): void {
    this.state = 'closed'
    this.#options.publish({ state: 'available', reason: undefined })
  }
}
