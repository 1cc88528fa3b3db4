import type { Socket } from 'node:net'
import type { ServerClient, Subscriber } from './client.js'
import type { TakeoverListener } from '../contract.js'
import { BatchedReads, type EntryReads, type Interpret } from './reads.js'
import { expectPong } from './replies.js'
import { RunWatch } from './run-watch.js'
import { SentinelWatch } from './sentinel-watch.js'
import type { ServerRun } from './server-run.js'
import type { Topology } from './topology.js'
import { BatchedWrites, type EntryWrites, type Watch } from './writes.js'

/** Shortest time in milliseconds between two searches for the master. */
const SEARCH_INTERVAL = 1_000

/** A single server. Behind its address or a Sentinel's name another server may take its place. */
export class SingleServer implements Topology {
  readonly client: ServerClient
  readonly keyPrefix: string
  readonly user: string
  readonly #watch: RunWatch
  readonly #sentinels: SentinelWatch | undefined
  #tell: TakeoverListener | undefined
  #setBack: (() => void) | undefined
  #searchedAt = -Infinity

  constructor (client: ServerClient) {
    this.client = client
    this.keyPrefix = client.options.keyPrefix ?? ''
    this.user = client.options.username ?? 'default'
    this.#watch = new RunWatch(client, {
      onRun: () => { this.#tell?.(() => true) },
      onReplica: () => { this.#findMaster() },
      onSetBack: () => { this.#setBack?.() }
    })
    if (client.options.sentinels) this.#sentinels = new SentinelWatch(client)
  }

  isReady (): boolean {
    return this.#watch.isKnown
  }

  open (): Promise<unknown> {
    return this.#watch.confirmed()
  }

  /** The server's run, if it was confirmed lately. */
  run (): ServerRun | undefined {
    return this.#watch.current()
  }

  async ping (): Promise<void> {
    if (this.#watch.isKnown) expectPong(await this.client.ping())
    else await this.#watch.confirmed()
  }

  transferred (): number {
    // `stream` is not documented by ioredis. Without these numbers no byte counts as progress.
    const { bytesRead = 0, bytesWritten = 0, writableLength = 0 } = this.client.stream as Partial<Socket> ?? {}
    return bytesRead + bytesWritten - writableLength
  }

  masters (): readonly ServerClient[] {
    return [this.client]
  }

  runsOf (keys: readonly string[]): ServerRun[] | Promise<ServerRun[]> {
    const run = this.#watch.current()
    if (run !== undefined) return keys.map(() => run)
    return this.#watch.confirmed().then((run) => keys.map(() => run))
  }

  together (keys: readonly string[]): ReadonlyArray<readonly string[]> {
    return keys.length === 0 ? [] : [keys]
  }

  forget (): void {
    this.#watch.forget()
    this.#findMaster()
  }

  onTakeover (listener: TakeoverListener): void {
    this.#tell = listener
  }

  onSetBack (listener: () => void): void {
    this.#setBack = listener
  }

  ahead (): number {
    return this.#watch.ahead
  }

  reads (interpret: Interpret): EntryReads {
    return new BatchedReads(this.client, interpret, this)
  }

  writes (watch: Watch): EntryWrites {
    return new BatchedWrites(this.client, watch, this)
  }

  subscriber (): Subscriber {
    return this.client.duplicate({ enableOfflineQueue: true, maxRetriesPerRequest: null, autoResubscribe: true })
  }

  close (): void {
    this.#watch.stop()
    this.#sentinels?.close()
  }

  /** Behind the address or the Sentinel's name another server may be the master by now. */
  #findMaster (): void {
    const now = performance.now()
    if (this.client.status !== 'ready' || now - this.#searchedAt < SEARCH_INTERVAL) return
    this.#searchedAt = now
    this.client.disconnect(true)
  }
}
