import { setImmediate, setTimeout } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import { inBatches } from './write/in-batches.js'
import type { Keyspace } from './key/keyspace.js'
import { Drains } from './read/fill/capture.js'
import { Fleet } from './read/coalesce/fleet.js'
import { Flights } from './read/coalesce/fills-in-flight.js'
import { Door } from './store/guarded-store.js'
import type { CacheStore } from './store/contract.js'
import { TurnEnd } from './store/turn.js'
import { Invalidator } from './write/invalidator.js'
import { Sweeper } from './write/sweep-queue.js'

const COMPLAINT_INTERVAL = 60_000
/** Namespaces of one invalidation beyond which one sweep of all entries takes the place of one for each. */
const MANY_NAMESPACES = 20
/** Longest wait for fills and sweeps when the server closes. */
const CLOSE_MILLISECONDS = 1_000

/** Counts since the plugin was registered. */
export interface Counters {
  hits: number
  misses: number
  bypasses: number
  /** Answers of other requests' handlers, waited for. */
  collapsed: number
  stored: number
  invalidations: number
  swept: number
}

export interface CoreSettings {
  /** Milliseconds that a store operation may hold a request. */
  readonly timeout: number
  /** Milliseconds that a request waits for another's fill at the most. */
  readonly lease: number
  readonly responseHeader: string | false
  readonly explain: boolean
  /** Whether the application says that no framework guards its routes inside their handlers. */
  readonly guardsAreHooks: boolean
}

/** Everything that the routes of one registration share. */
export class Core {
  readonly keyspace: Keyspace
  readonly door: Door
  readonly invalidator: Invalidator
  readonly sweeper: Sweeper
  readonly flights: Flights
  readonly fleet: Fleet
  readonly drains = new Drains()
  /** What lookups wait for; undefined with a store that takes its own time. */
  readonly turnEnd: TurnEnd | undefined
  /** The name, in lower case, of the response header that says HIT or MISS; false for none. */
  readonly responseHeader: string | false
  /** Whether each request on a cached route is told why it got what it got. */
  readonly explains: boolean
  readonly guardsAreHooks: boolean
  readonly counters: Counters = { hits: 0, misses: 0, bypasses: 0, collapsed: 0, stored: 0, invalidations: 0, swept: 0 }
  readonly #store: CacheStore
  /** Pieces of work that no response waits for, and who waits until there are none. */
  #inBackground = 0
  #idle: Array<() => void> = []
  readonly #complaints = new Map<string, number>()

  constructor (store: CacheStore, keyspace: Keyspace, { timeout, lease, responseHeader, explain, guardsAreHooks }: CoreSettings, log: FastifyBaseLogger) {
    this.#store = store
    this.turnEnd = store.immediate === true ? new TurnEnd() : undefined
    this.keyspace = keyspace
    this.responseHeader = responseHeader === false ? false : responseHeader.toLowerCase()
    this.explains = explain
    this.guardsAreHooks = guardsAreHooks
    this.door = new Door(store, timeout, log)
    this.invalidator = new Invalidator(this.door, keyspace, log)
    this.sweeper = new Sweeper(this.door)
    this.flights = new Flights(lease)
    this.fleet = new Fleet(this.door, keyspace, lease)
    this.door.onRecovery = () => this.invalidator.deliver()
  }

  /**
   * Moves the versions of namespaces and tags, then sweeps behind them.
   * @returns whether the move was delivered, and how many entries the sweep deletes
   */
  async invalidate (namespaces: readonly string[], tags: readonly string[]): Promise<{ delivered: boolean, swept: Promise<number> }> {
    let delivered = true
    for await (const [someNamespaces, someTags] of inBatches(namespaces, tags)) {
      delivered = await this.invalidator.move(this.versionsOf(someNamespaces, someTags)) && delivered
    }
    return { delivered, swept: this.sweep(namespaces, tags) }
  }

  /**
   * Moves the versions of everything, where nobody knows what a write made old. What that leaves
   * unreachable is not swept: it is filled anew, or goes by its expiry.
   */
  async invalidateEverything (): Promise<void> {
    this.counters.invalidations++
    await this.invalidator.moveEverything()
  }

