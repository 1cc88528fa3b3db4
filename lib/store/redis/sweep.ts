import { decodeVersions, headEnd, CHECKSUM_AT, CHECKSUM_END } from '../../entry/codec.js'
import type { IsCurrent } from '../contract.js'
import { Deadlines } from '../deadlines.js'
import { isDenied, isReply } from './errors.js'
import { escapeGlob } from './glob.js'
import { asBytes, asInteger, asScan } from './replies.js'
import { DELETE_SEEN } from './scripts.js'
import type { Topology } from './topology.js'

const SCAN_COUNT = 100
/** Entries that are checked together. Redis serves other clients between two batches. */
const SWEEP_BATCH = 100
/** Bytes that are read first to get an entry's versions. Usually they contain the whole head. */
const BEGINNING_BYTES = 512
/** Longest time in milliseconds for one reply in a sweep. */
const REPLY_TIMEOUT = 10_000

/** What a sweep found under a key. */
interface Seen {
  readonly key: string
  /** Undefined if it is not an entry of this plugin's format. */
  readonly versions: Record<string, string> | undefined
  /** Undefined if it is not a string. */
  readonly checksum: Buffer | undefined
}

/** Lists keys in Redis, standalone or Cluster, and deletes entries that are not current. */
export class Sweeps {
  readonly #topology: Topology
  readonly #deadlines = new Deadlines(REPLY_TIMEOUT)
  #unlinks = true
  #stopped = false

  constructor (topology: Topology) {
    this.#topology = topology
  }

  async * keys (prefix: string): AsyncIterable<string> {
    for await (const keys of this.#scan(prefix)) yield * keys
  }

  async sweep (prefix: string, isCurrent: IsCurrent): Promise<number> {
    let swept = 0
    for await (const found of this.#scan(prefix)) {
      for (let start = 0; start < found.length; start += SWEEP_BATCH) {
        const keys = found.slice(start, start + SWEEP_BATCH)
        const seen = await this.#deadlines.within(Promise.all(keys.map((key) => this.#inspect(key))))
        const unreachable = seen.filter(({ versions }) => versions === undefined || !isCurrent(versions))
        const counts = await this.#deadlines.within(Promise.all(unreachable.map((entry) => this.#deleteSeen(entry))))
        for (const count of counts) swept += count
      }
    }
    return swept
  }

  /** Sweeps in progress end early. */
  stop (): void {
    this.#stopped = true
  }

  /** Reads the versions and the checksum of an entry. */
  async #inspect (key: string): Promise<Seen> {
    try {
      const beginning = await this.#read(key, BEGINNING_BYTES)
      const end = headEnd(beginning)
      const head = end <= beginning.length ? beginning : await this.#read(key, end)
      return { key, versions: decodeVersions(head), checksum: Buffer.from(head.subarray(CHECKSUM_AT, CHECKSUM_END)) }
    } catch (error) {
      if (isReply(error, 'WRONGTYPE')) return { key, versions: undefined, checksum: undefined }
      throw error
    }
  }

  async #read (key: string, bytes: number): Promise<Buffer> {
    return asBytes('GETRANGE', await this.#topology.client.getrangeBuffer(key, 0, bytes - 1))
  }

  /** Deletes an entry, unless another one was stored under its key in the meantime. */
  async #deleteSeen ({ key, checksum }: Seen): Promise<number> {
    if (checksum !== undefined) {
      try {
        return asInteger('EVAL', await this.#topology.client.eval(DELETE_SEEN, 1, key, checksum))
      } catch (error) {
        if (!isDenied(error)) throw error
      }
    }
    return await this.#delete(key)
  }

  async #delete (key: string): Promise<number> {
    if (this.#unlinks) {
      try {
        return asInteger('UNLINK', await this.#topology.client.unlink(key))
      } catch (error) {
        if (!isDenied(error)) throw error
        this.#unlinks = false
      }
    }
    return asInteger('DEL', await this.#topology.client.del(key))
  }

  /** SCAN covers one server and ignores the client's keyPrefix, so both are handled here. */
  async * #scan (prefix: string): AsyncIterable<string[]> {
    const match = `${escapeGlob(this.#topology.keyPrefix + prefix)}*`
    const errors: unknown[] = []
    for (const master of this.#topology.masters()) {
      let cursor = '0'
      do {
        let keys: string[]
        try {
          const scanned = master.scan(cursor, 'MATCH', match, 'COUNT', SCAN_COUNT)
          ;[cursor, keys] = asScan(await this.#deadlines.within(scanned))
        } catch (error) {
          // Continues with the other nodes, which have keys, too.
          errors.push(error)
          break
        }
        if (keys.length > 0) yield keys.map((key) => key.slice(this.#topology.keyPrefix.length))
      } while (cursor !== '0' && !this.#stopped)
    }
    if (errors.length > 0) throw errors[0]
  }
}
