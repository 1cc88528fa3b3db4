import { decodeVersions, headEnd, CHECKSUM_AT, CHECKSUM_END } from '../../entry/codec.js'
import { beginningOf } from '../../key/keyspace.js'
import { Budget } from '../budget.js'
import type { FilledUnder, IsCurrent, SweepHints } from '../contract.js'
import { Deadlines } from '../deadlines.js'
import { isDenied, isReply } from './errors.js'
import { escapeGlob } from './glob.js'
import { asBytes, asInteger, asScan } from './replies.js'
import { DELETE_SEEN } from './scripts.js'
import { isSoftRecord } from './soft.js'
import type { Topology } from './topology.js'

const SCAN_COUNT = 500
/** Entries that are checked together. Redis serves other clients between two batches. */
const SWEEP_BATCH = 100
/** Bytes that are read first to get an entry's versions. Usually they contain the whole head. */
const BEGINNING_BYTES = 512
/** Longest time in milliseconds for one reply. */
const REPLY_TIMEOUT = 10_000

/** Asks for some keys. */
type Page = () => Promise<unknown>

/** What a sweep found under a key. */
interface Seen {
  readonly key: string
  /** Undefined if it is not an entry of this plugin's format. */
  readonly versions: FilledUnder | undefined
  /** Undefined if it is not a string. */
  readonly checksum: Buffer | undefined
}

/** Lists keys in Redis, standalone or Cluster, and deletes entries that are not current. */
export class Sweeps {
  readonly #topology: Topology
  readonly #budget: Budget
  readonly #deadlines = new Deadlines(REPLY_TIMEOUT)
  readonly #listing: Deadlines
  #unlinks = true
  #stopped = false

  /**
   * @param share of Redis's time that sweeps may take; listing keys takes what it needs
   * @param listTimeout longest time in milliseconds for one reply while keys are listed, default 10,000
   */
  constructor (topology: Topology, share: number, listTimeout = REPLY_TIMEOUT) {
    this.#topology = topology
    this.#budget = new Budget(share)
    this.#listing = new Deadlines(listTimeout)
  }

  async * keys (prefix: string): AsyncIterable<string> {
    const paced = (page: Page): Promise<unknown> => this.#listing.within(page())
    for await (const keys of this.#scan(prefix, paced)) yield * keys.filter((key) => !isSoftRecord(key))
  }

  async sweep (prefix: string, isCurrent: IsCurrent, { namespaces, deleted }: SweepHints): Promise<number> {
    let swept = 0
    const paced = (page: Page): Promise<unknown> => this.#budget.spend(() => this.#deadlines.within(page()))
    for await (const listed of this.#scan(prefix, paced)) {
      const found = namespaces === undefined ? listed : listed.filter((key) => namespaces.has(beginningOf(key)))
      for (let start = 0; start < found.length; start += SWEEP_BATCH) {
        const keys = found.slice(start, start + SWEEP_BATCH)
        for (const { versions } of await this.#budget.spend(() => this.#sweepBatch(keys, isCurrent))) {
          if (versions !== undefined) deleted?.(versions)
          swept++
        }
      }
    }
    return swept
  }

  /** Sweeps in progress end early. */
  stop (): void {
    this.#stopped = true
    this.#budget.stop()
  }

  /** Returns what it has deleted. */
  async #sweepBatch (keys: readonly string[], isCurrent: IsCurrent): Promise<Seen[]> {
    const seen = await this.#each(keys, (key) => this.#inspect(key))
    const current = await this.#each(seen, async ({ versions }) => versions !== undefined && await isCurrent(versions))
    const unreachable = seen.filter((_, index) => !current[index])
    const counts = await this.#each(unreachable, (entry) => this.#deleteSeen(entry))
    return unreachable.filter((_, index) => counts[index] !== 0)
  }

  #each<T, Result> (items: readonly T[], work: (item: T) => Promise<Result>): Promise<Result[]> {
    return this.#deadlines.within(Promise.all(items.map(work)))
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

  /**
   * SCAN covers one server and ignores the client's keyPrefix, so both are handled here.
   * @param paced calls the function that asks for a page, and waits for the reply
   */
  async * #scan (prefix: string, paced: (page: Page) => ReturnType<Page>): AsyncIterable<string[]> {
    const match = `${escapeGlob(this.#topology.keyPrefix + prefix)}*`
    const errors: unknown[] = []
    for (const master of this.#topology.masters()) {
      let cursor = '0'
      do {
        let keys: string[]
        try {
          const scan = (): Promise<unknown> => master.scan(cursor, 'MATCH', match, 'COUNT', SCAN_COUNT)
          ;[cursor, keys] = asScan(await paced(scan))
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
