import { once } from 'node:events'
import type { Cluster, Redis } from 'ioredis'
import { UnsafeRedisError } from '../../errors.js'
import { ONE_YEAR_IN_SECONDS } from '../../policy/durations.js'
import { Deadlines } from '../deadlines.js'
import type { Entry } from '../../entry/entry.js'
import { ReadsOfCluster, ReadsOfServer, type Latest, type Reads } from './reads.js'
import { isReply } from './errors.js'
import { asFlag, asInteger, asListedText, asMarkedText, asValue, expectInteger, expectOk, expectPong } from './replies.js'
import { CLAIM, HELD, HOLD, LEASE, LET_GO, MAX_VERSION_BYTES, MOVE, RELEASE } from './scripts.js'
import { adopt, believes, RunsOfCluster, runOfServer, type ServerRun, type ServerRuns } from './run-id.js'
import { CLOSED, isPromise, type CacheStore, type Lookup } from '../contract.js'
import { Sweeps } from './sweep.js'
import { WritesOfCluster, WritesOfServer, type Watch, type Writes } from './writes.js'

export type RedisClient = Redis | Cluster

/** No entry outlives a year, so neither needs a version: what nobody reads again goes by itself. */
const VERSION_SECONDS = ONE_YEAR_IN_SECONDS
/** Where it is told that a lease has been given back. */
const NEWS_CHANNEL = 'fastify-api-cache:leases'
/** Pings without an answer after which a connection of the plugin's own is opened anew. */
const MAX_UNANSWERED = 3

