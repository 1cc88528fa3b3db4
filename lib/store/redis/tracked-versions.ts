import type { ServerClient } from './client.js'
import { LRUCache } from 'lru-cache'
import { isPromise, isSettling, type CacheStore, type CurrentVersions, type MaybePromise } from '../contract.js'
import type { KnownVersions } from '../local-tier.js'
import { isReply } from './errors.js'
import type { Rights } from './rights.js'
import { asInfo, asInteger, expectOk, expectPong } from './replies.js'
import { runIdOf, type ServerRun } from './server-run.js'

const MAX_VERSIONS = 100_000
/** On which Redis notifies of changes. */
const CHANNEL = '__redis__:invalidate'
const NOT_TRACKED = "with consistency: 'tracked' each HIT reads versions from Redis, as with 'strict'"
/** Milliseconds between two pings on the tracking connection. */
const PING_INTERVAL = 250
/** Milliseconds without a reply to a ping after which the kept versions are not used. */
const MAX_SILENCE = 1_000

/** The server that the store reads versions from. */
export interface TrackedServer {
  readonly client: ServerClient
  /** The server's run, if it was confirmed lately. */
  run(): ServerRun | undefined
}

/**
 * Keeps versions in this process. Redis notifies it when one changes, expires, is evicted or flushed:
 * server-assisted client-side caching in broadcasting mode (CLIENT TRACKING … BCAST). Notifications
 * are redirected to the same connection that turned tracking on, so they cannot stop unnoticed while
 * it lives. While that connection is not known to be alive, or it ends at another server than the
 * store's (behind an address that has moved), versions are read from the store.
 */
export class TrackedVersions implements KnownVersions {
  readonly #store: Pick<CacheStore, 'versions'>
  readonly #server: TrackedServer
  readonly #connection: ServerClient
  readonly #keyPrefix: string
  readonly #rights: Rights | undefined
  readonly #prefix: string
  readonly #known = new LRUCache<string, string>({ max: MAX_VERSIONS })
  /** Reads in progress by version. If the version changes during a read, the result is not kept. */
  readonly #reading = new Map<string, Set<object>>()
  readonly #pings: NodeJS.Timeout
  #aliveAt = -Infinity
  #tracking = false
  /** The `run_id` of the server that notifies. */
  #notifying: string | undefined
  /** The run in which the kept versions were read. */
  #run: ServerRun | undefined

