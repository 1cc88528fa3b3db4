import { setTimeout as delay } from 'node:timers/promises'
import type { StoreEvent } from '../observe/events.js'
import { Breaker } from './breaker.js'
import { isPromise, type CacheStore, type Lookup, type MaybePromise } from './contract.js'
import { Deadlines } from './deadlines.js'
import { withoutArguments } from './without-arguments.js'

/** Returned instead of a result that the store did not give in time. */
export const UNAVAILABLE = Symbol('unavailable')
export type Unavailable = typeof UNAVAILABLE

/** The operations of a store. */
export type Operation =
  'lookup' | 'versions' | 'softened' | 'ensure' | 'bump' | 'set' | 'sweep' | 'ping' |
  'begin intent' | 'end intent' | 'take lease' | 'release lease' | 'subscribe'

/** Operations that deliver invalidations. They are let through while the store recovers. */
const DELIVERING: ReadonlySet<Operation> = new Set<Operation>(['bump', 'begin intent', 'end intent'])
/**
 * Operations that get half of the timeout: a GET waits that long for its first lookup, and that long for all that
 * it needs after it (`StoreWait`). A ping must not be slower than these.
 */
const HALF: ReadonlySet<Operation> = new Set<Operation>([
  'lookup', 'versions', 'softened', 'ensure', 'take lease', 'ping'
])
/** If an operation fails after more milliseconds than this, the breaker opens, so that other requests do not wait. */
const QUICK_FAILURE = 50

/** How long a request has waited for the store after its first lookup. */
export interface StoreWait {
  milliseconds: number
}

export interface GuardedStoreOptions {
  /** Milliseconds that an operation may take. */
  readonly timeout: number
  publish(event: Omit<StoreEvent, 'prefix' | 'store'>): void
  /** Runs after the store has answered again and before it is read again. Never rejects. */
  recover(): Promise<unknown>
}

/**
 * The plugin's only way to its store. Whatever the store does (hang, throw, reject), `call` returns
 * within `timeout` of running time (see `Deadlines`), and never throws or rejects. After a call has
 * timed out, or if the store is not ready, it is not called again until it answers a ping.
 */
export class GuardedStore {
  readonly #store: CacheStore
  readonly #options: GuardedStoreOptions
  readonly #deadlines: Deadlines
  readonly #halfDeadlines: Deadlines
  /** For `set`: no request waits for it, so it may take as long as its bytes keep moving. */
  readonly #setDeadlines: Deadlines
  readonly #breaker: Breaker
  /** Resolves at the end of the current tick of the event loop. */
  #tickEnd: Promise<void> | undefined
  /** The ping in progress for `waitFor`. */
  #ping: Promise<unknown> | undefined

