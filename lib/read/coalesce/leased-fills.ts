import { randomUUID } from 'node:crypto'
import type { Keyspace } from '../../key/keyspace.js'
import type { Leases } from '../../store/contract.js'
import { UNAVAILABLE, type GuardedStore, type StoreWait } from '../../store/guarded-store.js'
import { FillFailure } from './fill-failure.js'
import type { Filled, FillInFlight, Outcome } from './fills-in-flight.js'

/** How long a lease lasts, as a part of the longest wait. Its holder prolongs it, so that a crashed one's ends soon. */
const TERM = 1 / 4
/** When a holder prolongs its lease, and a waiter without news asks for the lease again, as a part of the term. */
const TICK = 1 / 3

type News = Exclude<Outcome, Filled | FillFailure> | 'stored'

interface Waiter {
  readonly news: Promise<News | undefined>
  stop(): void
}

/**
 * Coalescing across processes: fills with the same key and versions ask for one lease, and only the
 * holder's handler runs. While leases are not available, each process fills for itself.
 */
export class LeasedFills {
  readonly #store: GuardedStore
  readonly #leases: Leases
  readonly #keyspace: Keyspace
  readonly #timeout: number
  readonly #waiting = new Map<string, Set<(news: News) => void>>()
  #listening = false

  /** @param timeout longest wait for another process, in milliseconds */
  constructor (store: GuardedStore, leases: Leases, keyspace: Keyspace, timeout: number) {
    this.#store = store
    this.#leases = leases
    this.#keyspace = keyspace
    this.#timeout = timeout
  }

  /** Subscribes to news from other processes. Without a subscription, waiters ask for the lease at each tick. */
  listen (): void {
    if (this.#listening) return
    this.#listening = true
    const subscribed = this.#store.callUnbounded('subscribe', () => this.#leases.subscribe((lease, news) => {
      for (const tell of this.#waiting.get(lease) ?? []) tell(news as News)
    }))
    // A guarded store never rejects.
    void subscribed.then((outcome) => { this.#listening = outcome !== UNAVAILABLE })
  }

  /**
   * Waits until this fill may run (undefined), until another process has filled the entry, or until
   * it is known that the other response cannot be shared.
   * @param look looks the entry up again
   * @param wait of the request
   */
  async join (
    fill: FillInFlight, look: () => Promise<Filled | undefined>, wait: StoreWait
  ): Promise<Filled | 'hit-for-miss' | undefined> {
    this.listen()
    const lease = this.#keyspace.lease(`${fill.key} ${fill.versions.join(' ')}`)
    const until = performance.now() + this.#timeout
    for (;;) {
      // Before asking for the lease, because the holder may release it before the reply arrives.
      const waiter = this.#wait(lease, until - performance.now())
      const taken = await this.#take(lease, fill, wait)
      if (taken !== false) waiter.stop()
      if (taken === undefined) return undefined
      // The previous holder may have stored its entry after this request's lookup.
      if (taken) return await look()
      const news = await waiter.news
      if (news === 'hit-for-miss') return 'hit-for-miss'
      if (news === 'stored') return await look()
      if (news === 'invalidated' || news === 'unshared' || performance.now() >= until) return undefined
    }
  }

  /** Takes the lease until the fill is released; undefined if leases are not available. */
  async #take (lease: string, fill: FillInFlight, wait: StoreWait): Promise<boolean | undefined> {
    const holder = randomUUID()
    const term = Math.ceil(this.#timeout * TERM)
    const ask = async (wait?: StoreWait): Promise<boolean | undefined> => {
      const taken = await this.#store.call('take lease', () => this.#leases.take(lease, holder, term), wait)
      return taken === UNAVAILABLE ? undefined : taken
    }
    const taken = await ask(wait)
    if (taken !== true) return taken

    const prolonging = setInterval(() => { void ask() }, this.#timeout * TERM * TICK).unref()
    const lastTick = setTimeout(() => { clearInterval(prolonging) }, this.#timeout * (1 - TERM)).unref()
    fill.whenReleased((outcome) => {
      clearInterval(prolonging)
      clearTimeout(lastTick)
      // An error cannot be sent to other processes. One of them takes over.
      const news: News = typeof outcome === 'string' ? outcome : outcome instanceof FillFailure ? 'abandoned' : 'stored'
      // A guarded store never rejects. A lease that is not released expires.
      void this.#store.call('release lease', () => this.#leases.release(lease, holder, news))
    })
    return true
  }

  /** Waits for news about the lease, for `milliseconds` but at most one tick; undefined if there is none. */
  #wait (lease: string, milliseconds: number): Waiter {
    const tells = this.#waiting.get(lease) ?? new Set()
    this.#waiting.set(lease, tells)
    let stop = (): void => {}
    const told = new Promise<News | undefined>((resolve) => {
      const tell = (news?: News): void => {
        clearTimeout(timer)
        tells.delete(tell)
        if (tells.size === 0 && this.#waiting.get(lease) === tells) this.#waiting.delete(lease)
        resolve(news)
      }
      const timer = setTimeout(tell, Math.min(milliseconds, this.#timeout * TERM * TICK)).unref()
      tells.add(tell)
      stop = () => { tell() }
    })
    return { news: told, stop }
  }
}
