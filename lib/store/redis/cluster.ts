import calculateSlot from 'cluster-key-slot'
import { now } from '../../entry/clock.js'
import type { ClusterClient, ServerClient, Subscriber } from './client.js'
import type { TakeoverListener } from '../contract.js'
import { ByteWindows } from './byte-window.js'
import { ReadsByKey, type EntryReads, type Interpret } from './reads.js'
import { asInteger } from './replies.js'
import { RunWatch } from './run-watch.js'
import type { ServerRun } from './server-run.js'
import type { Topology } from './topology.js'
import { WritesByKey, type EntryWrites, type Watch } from './writes.js'

/** The masters of a Cluster. The server of a key is the one that has its slot when the reply arrives. */
export class ClusterServers implements Topology {
  readonly client: ClusterClient
  readonly keyPrefix: string
  readonly user: string
  readonly #watches = new Map<ServerClient, RunWatch>()
  readonly #byName = new Map<string, RunWatch>()
  /** The last key that was read at each master, so that a ping reaches all masters in use. */
  readonly #lastRead = new Map<RunWatch, string>()
  /** The runs of which the listener was told when they were first used, perhaps for one slot so far. */
  readonly #used = new WeakSet<ServerRun>()
  /** The runs of which it was told when all their slots were known. */
  readonly #complete = new WeakSet<ServerRun>()
  #tell: TakeoverListener | undefined
  #setBack: (() => void) | undefined
  #searching: Promise<unknown> | undefined
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

  /** The run of each server is learned when a key of it is first used. */
  isReady (): boolean {
    return true
  }

  async open (): Promise<void> {
    await Promise.all(this.masters().map((master) => this.#watches.get(master)?.confirmed()))
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
    const time = now()
    for (const key of keys) {
      const watch = this.#watch(key)
      const run = watch?.current(time)
      if (run === undefined) return Promise.all(keys.map((key) => this.#confirmed(key)))
      this.#meet(watch!, run, this.#used)
      this.#lastRead.set(watch!, key)
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
    this.#watch(key)?.forget()
  }

  onTakeover (listener: TakeoverListener): void {
    this.#tell = listener
  }

  onSetBack (listener: () => void): void {
    this.#setBack = listener
  }

  ahead (version: string): number {
    return this.#watch(version)?.ahead ?? 0
  }

  reads (interpret: Interpret): EntryReads {
    return new ReadsByKey(this.client, interpret, this.#windows(), this)
  }

  writes (watch: Watch): EntryWrites {
    return new WritesByKey(this.client, watch, this.#windows(), this)
  }

  subscriber (): Subscriber {
    return this.client.duplicate()
  }

  close (): void {
    this.client.off('+node', this.#added).off('-node', this.#removed).off('refresh', this.#refreshed)
    for (const redis of [...this.#watches.keys()]) this.#remove(redis)
  }

  async #confirmed (key: string): Promise<ServerRun> {
    const watch = this.#watch(key)
    if (watch === undefined) {
      this.#search(key)
      throw new Error('no node of the Cluster is known to have this key')
    }
    const run = await watch.confirmed()
    this.#meet(watch, run, this.#used)
    return run
  }

  #meet (watch: RunWatch, run: ServerRun, met: WeakSet<ServerRun>): void {
    if (met.has(run)) return
    met.add(run)
    this.#tell?.((name) => this.#watch(name) === watch)
  }

  /** Also while no request of this process needs them: others may read what this one has moved. */
  #meetMasters (): void {
    for (const master of this.masters()) {
      const watch = this.#watches.get(master)
      watch?.confirmed().then((run) => { this.#meet(watch, run, this.#complete) }, () => {})
    }
  }

  #windows (): ByteWindows {
    return new ByteWindows((key) => this.#nameOfServer(key))
  }

  #nameOfServer (key: string): string | undefined {
    return this.client.slots[calculateSlot(this.keyPrefix + key)]?.[0]
  }

  /** A server that has become a replica is still believed to have this key. */
  #leave (watch: RunWatch): void {
    const key = this.#lastRead.get(watch)
    if (key === undefined) return
    if (this.#watch(key) === watch) this.#search(key)
    else this.#lastRead.delete(watch)
  }

  /** A server that does not have the key sends the client to the one that has, and the client learns where all are. */
  #search (key: string): void {
    this.#searching ??= this.client.exists(key).catch(() => {}).finally(() => { this.#searching = undefined })
  }

  #watch (key: string): RunWatch | undefined {
    const name = this.#nameOfServer(key)
    return name === undefined ? undefined : this.#byName.get(name)
  }

  #add (redis: ServerClient): void {
    if (this.#watches.has(redis)) return
    const watch = new RunWatch(redis, {
      onRun: (run) => { if (this.masters().includes(redis)) this.#meet(watch, run, this.#used) },
      onReplica: () => { this.#leave(watch) },
      onSetBack: () => { this.#setBack?.() }
    })
    this.#watches.set(redis, watch)
    this.#byName.set(nameOf(redis), watch)
  }

  #remove (redis: ServerClient): void {
    const watch = this.#watches.get(redis)
    if (watch === undefined) return
    watch.stop()
    this.#watches.delete(redis)
    this.#lastRead.delete(watch)
    // Another connection to the same address may have replaced it already.
    if (this.#byName.get(nameOf(redis)) === watch) this.#byName.delete(nameOf(redis))
  }
}

const nameOf = (redis: ServerClient): string => `${redis.options.host}:${redis.options.port}`
