import type { Cluster, Redis } from 'ioredis'
import { corked } from './corked.js'
import { Deferred } from '../deferred.js'
import type { Entry } from '../../entry/entry.js'
import { decodeEntry } from '../../entry/codec.js'
import { asValue, asValues, type Value } from './replies.js'
import { isPromise, type Lookup, type MaybePromise } from '../contract.js'
import { Turn } from '../turn.js'

/** Keys with which a command leaves before the turn is over: Redis is at work on it while others join the next. */
const FULL = 32

type Current = ReadonlyArray<string | undefined>

/** What is current, of what stands under the keys of versions. */
export type Latest = (versions: readonly string[], values: readonly Value[]) => MaybePromise<Current>

/**
 * Reads for the requests of one turn of the event loop together: what has yet to be sent is as
 * good for all who join it.
 */
export interface Reads {
  lookup(key: string, versions: readonly string[]): Promise<Lookup>
  current(versions: readonly string[]): Promise<Current>
}

/** From one server, which answers for many keys in one command. */
export class ReadsOfServer implements Reads {
  readonly #server: Redis
  readonly #turn: Turn<Batch>

  constructor (server: Redis, latest: Latest) {
    this.#server = server
    this.#turn = new Turn(() => new Batch(latest), (batch) => { this.#send(batch) })
  }

  lookup (key: string, versions: readonly string[]): Promise<Lookup> {
    return this.#turn.batch().lookup(key, versions)
  }

  current (versions: readonly string[]): Promise<Current> {
    return this.#turn.batch().current(versions)
  }

  async #send ({ keys, values }: Batch): Promise<void> {
    try {
      values.resolve(asValues('MGET', await this.#server.mgetBuffer(keys), keys.length))
    } catch (error) {
      values.reject(error)
    }
  }
}

/** One key of a batch. */
interface Read {
  readonly place: number
  /** What requests for the same entry under the same versions share. */
  shared: { readonly versions: readonly string[], readonly lookup: Promise<Lookup> } | undefined
}

/** A list of versions, of which the requests of a route mostly have the very same. */
interface List {
  readonly places: readonly number[]
  /** What is current, once it is there. */
  current: MaybePromise<Current> | undefined
  /** The same, for those who ask for nothing else. */
  promise: Promise<Current> | undefined
}

/** What one command asks for. */
class Batch {
  readonly keys: string[] = []
  readonly values = new Deferred<readonly Value[]>()
  readonly #latest: Latest
  readonly #reads = new Map<string, Read>()
  readonly #lists = new Map<readonly string[], List>()

  constructor (latest: Latest) {
    this.#latest = latest
  }

  get full (): boolean {
    return this.keys.length >= FULL
  }

  lookup (key: string, versions: readonly string[]): Promise<Lookup> {
    const list = this.#list(versions)
    const read = this.#read(key)
    if (read.shared !== undefined && sameTexts(read.shared.versions, versions)) return read.shared.lookup
    const lookup = this.values.promise.then((values) => {
      const entry = decoded(key, values[read.place]!)
      const current = this.#current(versions, list, values)
      return isPromise(current) ? current.then((versions) => ({ entry, versions })) : { entry, versions: current }
    })
    read.shared = { versions, lookup }
    return lookup
  }

  current (versions: readonly string[]): Promise<Current> {
    const list = this.#list(versions)
    list.promise ??= this.values.promise.then((values) => this.#current(versions, list, values))
    return list.promise
  }

  #current (versions: readonly string[], list: List, values: readonly Value[]): MaybePromise<Current> {
    list.current ??= this.#latest(versions, list.places.map((place) => values[place]!))
    return list.current
  }

  #list (versions: readonly string[]): List {
    let list = this.#lists.get(versions)
    if (list === undefined) {
      list = { places: versions.map((version) => this.#read(version).place), current: undefined, promise: undefined }
      this.#lists.set(versions, list)
    }
    return list
  }

  #read (key: string): Read {
    let read = this.#reads.get(key)
    if (read === undefined) {
      read = { place: this.keys.push(key) - 1, shared: undefined }
      this.#reads.set(key, read)
    }
    return read
  }
}

/** From whichever server of a Cluster each key is at: one that fails costs no other key its answer. */
export class ReadsOfCluster implements Reads {
  readonly #cluster: Cluster
  readonly #latest: Latest
  #joining = new Map<string, Deferred<Value>>()

  constructor (cluster: Cluster, latest: Latest) {
    this.#cluster = cluster
    this.#latest = latest
  }

  async lookup (key: string, versions: readonly string[]): Promise<Lookup> {
    const [frame, current] = await Promise.all([this.#read(key), this.current(versions)])
    return { entry: decoded(key, frame), versions: current }
  }

  async current (versions: readonly string[]): Promise<Current> {
    return await this.#latest(versions, await Promise.all(versions.map((version) => this.#read(version))))
  }

  #read (key: string): Promise<Value> {
    if (this.#joining.size === 0) setImmediate(this.#turnEnds)
    let read = this.#joining.get(key)
    if (read === undefined) {
      read = new Deferred()
      this.#joining.set(key, read)
    }
    return read.promise
  }

  readonly #turnEnds = (): void => {
    const ending = this.#joining
    this.#joining = new Map()
    corked(this.#cluster.nodes('master'), () => {
      for (const [key, value] of ending) this.#send(key, value)
    })
  }

  async #send (key: string, value: Deferred<Value>): Promise<void> {
    try {
      value.resolve(asValue('GET', await this.#cluster.getBuffer(key)))
    } catch (error) {
      value.reject(error)
    }
  }
}

function decoded (key: string, frame: Value): Entry | undefined {
  return frame === null ? undefined : decodeEntry(key, frame)
}

function sameTexts (a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((text, index) => text === b[index]))
}
