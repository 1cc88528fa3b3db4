import type { Socket } from 'node:net'
import type { ServerClient, Subscriber } from './client.js'
import type { TakeoverListener } from '../contract.js'
import { BatchedReads, type EntryReads, type Interpret } from './reads.js'
import { expectPong } from './replies.js'
import { Connection, type ServerRun } from './run-id.js'
import type { Topology } from './topology.js'
import { BatchedWrites, type EntryWrites, type Watch } from './writes.js'

/** A single server. Behind its address or a Sentinel's name another server may take its place. */
export class SingleServer implements Topology {
  readonly client: ServerClient
  readonly keyPrefix: string
  readonly user: string
  readonly #connection: Connection
  #tell: TakeoverListener | undefined

  constructor (client: ServerClient) {
    this.client = client
    this.keyPrefix = client.options.keyPrefix ?? ''
    this.user = client.options.username ?? 'default'
    this.#connection = new Connection(client, true, () => { this.#tell?.(() => true) })
  }

  isReady (): boolean {
    return this.#connection.run !== undefined
  }

  open (): Promise<unknown> {
    return this.#connection.learn()
  }

  async ping (): Promise<void> {
    if (this.#connection.run === undefined) await this.#connection.learn()
    else expectPong(await this.client.ping())
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
    const { run } = this.#connection
    if (run !== undefined) return keys.map(() => run)
    return this.#connection.learn().then((run) => keys.map(() => run))
  }

  together (keys: readonly string[]): ReadonlyArray<readonly string[]> {
    return keys.length === 0 ? [] : [keys]
  }

  forget (): void {
    this.#connection.forget()
  }

  onTakeover (listener: TakeoverListener): void {
    this.#tell = listener
  }

  reads (interpret: Interpret): EntryReads {
    return new BatchedReads(this.client, interpret)
  }

  writes (watch: Watch): EntryWrites {
    return new BatchedWrites(this.client, watch)
  }

  subscriber (): Subscriber {
    return this.client.duplicate({ enableOfflineQueue: true, maxRetriesPerRequest: null, autoResubscribe: true })
  }

  close (): void {
    this.#connection.stop()
  }
}
