import type { FastifyRequest } from 'fastify'
import { Encodings } from './encoding/encodings.js'
import type { Keyspace } from './key/keyspace.js'
import type { Log } from './observe/log.js'
import { Stats } from './observe/stats.js'
import { FillsInFlight } from './read/coalesce/fills-in-flight.js'
import { LeasedFills } from './read/coalesce/leased-fills.js'
import { Drains } from './read/fill/drains.js'
import { KnownTags } from './read/known-tags.js'
import { Refreshes } from './read/refresh/refreshes.js'
import type { CacheStore } from './store/contract.js'
import { WriteRuntime, type WriteRuntimeOptions } from './write/write-runtime.js'

export interface RuntimeOptions extends WriteRuntimeOptions {
  /** Longest time in milliseconds that a request waits for the fill of another request. */
  readonly coalesceTimeout: number
  readonly responseHeader: string | false
  readonly explain: boolean
  /** The name of the application, as far as it has one. */
  readonly application: string | undefined
  /** Whether reads use the cache. */
  readonly enabled: boolean
  readonly bypass: ((request: FastifyRequest) => unknown) | undefined
}

/** What the routes of one registration share. */
export class Runtime extends WriteRuntime {
  readonly stats = new Stats()
  readonly fills: FillsInFlight
  readonly refreshes = new Refreshes()
  /** Undefined if the store has no leases. */
  readonly leases: LeasedFills | undefined
  readonly drains = new Drains()
  readonly knownTags = new KnownTags()
  readonly encodings = new Encodings()
  /** The name in lower case of the response header that says HIT or MISS; false for none. */
  readonly responseHeader: string | false
  /** Whether the decision about each request on a cached route is explained. */
  readonly explains: boolean
  /** What entries of this application name as their application. */
  readonly application: string | undefined
  /** Whether reads use the cache. */
  readonly enabled: boolean
  /** Whether one request does not. */
  readonly bypass: ((request: FastifyRequest) => unknown) | undefined

  constructor (
    store: CacheStore, keyspace: Keyspace, log: Log,
    { timeout, coalesceTimeout, responseHeader, explain, application, enabled, bypass, settle }: RuntimeOptions
  ) {
    super(store, keyspace, log, { timeout, settle })
    this.events.listen(this.stats)
    this.fills = new FillsInFlight(coalesceTimeout)
    this.leases = store.leases && new LeasedFills(this.store, store.leases, keyspace, coalesceTimeout)
    this.responseHeader = responseHeader === false ? false : responseHeader.toLowerCase()
    this.explains = explain
    this.application = application
    this.enabled = enabled
    this.bypass = bypass
  }

  override async close (): Promise<void> {
    this.encodings.close()
    await super.close()
  }
}
