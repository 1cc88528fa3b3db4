import calculateSlot from 'cluster-key-slot'
import type { ClusterClient, ServerClient, Subscriber } from './client.js'
import type { TakeoverListener } from '../contract.js'
import { ByteWindows } from './byte-window.js'
import { ReadsByKey, type EntryReads, type Interpret } from './reads.js'
import { asInteger } from './replies.js'
import { Connection, type ServerRun } from './run-id.js'
import type { Topology } from './topology.js'
import { WritesByKey, type EntryWrites, type Watch } from './writes.js'

/** The masters of a Cluster. The server of a key is the one that has its slot when the reply arrives. */
export class ClusterServers implements Topology {
  readonly client: ClusterClient
  readonly keyPrefix: string
  readonly user: string
  readonly #connections = new Map<ServerClient, Connection>()
  readonly #byName = new Map<string, Connection>()
  /** The last key that was read at each master, so that a ping reaches all masters in use. */
  readonly #lastRead = new Map<string, string>()
  /** The runs that have served as masters since the Cluster last said so. */
  readonly #met = new WeakSet<ServerRun>()
  #tell: TakeoverListener | undefined
  readonly #refreshed = (): void => { this.#meetMasters() }
  readonly #added = (redis: ServerClient): void => { this.#add(redis) }
  readonly #removed = (redis: ServerClient): void => { this.#remove(redis) }

  constructor (client: ClusterClient) {
    this.client = client
    this.keyPrefix = client.options.keyPrefix ?? ''
    this.user = client.options.redisOptions?.username ?? 'default'
    client.on('+node', this.#added).on('-node', this.#removed).on('refresh', this.#refreshed)
    for (const redis of client.nodes()) this.#add(redis)
  }

  /** The run id of each server is learned when a key of it is first used. */
  isReady (): boolean {
    return true
  }

  async open (): Promise<void> {
    await Promise.all([...this.#connections.values()].map((connection) => connection.learn()))
  }

  /** With EXISTS, because a PING goes to any node. */
  async ping (): Promise<void> {
    const keys = [...this.#lastRead.values()]
    await Promise.all(keys.map(async (key) => asInteger('EXISTS', await this.client.exists(key))))
  }

  masters (): readonly ServerClient[] {
    return this.client.nodes('master')
  }

  runsOf (keys: readonly string[]): ServerRun[] | Promise<ServerRun[]> {
    const runs: ServerRun[] = []
    for (const key of keys) {
      const connection = this.#connection(key)
      const run = connection?.run
      if (run === undefined) return Promise.all(keys.map((key) => this.#learn(key)))
      if (!this.#met.has(run)) this.#meet(connection!, run)
      this.#lastRead.set(run.mark, key)
      runs.push(run)
    }
    return runs
  }

  together (keys: readonly string[]): ReadonlyArray<readonly string[]> {
    const bySlot = new Map<number, string[]>()
    for (const key of keys) {
      const slot = calculateSlot(this.keyPrefix + key)
      const others = bySlot.get(slot)
      if (others === undefined) bySlot.set(slot, [key])
      else others.push(key)
    }
    return [...bySlot.values()]
  }

  forget (key: string): void {
    this.#connection(key)?.forget()
  }

  onTakeover (listener: TakeoverListener): void {
    this.#tell = listener
  }

  reads (interpret: Interpret): EntryReads {
    return new ReadsByKey(this.client, interpret, this.#windows())
  }

  writes (watch: Watch): EntryWrites {
    return new WritesByKey(this.client, watch, this.#windows())
  }

  subscriber (): Subscriber {
    return this.client.duplicate()
  }

  close (): void {
    this.client.off('+node', this.#added).off('-node', this.#removed).off('refresh', this.#refreshed)
    for (const redis of [...this.#connections.keys()]) this.#remove(redis)
  }

  async #learn (key: string): Promise<ServerRun> {
    const connection = this.#connection(key)
    if (connection === undefined) throw new Error('no node of the Cluster is known to have this key')
    const run = await connection.learn()
    if (!this.#met.has(run)) this.#meet(connection, run)
    return run
  }

  /** A replica that is promoted keeps its run, but has not got all that its master confirmed. */
  #meet (connection: Connection, run: ServerRun): void {
    this.#met.add(run)
    this.#tell?.((name) => this.#connection(name) === connection)
  }

  /** Also while no request of this process needs them: others may read what this one has moved. */
  #meetMasters (): void {
    const masters = new Set(this.masters())
    for (const [redis, connection] of this.#connections) {
      if (!masters.has(redis)) {
        if (connection.run !== undefined) this.#met.delete(connection.run)
        continue
      }
      connection.learn().then((run) => { if (!this.#met.has(run)) this.#meet(connection, run) }, () => {})
    }
  }

  #windows (): ByteWindows {
    return new ByteWindows((key) => this.#nameOfServer(key))
  }

  #nameOfServer (key: string): string | undefined {
    return this.client.slots[calculateSlot(this.keyPrefix + key)]?.[0]
  }

  #connection (key: string): Connection | undefined {
    const name = this.#nameOfServer(key)
    return name === undefined ? undefined : this.#byName.get(name)
  }

  #add (redis: ServerClient): void {
    if (this.#connections.has(redis)) return
    const connection = new Connection(redis, false)
    this.#connections.set(redis, connection)
    this.#byName.set(nameOf(redis), connection)
  }

  #remove (redis: ServerClient): void {
    const connection = this.#connections.get(redis)
    if (connection === undefined) return
    connection.stop()
    this.#connections.delete(redis)
    // Another connection to the same address may have replaced it already.
    if (this.#byName.get(nameOf(redis)) === connection) this.#byName.delete(nameOf(redis))
  }
}

const nameOf = (redis: ServerClient): string => `${redis.options.host}:${redis.options.port}`
