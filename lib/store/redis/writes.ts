import type { Cluster, Redis } from 'ioredis'
import { corked } from './corked.js'
import { Deferred } from '../deferred.js'
import type { Entry } from '../../entry/entry.js'
import { encodeEntry } from '../../entry/codec.js'
import { isReply } from './errors.js'
import { expectInteger, expectOk } from './replies.js'
import { SET_ALL } from './scripts.js'
import { Turn } from '../turn.js'

/** Bytes after which entries leave before the turn is over: Redis is at work on them while others join the next. */
const FULL = 32 * 1024
/** Bytes of a body. In a script an entry costs Redis more than in a SET, and more the larger it is: beyond these it is not worth it. */
const SMALL = 2 * 1024
/** About what an entry takes beside its body. */
const HEAD_BYTES = 512

interface Write {
  readonly key: string
  readonly entry: Entry
  /** Until it expires. */
  readonly seconds: number
}

/** Passes the outcome of a write on, having seen whether the server refused it for being a replica. */
export type Watch = <T>(key: string, write: Promise<T>) => Promise<T>

/** Writes the entries of one turn of the event loop together. */
export interface Writes {
  set(key: string, entry: Entry, seconds: number): Promise<unknown>
}

/** What leaves together, and is there together. */
class Batch {
  /** By key: of several, the last is what stays. */
  readonly writes = new Map<string, Write>()
  readonly stored = new Deferred<unknown>()
  #bytes = 0

  get full (): boolean {
    return this.#bytes >= FULL
  }

  add (write: Write): Promise<unknown> {
    this.writes.set(write.key, write)
    this.#bytes += HEAD_BYTES + write.entry.body.length
    return this.stored.promise
  }
}

/** To one server, which stores small ones in one command. */
export class WritesOfServer implements Writes {
  readonly #server: Redis
  readonly #watch: Watch
  readonly #turn = new Turn(() => new Batch(), (batch) => { this.#send(batch) })

  constructor (server: Redis, watch: Watch) {
    this.#server = server
    this.#watch = watch
  }

  set (key: string, entry: Entry, seconds: number): Promise<unknown> {
    return this.#turn.batch().add({ key, entry, seconds })
  }

  #send ({ writes, stored }: Batch): void {
    corked([this.#server], () => { stored.resolve(this.#setEach([...writes.values()])) })
  }

  async #setEach (writes: readonly Write[]): Promise<unknown> {
    const small = writes.filter(isSmall)
    if (small.length < 2) return await Promise.all(writes.map((write) => this.#set(write)))
    const large = writes.filter((write) => !isSmall(write))
    return await Promise.all([this.#setAll(small), ...large.map((write) => this.#set(write))])
  }

  async #setAll (writes: readonly Write[]): Promise<unknown> {
    const keys = writes.map(({ key }) => key)
    const values = writes.flatMap(({ key, entry, seconds }) => [encodeEntry(key, entry), seconds])
    try {
      return expectInteger('EVAL', await this.#server.eval(SET_ALL, keys.length, ...keys, ...values), keys.length)
    } catch (error) {
      if (!isReply(error)) throw error
    }
    // To a user who may not run scripts.
    return await Promise.all(writes.map((write) => this.#set(write)))
  }

  async #set ({ key, entry, seconds }: Write): Promise<void> {
    expectOk('SET', await this.#watch(key, this.#server.set(key, encodeEntry(key, entry), 'EX', seconds)))
  }
}

/** To whichever server of a Cluster each key belongs: one that fails costs no other key its entry. */
export class WritesOfCluster implements Writes {
  readonly #cluster: Cluster
  readonly #watch: Watch
  readonly #joining: Array<Write & { readonly stored: Deferred<unknown> }> = []

  constructor (cluster: Cluster, watch: Watch) {
    this.#cluster = cluster
    this.#watch = watch
  }

  set (key: string, entry: Entry, seconds: number): Promise<unknown> {
    const stored = new Deferred<unknown>()
    if (this.#joining.push({ key, entry, seconds, stored }) === 1) setImmediate(this.#turnEnds)
    return stored.promise
  }

  readonly #turnEnds = (): void => {
    corked(this.#cluster.nodes('master'), () => {
      for (const { stored, ...write } of this.#joining.splice(0)) stored.resolve(this.#set(write))
    })
  }

  async #set ({ key, entry, seconds }: Write): Promise<void> {
    expectOk('SET', await this.#watch(key, this.#cluster.set(key, encodeEntry(key, entry), 'EX', seconds)))
  }
}

function isSmall ({ entry }: Write): boolean {
  return entry.body.length <= SMALL
}
