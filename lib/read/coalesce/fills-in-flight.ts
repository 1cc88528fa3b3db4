import { LRUCache } from 'lru-cache'
import { Deadlines } from '../../store/deadlines.js'
import type { Entry } from '../../entry/entry.js'
import { FillFailure } from './fill-failure.js'

/** Milliseconds for which requests for a key do not wait for each other, after a response that cannot be shared. */
const HIT_FOR_MISS_MILLISECONDS = 2_000
const MAX_HIT_FOR_MISS = 10_000
const MAX_UNSTORABLE = 10_000

/** An entry, and the key under which it is stored. */
export interface Filled {
  readonly entry: Entry
  readonly key: string
}

/**
 * How a fill ended for the requests that waited. With an entry: all use it. With a failure: all fail in the
 * same way. 'hit-for-miss' (the response is private, or too large), 'invalidated' (by a write) or 'unshared'
 * (a hook failed for one request): each runs its own handler, in parallel. 'abandoned': one of them takes over.
 */
export type Outcome = Filled | FillFailure | 'hit-for-miss' | 'invalidated' | 'unshared' | 'abandoned'

/**
 * A fill that other requests can wait for. Usually none waits, so it uses callbacks instead of a
 * promise. It keeps its entry only until it is released.
 */
export class FillInFlight {
  /** The key of its route's requests. */
  readonly key: string
  /** The versions that it began under, in the order of the key's names. */
  readonly versions: readonly string[]
  /** Whether the response is a stream, which may never end. */
  isStream = false
  /** Whether its entry is on the way to the store. */
  isStoring = false
  #outcome: Outcome | undefined
  #released = false
  #untilPublished: Array<(outcome: Outcome) => void> | undefined
  #untilReleased: Array<(outcome: Outcome) => void> | undefined

  constructor (key: string, versions: readonly string[]) {
    this.key = key
    this.versions = versions
  }

  /** Whether the outcome is known. */
  get isPublished (): boolean {
    return this.#outcome !== undefined
  }

  /** Whether other requests of this process wait for the outcome. */
  get isAwaited (): boolean {
    return this.#untilPublished !== undefined
  }

