import { once } from 'node:events'
import { sizeOfBody, type Entry } from '../../entry/entry.js'
import { UnsafeRedisError } from '../../errors.js'
import { DEFAULT_PREFIX } from '../../key/keyspace.js'
import type { MissingRights } from '../../observe/log.js'
import { DEFAULT_SWEEP_SHARE } from '../budget.js'
import type { CacheStore, CurrentVersions, IsCurrent, Lookup, SweepHints, TakeoverListener } from '../contract.js'
import { Deadlines } from '../deadlines.js'
import type { ClusterClient, RedisClient, ServerClient } from './client.js'
import { ClusterServers } from './cluster.js'
import { isReply } from './errors.js'
import { FreezeWatch } from './freeze.js'
import { RedisIntents } from './intents.js'
import { RedisLeases } from './leases.js'
import { NodeRedisClient } from './node-redis.js'
import type { EntryReads } from './reads.js'
import { Rights } from './rights.js'
import { SingleServer } from './single-server.js'
import { RedisSoftWrites } from './soft.js'
import { Sweeps } from './sweep.js'
import type { Topology } from './topology.js'
import { Versions } from './versions.js'
import type { EntryWrites, Watch } from './writes.js'

/** Unanswered pings after which the plugin reconnects its own connection. */
const MAX_UNANSWERED = 3

export interface RedisStoreSettings {
  /** The first part of every key; default `DEFAULT_PREFIX`. */
  readonly prefix?: string | undefined
  /** The share of Redis's time that sweeps may take; default `DEFAULT_SWEEP_SHARE`. */
  readonly sweepShare?: number | undefined
  /** Longest time in milliseconds for one reply while keys are listed; default 10,000. */
  readonly listTimeout?: number | undefined
  /** Called for commands that the Redis user may not use; default: they are not tried. */
  readonly report?: (missing: MissingRights) => void
}

/** Keeps entries and versions in Redis, standalone or Cluster, for all processes. */
export class RedisStore implements CacheStore {
  readonly name = 'redis'
  readonly intents: RedisIntents
  readonly leases: RedisLeases
  readonly rights: Rights
  readonly soft: RedisSoftWrites
  readonly #owned: boolean
  readonly #topology: Topology
  readonly #versions: Versions
  readonly #reads: EntryReads
  readonly #writes: EntryWrites
  readonly #sweeps: Sweeps
  readonly #freezes = new FreezeWatch()
  #ping: Promise<unknown> | undefined
  #reconnected: Promise<unknown> | undefined
  #unanswered = 0

