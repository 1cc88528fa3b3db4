import type { FastifyBaseLogger } from 'fastify'
import { Deadlines } from './deadlines.js'
import { isPromise, type CacheStore, type MaybePromise } from './store.js'

/** Instead of an answer: the store has none in time. */
export const UNAVAILABLE = Symbol('unavailable')
export type Unavailable = typeof UNAVAILABLE

/** Milliseconds between two tries to reach a store that did not answer. */
const PROBE_INTERVAL = 200
/** Milliseconds in which an error of the same operation is logged once. */
const LOG_INTERVAL = 10_000

/**
 * The one way from the plugin to its store. Whatever a store does (hang, throw, answer an
 * error), a call through here ends within `timeout` and never throws. A store that let a call
 * run out of time, or that says it is not ready, is not asked again until it answers a ping.
 */
export class Door {
  readonly #store: CacheStore
  readonly #log: FastifyBaseLogger
  readonly #deadlines: Deadlines
  readonly #logged = new Map<string, number>()
  #open = true
  #closed = false
  #probe: NodeJS.Timeout | undefined
  #failures = 0
  /** Runs after the store answered again and before it is used again. */
  onRecovery: () => Promise<unknown> = async () => {}

  constructor (store: CacheStore, timeout: number, log: FastifyBaseLogger) {
    this.#store = store
    this.#log = log
    this.#deadlines = new Deadlines(timeout)
  }

  /** Whether calls go through to the store. */
  get open (): boolean {
    return this.#open
  }

  /** Calls that found no answer since the start. */
  get failures (): number {
    return this.#failures
  }

  /** What `call` answers, or UNAVAILABLE. */
  pass<T> (operation: string, call: (store: CacheStore) => MaybePromise<T>): MaybePromise<T | Unavailable> {
    return this.ask(operation, call, asItIs<T | Unavailable>)
  }

  /** What `proceed` makes of what `call` answers, or of UNAVAILABLE: at once where the store answers at once. */
  ask<T, R> (operation: string, call: (store: CacheStore) => MaybePromise<T>, proceed: (answer: T | Unavailable) => R): R | Promise<R> {
    if (!this.#open) return proceed(UNAVAILABLE)
    if (this.#store.ready?.() === false) {
      this.#shut('not ready')
      return proceed(UNAVAILABLE)
    }
    return this.#try(operation, call, proceed)
  }

  /** Ends probing; calls in flight still end by their deadlines. */
  close (): void {
    this.#closed = true
    clearTimeout(this.#probe)
  }

  /** For work off the requests' path that takes as long as it takes: errors become UNAVAILABLE, nothing else changes. */
  async work<T> (operation: string, call: (store: CacheStore) => MaybePromise<T>): Promise<T | Unavailable> {
    if (!this.#open) return UNAVAILABLE
    try {
      return await call(this.#store)
    } catch (error) {
      return this.#failed(operation, error)
    }
  }

  #try<T, R> (operation: string, call: (store: CacheStore) => MaybePromise<T>, proceed: (answer: T | Unavailable) => R): R | Promise<R> {
    let answer: MaybePromise<T> | Unavailable
    try {
      answer = call(this.#store)
    } catch (error) {
      answer = this.#failed(operation, error)
    }
    if (!isPromise(answer)) return proceed(answer)
    const promise = answer
    return new Promise((resolve, reject) => {
      const settle = (outcome: T | Unavailable): void => {
        release()
        try {
          resolve(proceed(outcome))
        } catch (error) {
          reject(error)
        }
      }
      let expired = false
      const release = this.#deadlines.start(() => {
        expired = true
        this.#failures++
        this.#shut(`${operation} ran out of time`)
        settle(UNAVAILABLE)
      })
      promise.then(
        (value) => { if (!expired) settle(value) },
        (error: unknown) => { if (!expired) settle(this.#failed(operation, error)) }
      )
    })
  }

  #failed (operation: string, error: unknown): Unavailable {
    this.#failures++
    const now = performance.now()
    if (now - (this.#logged.get(operation) ?? -Infinity) >= LOG_INTERVAL) {
      this.#logged.set(operation, now)
      this.#log.warn({ err: error, store: this.#store.name, operation }, 'api cache: a store operation failed')
    }
    return UNAVAILABLE
  }

  #shut (reason: string): void {
    if (!this.#open) return
    this.#open = false
    this.#log.warn({ store: this.#store.name, reason }, 'api cache: store unavailable, answering from the handlers')
    this.#probeLater()
  }

  #probeLater (): void {
    if (this.#closed) return
    this.#probe = setTimeout(() => { this.#probeNow() }, PROBE_INTERVAL).unref()
  }

  async #probeNow (): Promise<void> {
    if (this.#store.ready?.() === false) return this.#probeLater()
    const answer = await this.#try('ping', (store) => store.ping?.(), asItIs)
    if (answer === UNAVAILABLE || this.#closed) return this.#probeLater()
    this.#open = true
    this.#log.info({ store: this.#store.name }, 'api cache: store available again')
    await this.onRecovery()
  }
}

const asItIs = <T>(answer: T): T => answer
