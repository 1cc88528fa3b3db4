import type { Redis } from 'ioredis'
import { LRUCache } from 'lru-cache'
import { asInteger, expectOk, expectPong } from './replies.js'
import { isPromise, type CacheStore, type MaybePromise } from '../contract.js'
import type { KnownVersions } from '../local-tier.js'

const MAX_VERSIONS = 100_000
/** Milliseconds between two signs of life that the tracking connection is asked for. */
const HEARTBEAT = 250
/** Milliseconds without a sign of life after which nothing is trusted. */
const SILENCE = 1_000

type Current = ReadonlyArray<string | undefined>

/**
 * Keeps versions, and lets Redis tell when one changes, expires, is evicted or flushed: server-
 * assisted client-side caching in broadcasting mode (CLIENT TRACKING … BCAST), the notices
 * redirected to the very connection that asked for them, so that they end with it and never
 * silently. While that connection is not known to be alive, the store is asked.
 */
export class TrackedVersions implements KnownVersions {
  readonly #store: Pick<CacheStore, 'current'>
  readonly #ear: Redis
  readonly #keyPrefix: string
  readonly #prefix: string
  readonly #known = new LRUCache<string, string>({ max: MAX_VERSIONS })
  /** Reads under way by version: one during which the version changed is not kept. */
  readonly #reading = new Map<string, Set<object>>()
  readonly #heartbeat: NodeJS.Timeout
  #heardAt = -Infinity
  #tracking = false

  /**
   * @param store is asked for versions that are not known
   * @param client the connection to copy; it stays untouched
   * @param prefix the beginning of every version's key, without the client's keyPrefix
   */
  constructor (store: Pick<CacheStore, 'current'>, client: Redis, prefix: string) {
    this.#store = store
    this.#keyPrefix = client.options.keyPrefix ?? ''
    this.#prefix = this.#keyPrefix + prefix
    this.#ear = client.duplicate({
      protocol: 2,
      replyMapping: 'legacy',
      autoResubscribe: false,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      keyPrefix: '',
      lazyConnect: true
    })
    this.#ear.on('error', () => { this.#distrust() })
    this.#ear.on('close', () => { this.#distrust() })
    this.#ear.on('ready', () => { this.#track() })
    // `message` would join the names of several keys with commas.
    this.#ear.on('messageBuffer', (_channel: Buffer, keys: unknown) => { this.#changed(keys) })
    this.#ear.connect().catch(() => { this.#distrust() })
    this.#heartbeat = setInterval(() => { this.#listen() }, HEARTBEAT).unref()
  }

  current (versions: readonly string[]): MaybePromise<Current> {
    if (!this.#isAlive()) return this.#store.current(versions)
    const known: Array<string | undefined> = []
    for (const version of versions) {
      const current = this.#known.get(version)
      if (current === undefined) return this.#read(versions)
      known.push(current)
    }
    return known
  }

  moved (versions: readonly string[]): void {
    for (const version of versions) this.#forget(version)
  }

  close (): void {
    clearInterval(this.#heartbeat)
    this.#distrust()
    this.#ear.disconnect()
  }

  #isAlive (): boolean {
    return this.#tracking && performance.now() - this.#heardAt < SILENCE
  }

  #read (versions: readonly string[]): MaybePromise<Current> {
    const read = {}
    for (const version of versions) {
      const reads = this.#reading.get(version)
      if (reads === undefined) this.#reading.set(version, new Set([read]))
      else reads.add(read)
    }
    const keep = (current: Current): Current => {
      versions.forEach((version, index) => {
        const token = current[index]
        if (this.#ended(version, read) && token !== undefined && this.#tracking) this.#known.set(version, token)
      })
      return current
    }
    const current = this.#store.current(versions)
    if (!isPromise(current)) return keep(current)
    return current.then(keep, (error: unknown) => {
      for (const version of versions) this.#ended(version, read)
      throw error
    })
  }

  /** Ends a read; whether the version stood still meanwhile. */
  #ended (version: string, read: object): boolean {
    const reads = this.#reading.get(version)
    if (reads?.delete(read) !== true) return false
    if (reads.size === 0) this.#reading.delete(version)
    return true
  }

  #forget (version: string): void {
    this.#known.delete(version)
    this.#reading.delete(version)
  }

  #distrust (): void {
    this.#tracking = false
    this.#known.clear()
    this.#reading.clear()
  }

  async #track (): Promise<void> {
    this.#distrust()
    try {
      const id = await this.#ear.client('ID')
      const tracking = this.#ear.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id, 'BCAST', 'PREFIX', this.#prefix)
      expectOk('CLIENT TRACKING', await tracking)
      asInteger('SUBSCRIBE', await this.#ear.subscribe('__redis__:invalidate'))
      this.#heardAt = performance.now()
      this.#tracking = true
    } catch {
      // An older server, a proxy, an ACL: versions are asked for each time, as without tracking.
      this.#distrust()
    }
  }

  #listen (): void {
    if (this.#ear.status !== 'ready' || !this.#tracking) return
    // What it tells is known from when the question was asked, as answers and notices come in order.
    const askedAt = performance.now()
    this.#ear.ping().then(expectPong).then(() => { this.#heardAt = askedAt }, () => { this.#distrust() })
  }

  /** @param keys of versions that changed; null when all did */
  #changed (keys: unknown): void {
    if (!Array.isArray(keys)) {
      this.#known.clear()
      this.#reading.clear()
      return
    }
    for (const key of keys) this.#forget(String(key).slice(this.#keyPrefix.length))
  }
}
