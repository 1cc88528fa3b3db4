import type { Cluster, Redis } from 'ioredis'
import { Deadlines } from '../deadlines.js'
import { decodeVersions, headEnd, SEAL_AT, SEAL_END } from '../../entry/codec.js'
import { isReply } from './errors.js'
import type { RedisClient } from './redis-store.js'
import { asBytes, asInteger, asScan } from './replies.js'
import { DELETE_SEEN } from './scripts.js'

const SCAN_COUNT = 100
/** Entries that a sweep looks at together: those that wait behind it are answered in between. */
const SWEEP_BATCH = 100
/** Of a frame's beginning, what is read first to learn its versions: nearly always all of them. */
const BEGINNING_BYTES = 512
/** Longest wait for one answer to work that no request waits for. */
const PATIENCE = 10_000

/** What a sweep saw under a key. */
interface Seen {
  readonly key: string
  /** Undefined for what is not ours to keep. */
  readonly versions: Record<string, string> | undefined
  /** Undefined for what is no text. */
  readonly seal: Buffer | undefined
}

/** Walks over the keys of a Redis, standalone or Cluster, and deletes what is not current. */
export class Sweeps {
  readonly #client: RedisClient
  readonly #keyPrefix: string
  readonly #patience = new Deadlines(PATIENCE)
  #unlinks = true
  #stopped = false

  constructor (client: RedisClient) {
    this.#client = client
    this.#keyPrefix = client.options.keyPrefix ?? ''
  }

  async * keys (prefix: string): AsyncIterable<string> {
    for await (const keys of this.#scan(prefix)) yield * keys
  }

  async sweep (prefix: string, isCurrent: (versions: Readonly<Record<string, string>>) => boolean): Promise<number> {
    let swept = 0
    for await (const found of this.#scan(prefix)) {
      for (let start = 0; start < found.length; start += SWEEP_BATCH) {
        const keys = found.slice(start, start + SWEEP_BATCH)
        const seen = await this.#patience.within(Promise.all(keys.map((key) => this.#see(key))))
        const unreachable = seen.filter(({ versions }) => versions === undefined || !isCurrent(versions))
        const counts = await this.#patience.within(Promise.all(unreachable.map((entry) => this.#deleteSeen(entry))))
        for (const count of counts) swept += count
      }
    }
    return swept
  }

  /** Those under way end with what they have seen. */
  stop (): void {
    this.#stopped = true
  }

  /** An entry's beginning. */
  async #see (key: string): Promise<Seen> {
    try {
      const beginning = await this.#read(key, BEGINNING_BYTES)
      const end = headEnd(beginning)
      const head = end <= beginning.length ? beginning : await this.#read(key, end)
      return { key, versions: decodeVersions(head), seal: Buffer.from(head.subarray(SEAL_AT, SEAL_END)) }
    } catch (error) {
      if (isReply(error, 'WRONGTYPE')) return { key, versions: undefined, seal: undefined }
      throw error
    }
  }

  async #read (key: string, bytes: number): Promise<Buffer> {
    return asBytes('GETRANGE', await this.#client.getrangeBuffer(key, 0, bytes - 1))
  }

  /** Deletes an entry, but not the one that was filled under its key since it was seen. */
  async #deleteSeen ({ key, seal }: Seen): Promise<number> {
    if (seal !== undefined) {
      try {
        return asInteger('EVAL', await this.#client.eval(DELETE_SEEN, 1, key, seal))
      } catch (error) {
        if (!isReply(error)) throw error
      }
    }
    return await this.#delete(key)
  }

  async #delete (key: string): Promise<number> {
    if (this.#unlinks) {
      try {
        return asInteger('UNLINK', await this.#client.unlink(key))
      } catch (error) {
        if (!isReply(error)) throw error
        this.#unlinks = false
      }
    }
    return asInteger('DEL', await this.#client.del(key))
  }

  /** Every server that holds a part of the keys. */
  #servers (): Redis[] {
    return this.#client.isCluster ? (this.#client as Cluster).nodes('master') : [this.#client as Redis]
  }

  /** SCAN visits one server and knows nothing of the client's keyPrefix: both are seen to here. */
  async * #scan (prefix: string): AsyncIterable<string[]> {
    const match = `${escapeGlob(this.#keyPrefix + prefix)}*`
    const errors: unknown[] = []
    for (const master of this.#servers()) {
      let cursor = '0'
      do {
        let keys: string[]
        try {
          const scanned = master.scan(cursor, 'MATCH', match, 'COUNT', SCAN_COUNT)
          ;[cursor, keys] = asScan(await this.#patience.within(scanned))
        } catch (error) {
          // The other nodes have keys, too.
          errors.push(error)
          break
        }
        if (keys.length > 0) yield keys.map((key) => key.slice(this.#keyPrefix.length))
      } while (cursor !== '0' && !this.#stopped)
    }
    if (errors.length > 0) throw errors[0]
  }
}

function escapeGlob (text: string): string {
  return text.replace(/[\\*?[\]]/g, '\\$&')
}