  /**
   * @param owned whether the plugin opened the connection, so that it closes it
   * @throws UnsafeRedisError if the client reads from replicas, which lag behind an invalidation
   */
  constructor (client: RedisClient, owned: boolean, settings: RedisStoreSettings = {}) {
    const { prefix = DEFAULT_PREFIX, sweepShare = DEFAULT_SWEEP_SHARE, listTimeout, report } = settings
    this.#owned = owned
    this.#topology = topologyOf(client)
    this.#versions = new Versions(this.#topology, this.#watch)
    this.#reads = this.#topology.reads((names, values) => this.#versions.interpret(names, values))
    this.#writes = this.#topology.writes(this.#watch)
    this.#sweeps = new Sweeps(this.#topology, sweepShare, listTimeout)
    this.intents = new RedisIntents(this.#topology, this.#watch)
    this.rights = new Rights(this.#topology, prefix, report ?? (() => {}))
    this.leases = new RedisLeases(this.#topology, prefix, this.rights)
    this.soft = new RedisSoftWrites(this.#topology, this.#versions, this.#reads, this.#watch)
    if (report !== undefined) this.rights.check()
  }

  /** The single server, for tracking; undefined for a Cluster, and for node-redis, which cannot do it. */
  get singleServer (): SingleServer | undefined {
    const topology = this.#topology
    return topology instanceof SingleServer && !(topology.client instanceof NodeRedisClient) ? topology : undefined
  }

  /** Waits until the client is connected and the server's run is known, for at most `milliseconds`. */
  async opened (milliseconds: number): Promise<void> {
    const { client } = this.#topology
    if (client.status === 'wait') client.connect().catch(() => {})
    const signal = AbortSignal.timeout(milliseconds)
    if (client.status !== 'ready') await once(client, 'ready', { signal })
    await new Deadlines(milliseconds).within(this.#topology.open())
  }

  ready (): boolean {
    return this.#topology.client.status === 'ready' && this.#topology.isReady()
  }

  /** Redis closes connections of clients that were idle for long, or frozen. */
  reconnecting (): Promise<unknown> | undefined {
    const { client } = this.#topology
    if (this.#isConnected() || !this.#freezes.hasThawed()) return undefined
    this.#reconnected ??= whenReady(client)
      .then(() => this.#topology.open())
      .finally(() => { this.#reconnected = undefined })
    return this.#reconnected
  }

  async ping (): Promise<void> {
    const { client } = this.#topology
    if (client.status !== 'ready') throw new Error(`the connection to Redis is in status '${client.status}'`)
    if (this.#owned && ++this.#unanswered > MAX_UNANSWERED) {
      // The server may hang, or the connection may be half-open; only a new connection helps then.
      this.#unanswered = 0
      client.disconnect(true)
      throw new Error('Redis does not answer on this connection')
    }
    // One at a time, because a client with an offline queue would queue all of them.
    this.#ping ??= this.#topology.ping().finally(() => { this.#ping = undefined })
    await this.#ping
    this.#unanswered = 0
  }

  transferred (): number {
    return this.#topology.transferred?.() ?? 0
  }

  onTakeover (listener: TakeoverListener): void {
    this.#topology.onTakeover(listener)
  }

  onSetBack (listener: () => void): void {
    this.#topology.onSetBack(listener)
  }

  lookup (key: string, names: readonly string[]): Promise<Lookup> {
    return this.#reads.lookup(key, names)
  }

  versions (names: readonly string[]): Promise<CurrentVersions> {
    return this.#reads.versions(names)
  }

  async ensure (names: readonly string[], fresh: string): Promise<string[]> {
    return await this.#versions.ensure(names, await this.#reads.versions(names), fresh)
  }

  bump (names: readonly string[], fresh: string, settle = 0): Promise<void> {
    return this.#versions.bump(names, fresh, settle)
  }

  set (key: string, entry: Entry): Promise<unknown> {
    this.#reads.expect(key, sizeOfBody(entry))
    const stored = this.#writes.set(key, entry)
    const kept = this.#versions.keep(entry.versions)
    return kept === undefined ? stored : Promise.all([stored, kept])
  }

  keys (prefix: string): AsyncIterable<string> {
    return this.#sweeps.keys(prefix)
  }

  sweep (prefix: string, isCurrent: IsCurrent, hints: SweepHints = {}): Promise<number> {
    return this.#sweeps.sweep(prefix, isCurrent, hints)
  }

  close (): void {
    this.#sweeps.stop()
    this.#freezes.close()
    this.rights.stop()
    this.#topology.close()
    this.leases.close()
    if (this.#owned) this.#topology.client.disconnect()
  }

  /** Before the client notices that its connection was closed, its status is still 'ready'. */
  #isConnected (): boolean {
    const { client } = this.#topology
    return client.status === 'ready' && (client as ServerClient).stream?.writable !== false
  }

  /** If a replica refuses a write, the server is no longer the master that it was. */
  readonly #watch: Watch = (key, write) => write.catch((error: unknown) => {
    if (isReply(error, 'READONLY')) this.#topology.forget(key)
    throw error
  })
}

/** Waits until a client is connected again. It may report errors before: of attempts, or of late writes. */
function whenReady (client: RedisClient): Promise<void> {
  return new Promise((resolve) => { client.once('ready', resolve) })
}

function topologyOf (client: RedisClient): Topology {
  if (!client.isCluster) return new SingleServer(client as ServerClient)
  const cluster = client as ClusterClient
  if (cluster.options.scaleReads !== 'master') {
    throw new UnsafeRedisError("a Cluster client with scaleReads other than 'master' reads from replicas, which may " +
      "lag behind an invalidation; give the plugin its own client with scaleReads: 'master'")
  }
  return new ClusterServers(cluster)
}