  constructor (store: CacheStore, options: GuardedStoreOptions) {
    this.#store = store
    this.#options = options
    const { timeout } = options
    const progress = { transferred: () => store.transferred?.() ?? 0, longest: timeout }
    this.#setDeadlines = new Deadlines(timeout, { ...progress, longest: Infinity })
    this.#deadlines = new Deadlines(timeout, progress)
    this.#halfDeadlines = new Deadlines(timeout / 2, progress)
    this.#breaker = new Breaker({
      probe: async () => await this.#attempt('ping', (store) => store.ping?.()) !== UNAVAILABLE && this.#isReady(),
      recover: options.recover,
      publish: (event) => { this.#publish(event) }
    })
  }

  /** Whether all calls go through to the store. */
  get available (): boolean {
    return this.#breaker.state === 'closed' && this.#isReady()
  }

  /** Whether the store answers from this process's memory. */
  get isImmediate (): boolean {
    return this.#store.immediate === true
  }

  /**
   * The entry and the versions; see `CacheStore.immediate` for when they are looked up.
   * @param wait left out for the first lookup of a request
   */
  lookup (key: string, names: readonly string[], wait?: StoreWait): MaybePromise<Lookup | Unavailable> {
    const look = (store: CacheStore): MaybePromise<Lookup> => store.lookup(key, names)
    if (!this.isImmediate) return this.call('lookup', look, wait)
    this.#tickEnd ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#tickEnd = undefined
        resolve()
      })
    })
    return this.#tickEnd.then(() => this.call('lookup', look, wait))
  }

  /**
   * The result of `run`, or UNAVAILABLE. Not a promise if the store answers at once.
   * @param wait of the request that needs several operations: together they get the time of one
   */
  call<T> (
    operation: Operation, run: (store: CacheStore) => MaybePromise<T>, wait?: StoreWait
  ): MaybePromise<T | Unavailable> {
    if (wait !== undefined && wait.milliseconds >= this.#options.timeout / 2) return UNAVAILABLE
    const { state } = this.#breaker
    if (state !== 'closed' && !(state === 'recovering' && DELIVERING.has(operation))) return UNAVAILABLE
    if (this.#isReady()) return this.#attempt(operation, run, wait)
    const reconnected = this.#store.reconnecting?.()
    if (reconnected !== undefined) return this.#attempt(operation, (store) => reconnected.then(() => run(store)), wait)
    this.#breaker.open('not ready')
    return UNAVAILABLE
  }

  /** For work without a time limit, which no request waits for: only errors become UNAVAILABLE. Never rejects. */
  async callUnbounded<T> (operation: Operation, run: (store: CacheStore) => MaybePromise<T>): Promise<T | Unavailable> {
    if (this.#breaker.state === 'open') return UNAVAILABLE
    try {
      return await run(this.#store)
    } catch (error) {
      return this.#failed(operation, error, 0)
    }
  }

  /**
   * The result of work with many steps that a response waits for. UNAVAILABLE if it takes more than
   * `milliseconds`, or if the store stops answering pings. The work itself continues.
   */
  async waitFor<T> (work: Promise<T>, milliseconds: number): Promise<T | Unavailable> {
    const end = performance.now() + milliseconds
    for (;;) {
      const pause = Math.min(this.#options.timeout / 2, end - performance.now())
      const outcome = await Promise.race([work, delay(pause, UNAVAILABLE, { ref: false })])
      if (outcome !== UNAVAILABLE || performance.now() >= end) return outcome
      // One at a time, however many requests wait: a store may count unanswered pings.
      this.#ping ??= Promise.resolve(this.call('ping', (store) => store.ping?.()))
        .finally(() => { this.#ping = undefined })
      if (await this.#ping === UNAVAILABLE) return UNAVAILABLE
    }
  }

  /** Lets no more calls through. Calls in progress still end by their deadlines. */
  close (): void {
    this.#breaker.stop()
  }

  #isReady (): boolean {
    return this.#store.ready?.() !== false
  }

  #attempt<T> (
    operation: Operation, run: (store: CacheStore) => MaybePromise<T>, wait?: StoreWait
  ): MaybePromise<T | Unavailable> {
    let answer: MaybePromise<T>
    try {
      answer = run(this.#store)
    } catch (error) {
      return this.#failed(operation, error, 0)
    }
    return isPromise(answer) ? this.#withinDeadline(operation, answer, run, wait) : answer
  }

  #withinDeadline<T> (
    operation: Operation, answer: Promise<T>, run: (store: CacheStore) => MaybePromise<T>, wait?: StoreWait
  ): Promise<T | Unavailable> {
    return new Promise((resolve) => {
      const spent = wait?.milliseconds ?? 0
      let expired = false
      const deadline = this.#deadlinesFor(operation).start((isReceiving) => {
        expired = true
        if (wait !== undefined) wait.milliseconds = Infinity
        this.#publish({ state: 'failed', operation, reason: 'timed out' })
        // A store that is busy with large values answers, and one that had less than its time may.
        if (!isReceiving && spent === 0) this.#breaker.open(`${operation} timed out`)
        resolve(UNAVAILABLE)
      }, spent)
      const settle = (outcome: T | Unavailable): void => {
        if (expired) return
        deadline.release()
        if (wait !== undefined) wait.milliseconds = deadline.elapsed
        resolve(outcome)
      }
      answer.then(settle, (error: unknown) => {
        const failed = (error: unknown): void => {
          if (!expired) settle(this.#failed(operation, error, deadline.elapsed - spent))
        }
        const reconnected = expired ? undefined : this.#store.reconnecting?.()
        if (reconnected === undefined) failed(error)
        else reconnected.then(() => run(this.#store)).then(settle, failed)
      })
    })
  }

  #deadlinesFor (operation: Operation): Deadlines {
    if (operation === 'set') return this.#setDeadlines
    return HALF.has(operation) ? this.#halfDeadlines : this.#deadlines
  }

  #failed (operation: Operation, error: unknown, milliseconds: number): Unavailable {
    this.#publish({ state: 'failed', operation, error: withoutArguments(error) })
    if (milliseconds > QUICK_FAILURE) this.#breaker.open(`${operation} failed after ${Math.round(milliseconds)} ms`)
    return UNAVAILABLE
  }

  #publish ({ state, operation, error, reason }: Partial<StoreEvent> & Pick<StoreEvent, 'state'>): void {
    this.#options.publish({ state, operation, error, reason })
  }
}
