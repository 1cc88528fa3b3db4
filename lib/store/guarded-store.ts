import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import { Deadlines } from './deadlines.js'
import { isPromise, type CacheStore, type MaybePromise } from './contract.js'

/** Instead of an answer: the store has none in time. */
export const UNAVAILABLE = Symbol('unavailable')
export type Unavailable = typeof UNAVAILABLE

/** Milliseconds between two tries to reach a store that did not answer. */
const PROBE_INTERVAL = 100
/**
 * Milliseconds from the first answer until the store is read again. Other processes may have
 * invalidations to deliver from the same outage, and notice its end a little later.
 */
const HEAD_START = 400
/** What those invalidations need. */
const DELIVERING = new Set(['move', 'hold', 'letGo'])
/** Milliseconds in which the same thing is logged once. */
const LOG_INTERVAL = 10_000
/** An error that took longer, in milliseconds, is one that others should not wait for. */
const PROMPT = 50

/**
 * A GET may need several operations one after the other, so each of them has half of the time.
 * A store has to answer a ping as fast.
 */
const HALF = ['lookup', 'current', 'claim', 'lease', 'ping']

/**
 * The one way from the plugin to its store. Whatever a store does (hang, throw, answer an
 * error), a call through here ends within `timeout` and never throws. A store that let a call
 * run out of time, or that says it is not ready, is not asked again until it answers a ping.
 */
export class Door {
  readonly #store: CacheStore
  readonly #log: FastifyBaseLogger
  readonly #timeout: number
  readonly #deadlines: Deadlines
  /** Those of operations that have only a part of the time. */
  readonly #deadlinesOf: Readonly<Record<string, Deadlines>>
  readonly #logged = new Map<string, number>()
  #open = true
  /** The store answers again, but is not read yet. */
  #recovering = false
  #closed = false
  #probe: NodeJS.Timeout | undefined
  /** A ping under way for those who wait for work. */
  #ping: Promise<unknown> | undefined
  #failures = 0
  /** Runs after the store answered again and before it is read again. */
  onRecovery: () => Promise<unknown> = async () => {}

  constructor (store: CacheStore, timeout: number, log: FastifyBaseLogger) {
    this.#store = store
    this.#log = log
    this.#timeout = timeout
    this.#deadlines = new Deadlines(timeout)
    const half = new Deadlines(timeout / 2)
    this.#deadlinesOf = Object.fromEntries(HALF.map((operation) => [operation, half]))
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
    if (!this.#open && !(this.#recovering && DELIVERING.has(operation))) return proceed(UNAVAILABLE)
    if (this.#store.ready?.() === false) {
      this.#shut('not ready')
      return proceed(UNAVAILABLE)
    }
    return this.#try(operation, call, proceed)
  }

  /** Nothing passes any more; calls in flight still end by their deadlines. */
  close (): void {
    this.#closed = true
    this.#open = this.#recovering = false
    clearTimeout(this.#probe)
  }

  /** For work off the requests' path that takes as long as it takes: errors become UNAVAILABLE, nothing else changes. */
  async work<T> (operation: string, call: (store: CacheStore) => MaybePromise<T>): Promise<T | Unavailable> {
    if (!this.#open && !this.#recovering) return UNAVAILABLE
    try {
      return await call(this.#store)
    } catch (error) {
      return this.#failed(operation, error, 0)
    }
  }

  /**
   * What work of many steps brings, for a response that waits for it: UNAVAILABLE once it takes more than
   * `milliseconds`, or once the store does not answer a ping meanwhile. The work itself goes on.
   */
  async waitFor<T> (work: Promise<T>, milliseconds: number): Promise<T | Unavailable> {
    const end = performance.now() + milliseconds
    for (;;) {
      const pause = Math.min(this.#timeout / 2, end - performance.now())
      const outcome = await Promise.race([work, delay(pause, UNAVAILABLE, { ref: false })])
      if (outcome !== UNAVAILABLE || performance.now() >= end) return outcome
      // One at a time, however many wait: a store may count those that it has not answered yet.
      this.#ping ??= Promise.resolve(this.pass('ping', (store) => store.ping?.())).finally(() => { this.#ping = undefined })
      if (await this.#ping === UNAVAILABLE) return UNAVAILABLE
    }
  }

  #try<T, R> (operation: string, call: (store: CacheStore) => MaybePromise<T>, proceed: (answer: T | Unavailable) => R): R | Promise<R> {
    let answer: MaybePromise<T> | Unavailable
    try {
      answer = call(this.#store)
    } catch (error) {
      answer = this.#failed(operation, error, 0)
    }
    if (!isPromise(answer)) return proceed(answer)
    const promise = answer
    return new Promise((resolve, reject) => {
      const settle = (outcome: T | Unavailable): void => {
        try {
          resolve(proceed(outcome))
        } catch (error) {
          reject(error)
        }
      }
      let expired = false
      const deadline = (this.#deadlinesOf[operation] ?? this.#deadlines).start(() => {
        expired = true
        this.#failures++
        this.#shut(`${operation} ran out of time`)
        settle(UNAVAILABLE)
      })
      promise.then((value) => {
        if (expired) return
        deadline.release()
        settle(value)
      }, (error: unknown) => {
        if (expired) return
        deadline.release()
        settle(this.#failed(operation, error, deadline.elapsed))
      })
    })
  }

  #failed (operation: string, error: unknown, milliseconds: number): Unavailable {
    this.#failures++
    if (this.#open && this.#mayLog(operation)) {
      this.#log.warn({ err: error, store: this.#store.name, operation }, 'api cache: a store operation failed')
    }
    if (milliseconds > PROMPT) this.#shut(`${operation} failed after ${Math.round(milliseconds)} ms`)
    return UNAVAILABLE
  }

  #mayLog (what: string): boolean {
    const now = performance.now()
    if (now - (this.#logged.get(what) ?? -Infinity) < LOG_INTERVAL) return false
    this.#logged.set(what, now)
    return true
  }

  #shut (reason: string): void {
    if (!this.#open && !this.#recovering) return
    this.#open = this.#recovering = false
    if (this.#mayLog('shut')) {
      this.#log.warn({ store: this.#store.name, reason }, 'api cache: store unavailable, answering from the handlers')
    }
    this.#probeLater()
  }

  #probeLater (): void {
    if (this.#closed) return
    clearTimeout(this.#probe)
    this.#probe = setTimeout(() => { this.#probeNow() }, PROBE_INTERVAL).unref()
  }

  async #probeNow (): Promise<void> {
    const answer = await this.#try('ping', (store) => store.ping?.(), asItIs)
    if (this.#closed) return
    if (answer === UNAVAILABLE || this.#store.ready?.() === false) return this.#probeLater()
    this.#recovering = true
    this.#probe = setTimeout(() => { this.#reopen() }, HEAD_START).unref()
    await this.onRecovery()
  }

  #reopen (): void {
    this.#recovering = false
    this.#open = true
    if (this.#mayLog('open')) this.#log.info({ store: this.#store.name }, 'api cache: store available again')
  }
}

const asItIs = <T>(answer: T): T => answer
