import type { Cluster, Redis } from 'ioredis'
import { UnsafeRedisError } from '../errors.js'
import { ONE_YEAR_IN_SECONDS } from '../durations.js'
import type { Entry } from './entry.js'
import { decodeEntry, decodeVersions, encodeEntry, headEnd } from './frame.js'
import type { CacheStore, Lookup } from './store.js'
import { Turn } from './turn.js'

export type RedisClient = Redis | Cluster

/** No entry outlives a year, so neither needs a version: what nobody reads again goes by itself. */
const VERSION_SECONDS = ONE_YEAR_IN_SECONDS
/** Longer values under a version's key are not ours. */
const MAX_VERSION_BYTES = 64
const SCAN_COUNT = 1000
/** Of a frame's beginning, what is read first to learn its versions: nearly always all of them. */
const BEGINNING_BYTES = 512
const RELEASE = 'if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) end return 0'

/** Keeps entries and versions in Redis, standalone or Cluster, for every process. */
export class RedisStore implements CacheStore {
  readonly name = 'redis'
  readonly #client: RedisClient
  readonly #keyPrefix: string
  readonly #owned: boolean
  readonly #turn: Turn
  #stopWatching: () => void = () => {}

  /**
   * @param owned the plugin opened the connection, and closes it
   * @throws UnsafeRedisError when the client reads from replicas, which lag behind an invalidation
   */
  constructor (client: RedisClient, owned: boolean) {
    if (client.isCluster && (client as Cluster).options.scaleReads !== 'master') {
      throw new UnsafeRedisError("a Cluster client with scaleReads other than 'master' reads from replicas that do not know of an invalidation yet; give the plugin a client of its own")
    }
    this.#client = client
    this.#keyPrefix = client.options.keyPrefix ?? ''
    this.#owned = owned
    // `stream` is ioredis's own business: where it is not what it is today, commands leave one by one.
    this.#turn = new Turn(() => this.#clients().map((server) => server.stream))
  }

  ready (): boolean {
    return this.#client.status === 'ready'
  }

  ping (): Promise<unknown> {
    return this.#client.ping()
  }

  lookup (key: string, versions: readonly string[]): Promise<Lookup> {
    return this.#getBuffers([key, ...versions]).then((found) => {
      const frame = found[0]
      const current: Array<string | undefined> = []
      for (let index = 1; index < found.length; index++) current.push(asVersion(found[index]))
      return { entry: frame != null ? decodeEntry(key, frame) : undefined, versions: current }
    })
  }

  current (versions: readonly string[]): Promise<Array<string | undefined>> {
    return this.#getBuffers(versions).then((found) => found.map(asVersion))
  }

  async claim (versions: readonly string[], fresh: string): Promise<string[]> {
    // Only a read after all writes tells what everybody sees.
    const writes = versions.map((version) => this.#client.set(version, fresh, 'EX', VERSION_SECONDS, 'NX'))
    const reads = this.#getBuffers(versions)
    await Promise.all(writes)
    const current = (await reads).map(asVersion)
    const damaged = versions.filter((_version, index) => current[index] === undefined)
    if (damaged.length > 0) await this.move(damaged, fresh)
    return current.map((version) => version ?? fresh)
  }

  async move (versions: readonly string[], fresh: string): Promise<void> {
    const outcomes = await Promise.allSettled(versions.map((version) => this.#client.set(version, fresh, 'EX', VERSION_SECONDS)))
    const refused = versions.filter((_version, index) => outcomes[index]!.status === 'rejected')
    // A Redis that is full still deletes, and a lost version is as good as a new one.
    await Promise.all(refused.map((version) => this.#client.del(version)))
  }

  async set (key: string, entry: Entry, seconds: number): Promise<void> {
    await this.#client.set(key, encodeEntry(key, entry), 'EX', seconds)
  }

  async * keys (prefix: string): AsyncIterable<string> {
    for await (const keys of this.#scan(prefix)) yield * keys
  }

  async sweep (prefix: string, isCurrent: (versions: Readonly<Record<string, string>>) => boolean): Promise<number> {
    let swept = 0
    for await (const keys of this.#scan(prefix)) {
      const versions = await Promise.all(keys.map((key) => this.#versionsOf(key)))
      const unreachable = keys.filter((_key, index) => {
        const filledUnder = versions[index]
        return filledUnder === undefined || !isCurrent(filledUnder)
      })
      const counts = await Promise.all(unreachable.map((key) => this.#client.unlink(key)))
      for (const count of counts) swept += count
    }
    return swept
  }

  async lease (key: string, holder: string, milliseconds: number): Promise<boolean> {
    return await this.#client.set(key, holder, 'PX', milliseconds, 'NX') === 'OK'
  }

  async release (key: string, holder: string): Promise<void> {
    await this.#client.eval(RELEASE, 1, key, holder)
  }

  watch (suspect: () => void): void {
    // A connection that comes back may be to a server that knows less than the one before.
    this.#client.on('ready', suspect)
    this.#stopWatching = () => this.#client.off('ready', suspect)
  }

  close (): void {
    this.#stopWatching()
    if (this.#owned) this.#client.disconnect()
  }

  /** One command on a single server; on a Cluster one for each key, leaving together. */
  #getBuffers (keys: readonly string[]): Promise<Array<Buffer | null>> {
    this.#turn.join()
    if (!this.#client.isCluster) return (this.#client as Redis).mgetBuffer(keys as string[])
    return Promise.all(keys.map((key) => this.#client.getBuffer(key)))
  }

  /** The connections to every server that holds a part of the keys. */
  #clients (): Redis[] {
    return this.#client.isCluster ? (this.#client as Cluster).nodes('master') : [this.#client as Redis]
  }

  /** The versions an entry was filled under; an empty object for an entry that is gone or not ours to keep. */
  async #versionsOf (key: string): Promise<Record<string, string> | undefined> {
    try {
      const beginning = await this.#client.getrangeBuffer(key, 0, BEGINNING_BYTES - 1)
      const end = headEnd(beginning)
      return decodeVersions(end <= beginning.length ? beginning : await this.#client.getrangeBuffer(key, 0, end - 1))
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('WRONGTYPE')) return undefined
      throw error
    }
  }

  /** SCAN visits one server and knows nothing of the client's keyPrefix: both are seen to here. */
  async * #scan (prefix: string): AsyncIterable<string[]> {
    const match = `${escapeGlob(this.#keyPrefix + prefix)}*`
    for (const master of this.#clients()) {
      let cursor = '0'
      do {
        const [next, keys] = await master.scan(cursor, 'MATCH', match, 'COUNT', SCAN_COUNT)
        cursor = next
        if (keys.length > 0) yield keys.map((key) => key.slice(this.#keyPrefix.length))
      } while (cursor !== '0')
    }
  }
}

function asVersion (value: Buffer | null | undefined): string | undefined {
  return value != null && value.length > 0 && value.length <= MAX_VERSION_BYTES ? value.toString('latin1') : undefined
}

function escapeGlob (text: string): string {
  return text.replace(/[\\*?[\]]/g, '\\$&')
}
