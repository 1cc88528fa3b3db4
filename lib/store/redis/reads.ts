import type { ClusterClient, ServerClient } from './client.js'
import { decodeEntry } from '../../entry/codec.js'
import type { Entry } from '../../entry/entry.js'
import type { CurrentVersions, Lookup, MaybePromise } from '../contract.js'
import { ByteWindow, type ByteWindows } from './byte-window.js'
import { corked } from './corked.js'
import { LargeKeys } from './large-keys.js'
import { asValue, asValues, type Value } from './replies.js'
import { byOwnClock, type ServerClocks } from './server-clock.js'
import { Deferred, TickBatch } from './tick-batch.js'

/** A batch with this many keys is sent before the tick ends, so that Redis works on it while the next one fills. */
const FULL = 32
/** The same for the bytes of large values. */
const FULL_BYTES = 256 * 1024

/** Gets the current versions from the values of their keys. */
export type Interpret = (names: readonly string[], values: readonly Value[]) => MaybePromise<CurrentVersions>

/** Reads entries and versions for all requests of one tick of the event loop together. */
export interface EntryReads {
  lookup(key: string, names: readonly string[]): Promise<Lookup>
  versions(names: readonly string[]): Promise<CurrentVersions>
  /** The values of any keys. */
  values(keys: readonly string[]): Promise<readonly Value[]>
  /** Tells how large a value is that is being written. Reads notice it themselves. */
  expect(key: string, bytes: number): void
}

/** Reads from a single server, many keys in one command. Large values do not hold up small ones. */
export class BatchedReads implements EntryReads {
  readonly #server: ServerClient
  readonly #tick: TickBatch<ReadBatch>
  readonly #largeTick: TickBatch<ReadBatch>
  readonly #large = new LargeKeys()
  readonly #window = new ByteWindow()

  constructor (server: ServerClient, interpret: Interpret, clocks: ServerClocks) {
    this.#server = server
    const begin = (): ReadBatch => new ReadBatch(interpret, clocks)
    this.#tick = new TickBatch(begin, (batch) => { void this.#send(batch) })
    this.#largeTick = new TickBatch(begin, (batch) => {
      void this.#window.pass(batch.largeBytes, () => this.#send(batch))
    })
  }

  lookup (key: string, names: readonly string[]): Promise<Lookup> {
    const bytes = this.#large.get(key)
    return bytes === undefined
      ? this.#tick.batch().lookup(key, names)
      : this.#largeTick.batch().lookup(key, names, bytes)
  }

  versions (names: readonly string[]): Promise<CurrentVersions> {
    return this.#tick.batch().versions(names)
  }

  values (keys: readonly string[]): Promise<readonly Value[]> {
    return this.#tick.batch().valuesOf(keys)
  }

  expect (key: string, bytes: number): void {
    this.#large.note(key, bytes)
  }

  /** Never rejects: those who wait for the values get the error. */
  async #send ({ keys, values }: ReadBatch): Promise<void> {
    try {
      const found = asValues('MGET', await this.#server.mgetBuffer(keys), keys.length)
      for (let place = 0; place < keys.length; place++) this.#large.note(keys[place]!, found[place]?.length ?? 0)
      values.resolve(found)
    } catch (error) {
      values.reject(error)
    }
  }
}

/** One key of a batch. */
interface Read {
  readonly place: number
  /** Shared by requests for the same entry and the same versions. */
  shared: { readonly names: readonly string[], readonly lookup: Promise<Lookup> } | undefined
}

/** A list of versions. Most requests of a route use the same array. */
interface List {
  readonly places: readonly number[]
  /** The current versions, after the reply. */
  current: MaybePromise<CurrentVersions> | undefined
  /** The same, for requests that only need versions. */
  promise: Promise<CurrentVersions> | undefined
}

/** The keys of one command. */
class ReadBatch {
  readonly keys: string[] = []
  readonly values = new Deferred<readonly Value[]>()
  readonly #interpret: Interpret
  readonly #clocks: ServerClocks
  readonly #reads = new Map<string, Read>()
  readonly #lists = new Map<readonly string[], List>()
  /** The bytes of its large values, as far as they are known. */
  largeBytes = 0

  constructor (interpret: Interpret, clocks: ServerClocks) {
    this.#interpret = interpret
    this.#clocks = clocks
  }

  get full (): boolean {
    return this.keys.length >= FULL || this.largeBytes >= FULL_BYTES
  }