/** Keeps entries and versions in Redis, standalone or Cluster, for every process. */
export class RedisStore implements CacheStore {
  readonly name = 'redis'
  readonly #client: RedisClient
  readonly #keyPrefix: string
  readonly #owned: boolean
  readonly #runs: ServerRuns
  readonly #reads: Reads
  readonly #writes: Writes
  readonly #sweeps: Sweeps
  /** A connection that only listens, where somebody wants to be told. */
  #ear: RedisClient | undefined
  /** On a Cluster the last key asked for at each master, so that a ping reaches all that are in use. */
  readonly #asked = new Map<string, string>()
  #ping: Promise<unknown> | undefined
  #unanswered = 0

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
    this.#sweeps = new Sweeps(client)
    if (client.isCluster) {
      const cluster = client as Cluster
      this.#runs = new RunsOfCluster(cluster)
      this.#reads = new ReadsOfCluster(cluster, this.#latest)
      this.#writes = new WritesOfCluster(cluster, this.#writing)
    } else {
      const server = client as Redis
      this.#runs = runOfServer(server)
      this.#reads = new ReadsOfServer(server, this.#latest)
      this.#writes = new WritesOfServer(server, this.#writing)
    }
  }

  /** Waits until the connection is there and it is known to what, for `milliseconds` at the most. */
  async opened (milliseconds: number): Promise<void> {
    const client = this.#client
    if (client.status === 'wait') client.connect().catch(() => {})
    const signal = AbortSignal.timeout(milliseconds)
    if (client.status !== 'ready') await once(client, 'ready', { signal })
    await new Deadlines(milliseconds).within(this.#runs.open())
  }

  ready (): boolean {
    return this.#client.status === 'ready' && this.#runs.known
  }

  async ping (): Promise<void> {
    if (this.#client.status !== 'ready') throw new Error(`the connection to Redis is in status '${this.#client.status}'`)
    if (this.#owned && ++this.#unanswered > MAX_UNANSWERED) {
      // Nothing tells a hung server from a connection that only this end still has.
      this.#unanswered = 0
      this.#client.disconnect(true)
      throw new Error('Redis does not answer on this connection')
    }
    // One at a time: a client that keeps what it cannot send would keep every one.
    this.#ping ??= this.#reach().finally(() => { this.#ping = undefined })
    await this.#ping
    this.#unanswered = 0
  }

  lookup (key: string, versions: readonly string[]): Promise<Lookup> {
    return this.#reads.lookup(key, versions)
  }

  current (versions: readonly string[]): Promise<ReadonlyArray<string | undefined>> {
    return this.#reads.current(versions)
  }

  async claim (versions: readonly string[], fresh: string): Promise<string[]> {
    const known = await this.current(versions)
    if (known.every((version) => version !== undefined)) return known as string[]
    const writtenIn = await this.#runsOf(versions)
    const values = await Promise.all(versions.map((version, index) =>
      known[index] === undefined ? this.#claimOne(version, fresh, writtenIn[index]!) : null))
    const runs = await this.#runsOf(versions)
    const current = latest(versions, values, runs)
    return await Promise.all(versions.map(async (version, index) => {
      if (isHeld(values[index])) return CLOSED
      const there = known[index] ?? current[index]
      if (there !== undefined) return there
      // Damaged, of another run, or lost again at once: others may have filled under what was there,
      // and a write may have come since. Only what nobody has seen can replace it.
      const moved = await this.#moveOne(version, fresh, runs[index]!)
      adopt(runs[index]!, version)
      return moved ?? CLOSED
    }))
  }

  async move (versions: readonly string[], fresh: string): Promise<void> {
    const runs = await this.#runsOf(versions)
    await Promise.all(versions.map((version, index) => this.#moveOne(version, fresh, runs[index]!)))
  }

  async hold (versions: readonly string[], writer: string, milliseconds: number): Promise<void> {
    await Promise.all(versions.map((version) => this.#change(version, HOLD, writer, milliseconds)))
  }

  async letGo (versions: readonly string[], writer: string, fresh: string, moved: boolean): Promise<void> {
    const runs = await this.#runsOf(versions)
    await Promise.all(versions.map((version, index) =>
      this.#change(version, LET_GO, writer, fresh, runs[index]!.mark, VERSION_SECONDS, moved ? '1' : '0')))
  }

  set (key: string, entry: Entry, seconds: number): Promise<unknown> {
    return this.#writes.set(key, entry, seconds)
  }

  keys (prefix: string): AsyncIterable<string> {
    return this.#sweeps.keys(prefix)
  }

  sweep (prefix: string, isCurrent: (versions: Readonly<Record<string, string>>) => boolean): Promise<number> {
    return this.#sweeps.sweep(prefix, isCurrent)
  }

  async lease (key: string, holder: string, milliseconds: number): Promise<boolean> {
    return asFlag('EVAL', await this.#client.eval(LEASE, 1, key, holder, milliseconds))
  }

  async release (key: string, holder: string, news: string): Promise<void> {
    asInteger('EVAL', await this.#client.eval(RELEASE, 1, key, holder))
    asInteger('PUBLISH', await this.#client.publish(this.#keyPrefix + NEWS_CHANNEL, `${news} ${key}`))
  }

  listen (told: (key: string, news: string) => void): void {
    if (this.#ear !== undefined) return
    // Waits for its connection however long, and subscribes anew on each one.
    this.#ear = this.#client.isCluster
      ? (this.#client as Cluster).duplicate()
      : (this.#client as Redis).duplicate({ enableOfflineQueue: true, maxRetriesPerRequest: null, autoResubscribe: true })
    // Whoever is told nothing asks; what is wrong with Redis is told by the connection that it has.
    this.#ear.on('error', () => {})
    this.#ear.on('message', (_channel: string, message: string) => {
      const keyAt = message.indexOf(' ') + 1
      told(message.slice(keyAt), message.slice(0, keyAt - 1))
    })
    this.#ear.subscribe(this.#keyPrefix + NEWS_CHANNEL).catch(() => {})
  }

  close (): void {
    this.#sweeps.stop()
    this.#runs.stop()
    this.#ear?.disconnect()
    if (this.#owned) this.#client.disconnect()
  }

  /** Something that only a server which can serve again answers to. */
  async #reach (): Promise<void> {
    if (this.#client.isCluster) {
      // A PING would go to any node.
      const keys = [...this.#asked.values()]
      await Promise.all(keys.map(async (key) => asInteger('EXISTS', await this.#client.exists(key))))
    } else if (!this.#runs.known) {
      await this.#runs.open()
    } else {
      expectPong(await this.#client.ping())
    }
  }

  readonly #latest: Latest = (versions, values) => {
    const runs = this.#runsOf(versions)
    return isPromise(runs) ? runs.then((known) => latest(versions, values, known)) : latest(versions, values, runs)
  }

  /** The runs that answer for these keys: at once, but for the first question to a server. */
  #runsOf (keys: readonly string[]): ServerRun[] | Promise<ServerRun[]> {
    const runs: ServerRun[] = []
    for (const key of keys) {
      const run = this.#runs.of(key)
      if (run === undefined) return Promise.all(keys.map((key) => this.#runs.learn(key)))
      if (this.#client.isCluster) this.#asked.set(run.mark, key)
      runs.push(run)
    }
    return runs
  }

  /** What is under a version's key, once there is something. */
  async #claimOne (version: string, text: string, { mark }: ServerRun): Promise<Buffer | null> {
    try {
      const there = this.#client.eval(CLAIM, 1, version, text, mark, VERSION_SECONDS)
      return Buffer.from(asListedText('EVAL', await this.#writing(version, there)))
    } catch (error) {
      if (!isReply(error)) throw error
    }
    // To a user who may not run scripts.
    const made = await this.#writing(version, this.#client.set(version, text + mark, 'EX', VERSION_SECONDS, 'NX'))
    if (made !== null) expectOk('SET', made)
    return asValue('GET', await this.#client.getBuffer(version))
  }

  /** The new version; undefined where there is none yet: a strict write holds it, or it could only be deleted. */
  async #moveOne (version: string, text: string, { mark }: ServerRun): Promise<string | undefined> {
    try {
      const moved = this.#client.eval(MOVE, 1, version, text, mark, VERSION_SECONDS)
      return asMarkedText('EVAL', await this.#writing(version, moved), mark)
    } catch (error) {
      if (!isReply(error)) throw error
    }
    // To a user who may not run scripts, and to a Redis that is full: a lost version is as good as
    // a new one, and may be lost twice.
    asInteger('DEL', await this.#writing(version, this.#client.del(version)))
    return undefined
  }

  /** Runs a script that changes a version and replies 1. */
  async #change (version: string, script: string, ...args: Array<string | number>): Promise<void> {
    expectInteger('EVAL', await this.#writing(version, this.#client.eval(script, 1, version, ...args)), 1)
  }

  /** A write that a replica refuses: the server was a master when the connection began. */
  readonly #writing: Watch = (key, write) => {
    return write.catch((error: unknown) => {
      if (isReply(error, 'READONLY')) this.#runs.forget(key)
      throw error
    })
  }
}

/** The versions that can be relied on, as they were when they were moved. */
function latest (keys: readonly string[], values: ReadonlyArray<Buffer | null>, runs: readonly ServerRun[]): Array<string | undefined> {
  const versions: Array<string | undefined> = []
  for (let index = 0; index < values.length; index++) versions.push(reliable(keys[index]!, values[index], runs[index]!))
  return versions
}

function reliable (key: string, value: Buffer | null | undefined, run: ServerRun): string | undefined {
  if (value == null || value.length > MAX_VERSION_BYTES) return undefined
  const text = value.toString('latin1')
  const markAt = text.lastIndexOf('.')
  if (markAt <= 0 || text.startsWith(HELD) || !believes(run, key, text.slice(markAt))) return undefined
  // A text of its own: comparing with a slice of another is slow.
  return value.toString('latin1', 0, markAt)
}

const isHeld = (value: Buffer | null | undefined): boolean => value != null && /^~[^~]*~/.test(value.toString('latin1'))