  /**
   * @param store the store to read unknown versions from
   * @param server where the store reads them; its client is duplicated, and not changed
   * @param prefix the beginning of every version's key, without the client's keyPrefix
   * @param rights told what the Redis user may not do
   */
  constructor (store: Pick<CacheStore, 'versions'>, server: TrackedServer, prefix: string, rights?: Rights) {
    const { client } = server
    this.#store = store
    this.#server = server
    this.#rights = rights
    this.#keyPrefix = client.options.keyPrefix ?? ''
    this.#prefix = this.#keyPrefix + prefix
    this.#connection = client.duplicate({
      protocol: 2,
      replyMapping: 'legacy',
      autoResubscribe: false,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      keyPrefix: '',
      lazyConnect: true
    })
    this.#connection.on('error', () => { this.#stopTracking() })
    this.#connection.on('close', () => { this.#stopTracking() })
    this.#connection.on('ready', () => { void this.#track() })
    // `message` would join the names of several keys with commas.
    this.#connection.on('messageBuffer', (_channel: Buffer, keys: unknown) => { this.#changed(keys) })
    this.#connection.connect().catch(() => { this.#stopTracking() })
    this.#pings = setInterval(() => { this.#ping() }, PING_INTERVAL).unref()
  }

  versions (versions: readonly string[]): MaybePromise<CurrentVersions> {
    if (!this.#isAlive()) return this.#store.versions(versions)
    const known: Array<string | undefined> = []
    for (const version of versions) {
      const current = this.#known.get(version)
      if (current === undefined) return this.#read(versions)
      known.push(current)
    }
    return known
  }

  forget (versions: readonly string[]): void {
    for (const version of versions) this.#forget(version)
  }

  close (): void {
    clearInterval(this.#pings)
    this.#stopTracking()
    this.#connection.disconnect()
  }

  /** Whether the kept versions are those of the store. */
  #isAlive (): boolean {
    const run = this.#server.run()
    if (run?.server === undefined || run.server !== this.#notifying) return false
    if (run !== this.#run) {
      this.#forgetAll()
      this.#run = run
    }
    return this.#tracking && performance.now() - this.#aliveAt < MAX_SILENCE
  }

  #read (versions: readonly string[]): MaybePromise<CurrentVersions> {
    const read = {}
    for (const version of versions) {
      const reads = this.#reading.get(version)
      if (reads === undefined) this.#reading.set(version, new Set([read]))
      else reads.add(read)
    }
    const keep = (current: CurrentVersions): CurrentVersions => {
      versions.forEach((version, index) => {
        const token = current[index]
        if (!this.#endRead(version, read) || token === undefined || !this.#tracking) return
        if (this.#server.run() !== this.#run) return
        // Redis may be late with the news that a key has expired, and a window ends in time.
        if (!isSettling(token)) this.#known.set(version, token)
      })
      return current
    }
    const current = this.#store.versions(versions)
    if (!isPromise(current)) return keep(current)
    return current.then(keep, (error: unknown) => {
      for (const version of versions) this.#endRead(version, read)
      throw error
    })
  }

  /** Ends a read; returns whether the version has not changed during it. */
  #endRead (version: string, read: object): boolean {
    const reads = this.#reading.get(version)
    if (reads?.delete(read) !== true) return false
    if (reads.size === 0) this.#reading.delete(version)
    return true
  }

  #forget (version: string): void {
    this.#known.delete(version)
    this.#reading.delete(version)
  }

  #forgetAll (): void {
    this.#known.clear()
    this.#reading.clear()
  }

  #stopTracking (): void {
    this.#tracking = false
    this.#forgetAll()
  }

  /** Never rejects. */
  async #track (): Promise<void> {
    this.#stopTracking()
    let command = 'client|id'
    try {
      const connection = this.#connection
      this.#notifying = await this.#runId()
      const id = await connection.client('ID')
      command = 'client|tracking'
      const tracking = ['TRACKING', 'ON', 'REDIRECT', String(id), 'BCAST', 'PREFIX', this.#prefix]
      expectOk('CLIENT TRACKING', await connection.call('CLIENT', ...tracking))
      command = 'subscribe'
      asInteger('SUBSCRIBE', await connection.subscribe(CHANNEL))
      this.#aliveAt = performance.now()
      this.#tracking = true
    } catch (error) {
      // An older server, a proxy or an ACL does not allow tracking. Versions are then read from the store.
      this.#stopTracking()
      this.#rights?.report([{ command, channel: CHANNEL, error, without: NOT_TRACKED }])
    }
  }

  /** Asked for before the connection subscribes. Without it versions are read from the store. */
  async #runId (): Promise<string | undefined> {
    try {
      return runIdOf(asInfo(await this.#connection.info('server')))
    } catch (error) {
      if (isReply(error)) return undefined
      throw error
    }
  }

  #ping (): void {
    if (this.#connection.status !== 'ready' || !this.#tracking) return
    const run = this.#server.run()
    // The same address, or Sentinel, leads to where the store is by now.
    if (run !== undefined && run.server !== this.#notifying) return this.#connection.disconnect(true)
    // Replies and notifications arrive in order, so all changes from before the ping are known at the reply.
    const sentAt = performance.now()
    this.#connection.ping().then(expectPong).then(() => { this.#aliveAt = sentAt }, () => { this.#stopTracking() })
  }

  /** @param keys the keys of versions that changed; null if all did */
  #changed (keys: unknown): void {
    if (!Array.isArray(keys)) return this.#forgetAll()
    for (const key of keys) this.#forget(String(key).slice(this.#keyPrefix.length))
  }
}