  /** @param bytes the size of a large value */
  lookup (key: string, names: readonly string[], bytes = 0): Promise<Lookup> {
    const list = this.#list(names)
    const read = this.#read(key, bytes)
    if (read.shared !== undefined && sameTexts(read.shared.names, names)) return read.shared.lookup
    const lookup = this.values.promise.then((values) => {
      const found = (versions: CurrentVersions): Lookup =>
        ({ entry: decoded(key, values[read.place]!, this.#clocks), versions })
      // The server's clock is known when its run is.
      const current = this.#current(names, list, values)
      return current instanceof Promise ? current.then(found) : found(current)
    })
    read.shared = { names, lookup }
    return lookup
  }

  versions (names: readonly string[]): Promise<CurrentVersions> {
    const list = this.#list(names)
    list.promise ??= this.values.promise.then((values) => this.#current(names, list, values))
    return list.promise
  }

  valuesOf (keys: readonly string[]): Promise<readonly Value[]> {
    const { places } = this.#list(keys)
    return this.values.promise.then((values) => places.map((place) => values[place]!))
  }

  #current (names: readonly string[], list: List, values: readonly Value[]): MaybePromise<CurrentVersions> {
    list.current ??= this.#interpret(names, list.places.map((place) => values[place]!))
    return list.current
  }

  #list (names: readonly string[]): List {
    let list = this.#lists.get(names)
    if (list === undefined) {
      list = { places: names.map((name) => this.#read(name).place), current: undefined, promise: undefined }
      this.#lists.set(names, list)
    }
    return list
  }

  #read (key: string, bytes = 0): Read {
    let read = this.#reads.get(key)
    if (read === undefined) {
      this.largeBytes += bytes
      read = { place: this.keys.push(key) - 1, shared: undefined }
      this.#reads.set(key, read)
    }
    return read
  }
}

/** Reads from a Cluster, key by key, so that a failing server does not affect the keys of others. */
export class ReadsByKey implements EntryReads {
  readonly #cluster: ClusterClient
  readonly #interpret: Interpret
  readonly #windows: ByteWindows
  readonly #clocks: ServerClocks
  readonly #large = new LargeKeys()
  #joining = new Map<string, Deferred<Value>>()

  constructor (cluster: ClusterClient, interpret: Interpret, windows: ByteWindows, clocks: ServerClocks) {
    this.#cluster = cluster
    this.#interpret = interpret
    this.#windows = windows
    this.#clocks = clocks
  }

  async lookup (key: string, names: readonly string[]): Promise<Lookup> {
    const [frame, versions] = await Promise.all([this.#read(key), this.versions(names)])
    return { entry: decoded(key, frame, this.#clocks), versions }
  }

  async versions (names: readonly string[]): Promise<CurrentVersions> {
    return await this.#interpret(names, await this.values(names))
  }

  values (keys: readonly string[]): Promise<readonly Value[]> {
    return Promise.all(keys.map((key) => this.#read(key)))
  }

  expect (key: string, bytes: number): void {
    this.#large.note(key, bytes)
  }

  #read (key: string): Promise<Value> {
    if (this.#joining.size === 0) setImmediate(this.#tickEnds)
    let read = this.#joining.get(key)
    if (read === undefined) {
      read = new Deferred()
      this.#joining.set(key, read)
    }
    return read.promise
  }

  readonly #tickEnds = (): void => {
    const ending = this.#joining
    this.#joining = new Map()
    corked(this.#cluster.nodes('master'), () => {
      for (const [key, value] of ending) void this.#inTurn(key, () => this.#send(key, value))
    })
  }

  #inTurn (key: string, send: () => Promise<void>): Promise<void> {
    const bytes = this.#large.get(key)
    return bytes === undefined ? send() : this.#windows.of(key).pass(bytes, send)
  }

  /** Never rejects: those who wait for the value get the error. */
  async #send (key: string, value: Deferred<Value>): Promise<void> {
    try {
      const found = asValue('GET', await this.#cluster.getBuffer(key))
      this.#large.note(key, found?.length ?? 0)
      value.resolve(found)
    } catch (error) {
      value.reject(error)
    }
  }
}

function decoded (key: string, frame: Value, clocks: ServerClocks): Entry | undefined {
  const entry = frame === null ? undefined : decodeEntry(key, frame)
  return entry && byOwnClock(entry, clocks)
}

function sameTexts (a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((text, index) => text === b[index]))
}
