import { LRUCache } from 'lru-cache'
import { Deadlines } from '../../store/deadlines.js'
import type { Entry } from '../../entry/entry.js'

/** Milliseconds for which a key is remembered as not worth waiting for. */
const UNSHARED_MILLISECONDS = 2_000
const MAX_UNSHARED = 10_000

/** An entry, and the key under which it is stored. */
export interface Landed {
  readonly entry: Entry
  readonly key: string
}

/**
 * How a flight ended for those who waited: with an entry for all; with an answer that is nobody
 * else's, or that a write overtook (each runs its own handler now, in parallel); or abandoned
 * (one of them takes over).
 */
export type Outcome = Landed | 'unshared' | 'overtaken' | 'abandoned'

/**
 * One handler run whose answer others wait for. Nearly all have nobody waiting, so a flight makes
 * no promise, and it holds what it brought only while it can be found.
 */
export class Flight {
  /** The versions that it began under, in the order of the route's lookup. */
  readonly versions: readonly string[]
  #outcome: Outcome | undefined
  #ended = false
  #untilLanded: Array<(outcome: Outcome) => void> | undefined
  #untilEnded: Array<(outcome: Outcome) => void> | undefined

  constructor (versions: readonly string[]) {
    this.versions = versions
  }

  /** Tells what the flight brings: at once where it has landed. */
  whenLanded (told: (outcome: Outcome) => void): void {
    if (this.#outcome !== undefined) told(this.#outcome)
    else (this.#untilLanded ??= []).push(told)
  }

  /** Tells what the flight brought when the entry can be found in the store, or there is none. */
  whenEnded (told: (outcome: Outcome) => void): void {
    if (this.#ended) told(this.#outcome!)
    else (this.#untilEnded ??= []).push(told)
  }

  land (outcome: Outcome): void {
    if (this.#outcome !== undefined) return
    this.#outcome = outcome
    for (const told of this.#untilLanded ?? []) told(outcome)
    this.#untilLanded = undefined
  }

  end (): void {
    if (this.#ended) return
    this.land('abandoned')
    this.#ended = true
    for (const told of this.#untilEnded ?? []) told(this.#outcome!)
    this.#untilEnded = undefined
    this.#outcome = 'abandoned'
  }
}

/** The fills of this process that are under way: many callers, one handler run. */
export class Flights {
  readonly #byKey = new Map<string, Flight>()
  readonly #unshared = new LRUCache<string, true>({ max: MAX_UNSHARED, ttl: UNSHARED_MILLISECONDS })
  readonly #patience: Deadlines
  #ending: Array<{ readonly key: string, readonly flight: Flight }> = []

  /** @param patience longest wait for somebody else's fill, in milliseconds */
  constructor (patience: number) {
    this.#patience = new Deadlines(patience)
  }

  /** How many fills others could wait for. */
  get size (): number {
    return this.#byKey.size
  }

  /**
   * The flight to wait for: one that began under the versions which are current for this
   * caller, so that no write can have come between its reading and this caller's asking.
   */
  find (key: string, versions: readonly string[]): Flight | undefined {
    const flight = this.#byKey.get(key)
    return flight?.versions.every((version, index) => version === versions[index]) === true ? flight : undefined
  }

  /** Takes off, unless the last answer under this key was one that nobody else may have. */
  begin (key: string, versions: readonly string[]): Flight | undefined {
    if (this.#unshared.has(key)) return undefined
    const flight = new Flight(versions)
    this.#byKey.set(key, flight)
    return flight
  }

  /**
   * What a flight under way brings; or, as soon as there is none, the caller's own flight. Neither
   * where the answer would be no use to others, or when patience has run out.
   */
  join (key: string, versions: readonly string[]): Promise<Landed | Flight | undefined> {
    return new Promise((resolve) => {
      let awaited: Flight | undefined
      let patient = true
      const deadline = this.#patience.start(() => {
        patient = false
        // Whoever comes now would wait as long for nothing.
        this.#leave(key, awaited)
        resolve(undefined)
      })
      const settle = (outcome: Landed | Flight | undefined): void => {
        deadline.release()
        resolve(outcome)
      }
      const follow = (): void => {
        awaited = this.find(key, versions)
        if (awaited === undefined) return settle(this.begin(key, versions))
        awaited.whenLanded((outcome) => {
          if (!patient) return
          if (outcome === 'abandoned') follow()
          else settle(typeof outcome === 'string' ? undefined : outcome)
        })
      }
      follow()
    })
  }

  /** Tells the waiters; with an entry, later callers still find the flight until `end`. */
  land (key: string, flight: Flight | undefined, outcome: Outcome): void {
    if (outcome === 'unshared') this.#unshared.set(key, true)
    else if (typeof outcome !== 'string' && this.#unshared.size > 0) this.#unshared.delete(key)
    if (flight === undefined) return
    // Whoever takes over from an abandoned one must not find it again.
    if (typeof outcome === 'string') this.#leave(key, flight)
    flight.land(outcome)
    if (typeof outcome === 'string') flight.end()
  }

  /** The entry can be found in the store now, or there is none. */
  end (key: string, flight: Flight | undefined): void {
    this.#leave(key, flight)
    flight?.end()
  }

  /** The same one turn later, for those whose look was answered together with this. */
  endSoon (key: string, flight: Flight | undefined): void {
    if (flight === undefined) return
    if (this.#ending.push({ key, flight }) === 1) setImmediate(this.#endAll)
  }

  readonly #endAll = (): void => {
    const ending = this.#ending
    this.#ending = []
    for (const { key, flight } of ending) this.end(key, flight)
  }

  #leave (key: string, flight: Flight | undefined): void {
    if (flight !== undefined && this.#byKey.get(key) === flight) this.#byKey.delete(key)
  }
}