  /** Calls the listener with the outcome: at once if it is known already. */
  whenPublished (listener: (outcome: Outcome) => void): void {
    if (this.#outcome !== undefined) listener(this.#outcome)
    else (this.#untilPublished ??= []).push(listener)
  }

  /** The outcome; undefined if it takes longer. */
  within (milliseconds: number): Promise<Outcome | undefined> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => { resolve(undefined) }, milliseconds)
      this.whenPublished((outcome) => {
        clearTimeout(timer)
        resolve(outcome)
      })
    })
  }

  /** Calls the listener with the outcome when the entry is in the store, or when there is none. */
  whenReleased (listener: (outcome: Outcome) => void): void {
    if (this.#released) listener(this.#outcome!)
    else (this.#untilReleased ??= []).push(listener)
  }

  publish (outcome: Outcome): void {
    if (this.#outcome !== undefined) return
    this.#outcome = outcome
    for (const listener of this.#untilPublished ?? []) listener(outcome)
    this.#untilPublished = undefined
  }

  release (): void {
    if (this.#released) return
    this.publish('abandoned')
    this.#released = true
    for (const listener of this.#untilReleased ?? []) listener(this.#outcome!)
    this.#untilReleased = undefined
    this.#outcome = 'abandoned'
  }
}

/** The fills in progress in this process: many requests, one handler run. */
export class FillsInFlight {
  readonly #byKey = new Map<string, FillInFlight>()
  /** Keys whose last response could not be stored. Their handlers get the conditions of requests. */
  readonly unstorable = new LRUCache<string, true>({ max: MAX_UNSTORABLE })
  readonly #hitForMiss = new LRUCache<string, true>({ max: MAX_HIT_FOR_MISS, ttl: HIT_FOR_MISS_MILLISECONDS })
  /** Longest wait for another request's fill, in milliseconds. */
  readonly timeout: number
  readonly #timeouts: Deadlines
  #releasing: FillInFlight[] = []

  constructor (timeout: number) {
    this.timeout = timeout
    this.#timeouts = new Deadlines(timeout)
  }

  /** The number of fills that other requests can wait for. */
  get size (): number {
    return this.#byKey.size
  }

  /**
   * The fill to wait for. It must have begun under the versions that the caller found: otherwise a
   * write may have happened after its handler read the data and before the caller's request.
   */
  find (key: string, versions: readonly string[]): FillInFlight | undefined {
    const fill = this.#byKey.get(key)
    return fill?.versions.every((version, index) => version === versions[index]) === true ? fill : undefined
  }

  /** Whether a fill for the key is under way, under whatever versions. */
  isRunning (key: string): boolean {
    return this.#byKey.has(key)
  }

  /** Begins a fill, unless the last response for this key could not be shared. */
  begin (key: string, versions: readonly string[]): FillInFlight | undefined {
    if (this.#hitForMiss.has(key)) return undefined
    const fill = new FillInFlight(key, versions)
    this.#byKey.set(key, fill)
    return fill
  }

  /** Resolves when the entries that are on their way to the store now have arrived. */
  async stored (): Promise<void> {
    const storing = [...this.#byKey.values()].filter(({ isStoring }) => isStoring)
    await Promise.all(storing.map((fill) => new Promise((resolve) => { fill.whenReleased(resolve) })))
  }

  /**
   * Begins a fill for a request that cannot use the entry it has waited for, usually because of a write. It does
   * not wait again, because the next entry may be of no use, either. Later requests wait for the first such fill.
   */
  beginAnew (key: string, versions: readonly string[]): FillInFlight | undefined {
    return this.find(key, versions)?.isPublished === false ? undefined : this.begin(key, versions)
  }

  /**
   * The result of the fill in progress; or a fill for the caller to run, once there is none. Undefined
   * if the response cannot be shared, or when the wait times out.
   */
  join (key: string, versions: readonly string[]): Promise<Filled | FillFailure | FillInFlight | undefined> {
    return new Promise((resolve) => {
      let awaited: FillInFlight | undefined
      let waiting = true
      const deadline = this.#timeouts.start(() => {
        waiting = false
        // Later requests would wait just as long in vain.
        if (awaited?.isStream === true) this.publish(awaited, 'hit-for-miss')
        else if (awaited !== undefined) this.#remove(awaited)
        resolve(undefined)
      })
      const settle = (outcome: Filled | FillFailure | FillInFlight | undefined): void => {
        deadline.release()
        resolve(outcome)
      }
      const follow = (): void => {
        awaited = this.find(key, versions)
        if (awaited === undefined) return settle(this.begin(key, versions))
        awaited.whenPublished((outcome) => {
          if (!waiting) return
          if (outcome === 'abandoned') follow()
          else if (outcome === 'invalidated') settle(this.beginAnew(key, versions))
          else settle(typeof outcome === 'string' ? undefined : outcome)
        })
      }
      follow()
    })
  }

  /**
   * Passes the outcome to those who wait. If it is an entry, later requests find the fill until `release`.
   * Only a fill that others could have waited for says anything about its key.
   */
  publish (fill: FillInFlight, outcome: Outcome): void {
    if (outcome === 'hit-for-miss') this.#hitForMiss.set(fill.key, true)
    // First, because a request that takes over from an abandoned fill must not find it again.
    if (isShared(outcome)) return fill.publish(outcome)
    this.#remove(fill)
    fill.publish(outcome)
    fill.release()
  }

  /** Ends a fill: its entry is in the store now, or there is none. */
  release (fill: FillInFlight): void {
    this.#remove(fill)
    fill.release()
  }

  /** The same, one turn of the event loop later: for requests whose lookup ended just before the entry was stored. */
  releaseSoon (fill: FillInFlight): void {
    if (this.#releasing.push(fill) === 1) setImmediate(this.#releaseAll)
  }

  readonly #releaseAll = (): void => {
    const ending = this.#releasing
    this.#releasing = []
    for (const fill of ending) this.release(fill)
  }

  #remove (fill: FillInFlight): void {
    if (this.#byKey.get(fill.key) === fill) this.#byKey.delete(fill.key)
  }
}

/** Whether later requests may use the outcome, too. */
const isShared = (outcome: Outcome): boolean => typeof outcome !== 'string' && !(outcome instanceof FillFailure)
