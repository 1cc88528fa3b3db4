import { setTimeout } from 'node:timers/promises'
import { Background } from '../background.js'
import type { Keyspace } from '../key/keyspace.js'
import { Events } from '../observe/events.js'
import type { Log } from '../observe/log.js'
import type { CacheStore, Intents } from '../store/contract.js'
import { GuardedStore } from '../store/guarded-store.js'
import { Bumps } from './bumps.js'
import { Invalidation } from './invalidation.js'

/** Longest wait, in milliseconds, for fills and sweeps when the cache closes. */
const CLOSE_TIMEOUT = 1_000

export interface WriteRuntimeOptions {
  /** Milliseconds that a store operation may take. */
  readonly timeout: number
  /** Milliseconds of the window after a write that does not say otherwise; 0 for none. */
  readonly settle: number
  /** Milliseconds that a response waits while everything is invalidated; default 5,000. */
  readonly longestPass?: number
}

/** What writes under one prefix share, on a server and in a client without one. */
export class WriteRuntime {
  readonly keyspace: Keyspace
  readonly log: Log
  readonly events = new Events()
  readonly background = new Background()
  readonly store: GuardedStore
  /** Undefined if the store does not support `strict` writes. */
  readonly intents: Intents | undefined
  readonly bumps: Bumps
  readonly invalidation: Invalidation
  readonly settle: number
  /** Each records an intent once more that is in progress. They never reject. */
  readonly renewals = new Set<() => Promise<unknown>>()

  constructor (store: CacheStore, keyspace: Keyspace, log: Log, options: WriteRuntimeOptions) {
    const { timeout, settle, longestPass } = options
    this.keyspace = keyspace
    this.log = log
    this.events.listen(log)
    this.store = new GuardedStore(store, {
      timeout,
      publish: (event) => { this.events.publish('store', { prefix: keyspace.prefix, store: store.name, ...event }) },
      recover: () => Promise.all([this.#renewIntents(), this.bumps.deliver()])
    })
    this.intents = store.intents
    this.bumps = new Bumps(this.store, keyspace, log, longestPass)
    store.onTakeover?.((isAffected) => {
      this.bumps.repeat(isAffected)
      void this.#renewIntents()
    })
    store.onSetBack?.(() => { this.bumps.distrustAll() })
    this.invalidation = new Invalidation(this)
    this.settle = settle
  }

  /** Holds may have been lost with a server, or have expired while it did not answer. */
  async #renewIntents (): Promise<void> {
    await Promise.all([...this.renewals].map((renew) => renew()))
  }

  /** Waits for background work, up to a limit, and delivers pending bumps. Then no call reaches the store any more. */
  async close (): Promise<void> {
    this.invalidation.close()
    await Promise.race([this.background.settled(), setTimeout(CLOSE_TIMEOUT, undefined, { ref: false })])
    await this.bumps.close()
    this.store.close()
  }
}
