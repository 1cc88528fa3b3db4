import type { RedisClient, ServerClient, Subscriber } from './client.js'
import type { TakeoverListener } from '../contract.js'
import type { EntryReads, Interpret } from './reads.js'
import type { ServerClocks } from './server-clock.js'
import type { ServerRun } from './server-run.js'
import type { EntryWrites, Watch } from './writes.js'

/** How the keys are distributed: to a single server, or to the masters of a Cluster. */
export interface Topology extends ServerClocks {
  /** Sends a command to the server that has its key. */
  readonly client: RedisClient
  /** The prefix that the client adds to keys, but not to the pattern of SCAN and to channels. */
  readonly keyPrefix: string
  /** The name of the Redis user. */
  readonly user: string
  /** False while the server's run is unknown. */
  isReady(): boolean
  /** Learns the runs of all servers. */
  open(): Promise<unknown>
  /** Resolves when all servers in use answer. */
  ping(): Promise<unknown>
  /** The bytes exchanged with the server so far; left out if there are several. */
  transferred?(): number
  /** All servers that have a part of the keys. */
  masters(): readonly ServerClient[]
  /** The runs of the servers of these keys; a promise while one of them is unknown. */
  runsOf(keys: readonly string[]): ServerRun[] | Promise<ServerRun[]>
  /** The keys in lists of which each can be given to one script, in the order of the keys. */
  together(keys: readonly string[]): ReadonlyArray<readonly string[]>
  /** Forgets the run of the key's server, which may have changed. */
  forget(key: string): void
  /** Calls the listener before the first use of another run. */
  onTakeover(listener: TakeoverListener): void
  /** Calls the listener when a server's clock was set back, before the next use of its run. */
  onSetBack(listener: () => void): void
  reads(interpret: Interpret): EntryReads
  writes(watch: Watch): EntryWrites
  /** A connection for subscribing. It waits for its server without limit, and resubscribes after reconnecting. */
  subscriber(): Subscriber
  /** Removes all listeners. */
  close(): void
}
