import type { Argument, ClusterClient, ServerClient } from './client.js'
import { encodeEntry } from '../../entry/codec.js'
import { sizeOfBody, timeToLive, type Entry } from '../../entry/entry.js'
import { ByteWindow, type ByteWindows } from './byte-window.js'
import { corked } from './corked.js'
import { isDenied } from './errors.js'
import { isLarge } from './large-keys.js'
import { expectInteger, expectOk } from './replies.js'
import { SET_ALL } from './scripts.js'
import { byServersClock, type ServerClocks } from './server-clock.js'
import { Deferred, TickBatch } from './tick-batch.js'

/** A batch with this many bytes is sent before the tick ends, so that Redis works on it while the next one fills. */
const FULL = 32 * 1024
/** Longest body that is written in a script. Larger ones cost Redis more in a script than in a SET of their own. */
const SMALL = 2 * 1024
/** About how many bytes an entry takes besides its body. */
const HEAD_BYTES = 512

interface Write {
  readonly key: string
  readonly entry: Entry
}

/** Passes on the outcome of a write, and notices if the server refused it because it is a replica. */
export type Watch = <T>(key: string, write: Promise<T>) => Promise<T>

/** Writes all entries of one tick of the event loop together. */
export interface EntryWrites {
  set(key: string, entry: Entry): Promise<unknown>
}

/** The entries that are written together. */
class WriteBatch {
  /** By key: if a key is written several times, only the last entry counts. */
  readonly writes = new Map<string, Write>()
  readonly stored = new Deferred<unknown>()
  #bytes = 0

  get full (): boolean {
    return this.#bytes >= FULL
  }

  add (write: Write): Promise<unknown> {
    this.writes.set(write.key, write)
    this.#bytes += HEAD_BYTES + sizeOfBody(write.entry)
    return this.stored.promise
  }
}

/** Writes to a single server, small entries in one command. Large ones do not hold up what is sent next. */
export class BatchedWrites implements EntryWrites {
  readonly #server: ServerClient
  readonly #watch: Watch
  readonly #clocks: ServerClocks
  readonly #window = new ByteWindow()
  readonly #tick = new TickBatch(() => new WriteBatch(), (batch) => { this.#send(batch) })

  constructor (server: ServerClient, watch: Watch, clocks: ServerClocks) {
    this.#server = server
    this.#watch = watch
    this.#clocks = clocks
  }

  set (key: string, entry: Entry): Promise<unknown> {
    return this.#tick.batch().add({ key, entry })
  }

  #send ({ writes, stored }: WriteBatch): void {
    corked([this.#server], () => { stored.resolve(this.#setEach([...writes.values()])) })
  }

  async #setEach (writes: readonly Write[]): Promise<unknown> {
    const small = writes.filter(isSmall)
    if (small.length < 2) return await Promise.all(writes.map((write) => this.#inTurn(write)))
    const others = writes.filter((write) => !isSmall(write))
    return await Promise.all([this.#setAll(small), ...others.map((write) => this.#inTurn(write))])
  }

  #inTurn (write: Write): Promise<void> {
    return inTurn(this.#window, write, () => this.#set(write))
  }

  async #setAll (writes: readonly Write[]): Promise<unknown> {
    const keys: string[] = []
    const values: Argument[] = []
    for (const { key, entry } of writes) {
      keys.push(key)
      values.push(encoded(key, entry, this.#clocks), millisecondsLeft(entry))
    }
    try {
      const written = this.#server.eval(SET_ALL, keys.length, ...keys, ...values)
      return expectInteger('EVAL', await this.#watch(keys[0]!, written), keys.length)
    } catch (error) {
      if (!isDenied(error)) throw error
    }
    // For a Redis user without permission to run scripts.
    return await Promise.all(writes.map((write) => this.#set(write)))
  }

  async #set ({ key, entry }: Write): Promise<void> {
    const written = this.#server.set(key, encoded(key, entry, this.#clocks), 'PX', millisecondsLeft(entry))
    expectOk('SET', await this.#watch(key, written))
  }
}

/** Writes to a Cluster, key by key, so that a failing server does not affect the keys of others. */
export class WritesByKey implements EntryWrites {
  readonly #cluster: ClusterClient
  readonly #watch: Watch
  readonly #windows: ByteWindows
  readonly #clocks: ServerClocks
  readonly #joining: Array<Write & { readonly stored: Deferred<unknown> }> = []

  constructor (cluster: ClusterClient, watch: Watch, windows: ByteWindows, clocks: ServerClocks) {
    this.#cluster = cluster
    this.#watch = watch
    this.#windows = windows
    this.#clocks = clocks
  }

  set (key: string, entry: Entry): Promise<unknown> {
    const stored = new Deferred<unknown>()
    if (this.#joining.push({ key, entry, stored }) === 1) setImmediate(this.#tickEnds)
    return stored.promise
  }

  readonly #tickEnds = (): void => {
    corked(this.#cluster.nodes('master'), () => {
      for (const { stored, ...write } of this.#joining.splice(0)) {
        stored.resolve(inTurn(this.#windows.of(write.key), write, () => this.#set(write)))
      }
    })
  }

  async #set ({ key, entry }: Write): Promise<void> {
    const written = this.#cluster.set(key, encoded(key, entry, this.#clocks), 'PX', millisecondsLeft(entry))
    expectOk('SET', await this.#watch(key, written))
  }
}

function inTurn (window: ByteWindow, { entry }: Write, set: () => Promise<void>): Promise<void> {
  const bytes = sizeOfBody(entry)
  return isLarge(bytes) ? window.pass(bytes, set) : set()
}

const encoded = (key: string, entry: Entry, clocks: ServerClocks): Buffer =>
  encodeEntry(key, byServersClock(entry, clocks))

function isSmall ({ entry }: Write): boolean {
  return sizeOfBody(entry) <= SMALL
}

/** Milliseconds until the entry may be deleted; at least 1, because Redis refuses 0. */
function millisecondsLeft (entry: Entry): number {
  return Math.max(1, Math.ceil(timeToLive(entry)))
}
