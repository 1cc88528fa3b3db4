import { setTimeout } from 'node:timers/promises'
import { Background } from './background.js'
import type { Keyspace } from './key/keyspace.js'
import { Events } from './observe/events.js'
import type { Log } from './observe/log.js'
import { Stats } from './observe/stats.js'
import { FillsInFlight } from './read/coalesce/fills-in-flight.js'
import { LeasedFills } from './read/coalesce/leased-fills.js'
import { Drains } from './read/fill/drains.js'
import type { CacheStore, Intents } from './store/contract.js'
import { GuardedStore } from './store/guarded-store.js'
import { Bumps } from './write/bumps.js'
import { Invalidation } from './write/invalidation.js'

/** Longest wait, in milliseconds, for fills and sweeps when the server closes. */
const CLOSE_TIMEOUT = 1_000

export interface RuntimeOptions {
  /** Milliseconds that a store operation may delay a request. */
  readonly timeout: number
  /** Longest time in milliseconds that a request waits for the fill of another request. */
  readonly coalesceTimeout: number
  readonly responseHeader: string | false
  readonly explain: boolean
  /** The name of the application, as far as it has one. */
  readonly application: string | undefined
  /** Milliseconds of the window after a write that does not say otherwise; 0 for none. */
  readonly settle: number
}

/** What the routes of one registration share. */
export class Runtime {
  readonly keyspace: Keyspace
  readonly log: Log
  readonly events = new Events()
  readonly stats = new Stats()
  readonly background = new Background()
  readonly store: GuardedStore
  /** Undefined if the store does not support `strict` writes. */
  readonly intents: Intents | undefined
  readonly bumps: Bumps
  readonly invalidation: Invalidation
  readonly fills: FillsInFlight
  /** Undefined if the store has no leases. */
  readonly leases: LeasedFills | undefined
  readonly drains = new Drains()
  /** The name in lower case of the response header that says HIT or MISS; false for none. */
  readonly responseHeader: string | false
  /** Whether the decision about each request on a cached route is explained. */
  readonly explains: boolean
  /** What entries of this application name as their application. */
  readonly application: string | undefined
  /** Milliseconds of the window after a write that does not say otherwise; 0 for none. */
  readonly settle: number

  constructor (
    store: CacheStore, keyspace: Keyspace, log: Log,
    { timeout, coalesceTimeout, responseHeader, explain, application, settle }: RuntimeOptions
  ) {
    this.keyspace = keyspace
    this.log = log
    this.events.listen(this.stats)
    this.events.listen(log)
    this.store = new GuardedStore(store, {
      timeout,
      publish: (event) => { this.events.publish('store', { prefix: keyspace.prefix, store: store.name, ...event }) },
      recover: () => this.bumps.deliver()
    })
    this.intents = store.intents
    this.bumps = new Bumps(this.store, keyspace, log)
    store.onTakeover?.((isAffected) => { this.bumps.repeat(isAffected) })
    this.invalidation = new Invalidation(this)
    this.fills = new FillsInFlight(coalesceTimeout)
    this.leases = store.leases && new LeasedFills(this.store, store.leases, keyspace, coalesceTimeout)
    this.responseHeader = responseHeader === false ? false : responseHeader.toLowerCase()
    this.explains = explain
    this.application = application
    this.settle = settle
  }

  /** Waits for background work, up to a limit, and delivers pending bumps. Then no call reaches the store any more. */
  async close (): Promise<void> {
    await Promise.race([this.background.settled(), setTimeout(CLOSE_TIMEOUT, undefined, { ref: false })])
    await this.bumps.close()
    this.store.close()
  }
}
