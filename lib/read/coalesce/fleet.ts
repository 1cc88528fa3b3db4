import { randomUUID } from 'node:crypto'
import type { Keyspace } from '../../key/keyspace.js'
import { UNAVAILABLE, type Door } from '../../store/guarded-store.js'
import type { Flight, Landed, Outcome } from './fills-in-flight.js'

/** Of the longest wait, the part that a lease lasts: its holder prolongs it, so that a dead one's is over soon. */
const TERM = 1 / 4
/** Of a term, the part after which a holder prolongs it, and a waiter that was told nothing asks for it again. */
const TICK = 1 / 3

type News = Exclude<Outcome, Landed> | 'landed'

interface Waiter {
  readonly told: Promise<News | undefined>
  leave(): void
}

/**
 * Coalescing across processes: the flights that several processes began under one key and the
 * same versions ask for one lease, and only its holder's handler runs. Where the store has no
 * leases, or none to give now, each process fills for itself.
 */
export class Fleet {
  readonly #door: Door
  readonly #keyspace: Keyspace
  readonly #patience: number
  readonly #waiting = new Map<string, Set<(news: News) => void>>()
  #listening = false

  /** @param patience longest wait for another process, in milliseconds */
  constructor (door: Door, keyspace: Keyspace, patience: number) {
    this.#door = door
    this.#keyspace = keyspace
    this.#patience = patience
  }

  /** Hears from now on what other processes tell; without that a waiter has only its ticks. */
  listen (): void {
    if (this.#listening) return
    this.#listening = true
    this.#door.work('listen', (store) => store.listen?.((lease, news) => {
      for (const tell of this.#waiting.get(lease) ?? []) tell(news as News)
    })).then((listens) => { this.#listening = listens !== UNAVAILABLE })
  }

  /**
   * Waits until this flight may fill: undefined then. Or for what another process filled; or
   * until it is known that nobody else may have that.
   * @param look looks into the store once more
   */
  async join (key: string, flight: Flight, look: () => Promise<Landed | undefined>): Promise<Landed | 'unshared' | undefined> {
    this.listen()
    const lease = this.#keyspace.lease(`${key} ${flight.versions.join(' ')}`)
    const until = performance.now() + this.#patience
    for (;;) {
      // From before the question on: the holder may be done before the answer is here.
      const waiter = this.#wait(lease, until - performance.now())
      const taken = await this.#take(lease, flight)
      if (taken !== false) waiter.leave()
      if (taken === undefined) return undefined
      // Who held it before may have landed between the look of this flight and now.
      if (taken) return await look()
      const news = await waiter.told
      if (news === 'unshared') return 'unshared'
      if (news === 'landed') return await look()
      if (news === 'overtaken' || performance.now() >= until) return undefined
    }
  }

  /** Takes the lease until the flight ends; undefined when there is none to have. */
  async #take (lease: string, flight: Flight): Promise<boolean | undefined> {
    const holder = randomUUID()
    const ask = async (): Promise<boolean | undefined> => {
      const taken = await this.#door.pass('lease', (store) => store.lease?.(lease, holder, Math.ceil(this.#patience * TERM)))
      return taken === UNAVAILABLE ? undefined : taken
    }
    const taken = await ask()
    if (taken !== true) return taken

    const prolonging = setInterval(ask, this.#patience * TERM * TICK).unref()
    const enough = setTimeout(() => { clearInterval(prolonging) }, this.#patience * (1 - TERM)).unref()
    flight.whenEnded((outcome) => {
      clearInterval(prolonging)
      clearTimeout(enough)
      const news: News = typeof outcome === 'string' ? outcome : 'landed'
      this.#door.pass('release', (store) => store.release?.(lease, holder, news))
    })
    return true
  }

  /** What is told about the lease within `milliseconds` or one tick; undefined when that is nothing. */
  #wait (lease: string, milliseconds: number): Waiter {
    const tells = this.#waiting.get(lease) ?? new Set()
    this.#waiting.set(lease, tells)
    let leave = (): void => {}
    const told = new Promise<News | undefined>((resolve) => {
      const tell = (news?: News): void => {
        clearTimeout(timer)
        tells.delete(tell)
        if (tells.size === 0 && this.#waiting.get(lease) === tells) this.#waiting.delete(lease)
        resolve(news)
      }
      const timer = setTimeout(tell, Math.min(milliseconds, this.#patience * TERM * TICK)).unref()
      tells.add(tell)
      leave = () => { tell() }
    })
    return { told, leave }
  }
}