  /** The keys of the versions that stand for namespaces and tags. */
  versionsOf (namespaces: readonly string[], tags: readonly string[]): string[] {
    // Groups first: whoever finds a tag moved has to find that its group has.
    return [
      ...new Set(tags.map((tag) => this.keyspace.tagGroup(tag))),
      ...namespaces.map((namespace) => this.keyspace.version(namespace)),
      ...tags.map((tag) => this.keyspace.tag(tag))
    ]
  }

  /** Sweeps behind an invalidation of namespaces and tags; how many entries are deleted. */
  sweep (namespaces: readonly string[], tags: readonly string[]): Promise<number> {
    this.counters.invalidations += namespaces.length + tags.length
    return this.inBackground(this.#sweep(namespaces, tags))
  }

  async #sweep (namespaces: readonly string[], tags: readonly string[]): Promise<number> {
    const alone = namespaces.length > MANY_NAMESPACES ? [] : namespaces
    const sweeps = alone.map((namespace) => this.sweeper.sweep(this.keyspace.entries(namespace), [this.keyspace.version(namespace)]))
    const together: string[] = []
    for await (const [someNamespaces, someTags] of inBatches(namespaces.slice(alone.length), tags)) {
      for (const namespace of someNamespaces) together.push(this.keyspace.version(namespace))
      for (const tag of someTags) together.push(this.keyspace.tag(tag))
    }
    if (together.length > 0) sweeps.push(this.sweeper.sweep(this.keyspace.allEntries, together))
    let swept = 0
    for (const count of await Promise.all(sweeps)) swept += count
    this.counters.swept += swept
    return swept
  }

  /** Keeps track of work that no response waits for: counted only, as each MISS brings some. */
  inBackground<T> (work: Promise<T>): Promise<T> {
    this.#inBackground++
    work.then(this.#oneDone, this.#oneDone)
    return work
  }

  readonly #oneDone = (): void => {
    if (--this.#inBackground > 0) return
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  /** Resolves when no fill is being stored and no sweep is running. */
  async settled (): Promise<void> {
    while (this.#inBackground > 0) await new Promise<void>((resolve) => { this.#idle.push(resolve) })
    // Flights end one turn after their entries are there.
    await setImmediate()
  }

  /** Whether the store can hold versions for `strict` writes. */
  get holds (): boolean {
    return this.#store.hold !== undefined && this.#store.letGo !== undefined
  }

  /** The keys that begin with `prefix`. @throws whatever the store throws */
  keys (prefix: string): AsyncIterable<string> {
    return this.#store.keys(prefix)
  }

  /** Lets go of the store: what is under way may settle for as long as one operation may take. */
  async close (): Promise<void> {
    await Promise.race([this.settled(), setTimeout(CLOSE_MILLISECONDS, undefined, { ref: false })])
    await this.invalidator.close()
    this.door.close()
  }

  /** Logs what a function of a policy did wrong: once a minute for each route. */
  complain (log: FastifyBaseLogger, route: string, err: unknown): void {
    this.#complain(log, 'warn', route, err, 'the request bypasses the cache')
  }

  /**
   * The same of a function that was to tell what a write made old.
   * @param hasRun whether the handler has, so that something may have been written
   */
  complainOfWrite (log: FastifyBaseLogger, route: string, err: unknown, hasRun: boolean): void {
    if (hasRun) this.#complain(log, 'error', route, err, 'nobody knows what was made old, everything is invalidated')
    else this.#complain(log, 'warn', route, err, 'a response from before its handler invalidates nothing')
  }

  #complain (log: FastifyBaseLogger, level: 'warn' | 'error', route: string, err: unknown, outcome: string): void {
    const now = performance.now()
    const complaint = `${route} ${outcome}`
    if (now - (this.#complaints.get(complaint) ?? -Infinity) < COMPLAINT_INTERVAL) return
    this.#complaints.set(complaint, now)
    log[level]({ err, route }, `api cache: a function of the route's policy failed, ${outcome}`)
  }
}
