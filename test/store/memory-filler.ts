import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { CacheStore, Entry } from '../../index.js'
import { decodeEntry, encodeEntry } from '../../lib/entry/codec.js'
import { LocalTier } from '../../lib/store/local-tier.js'
import { MemoryStore } from '../../lib/store/memory-store.js'
import { sayHello } from '../support/child-process.js'
import { lasting } from '../support/entry.js'
import { MapStore } from '../support/map-store.js'

/*
 * Fills a store far beyond its limit with entries of one shape, and tells how much memory it takes then.
 */

export interface Filled {
  /** What the process holds more than before. */
  bytes: number
  entries: number
}

interface Shape {
  /** How many are stored. */
  count: number
  /** The n-th one. */
  entry (index: number): Partial<Entry>
  key? (index: number): string
  /** The length of each body, if that is most of an entry. */
  bodyBytes?: number
}

export const MAX_BYTES = 8 * 1024 * 1024
/** The number of the first entry that counts. */
const FIRST = 100_000

const text = (length: number, index: number): string => `${index}`.padEnd(length, 'x')
const body = (length: number, index: number): Buffer => Buffer.from(text(length, index))
const list = <T>(length: number, item: (index: number) => T): T[] => Array.from({ length }, (_, index) => item(index))
const record = (length: number, name: string, value: (index: number) => string): Record<string, string> =>
  Object.fromEntries(list(length, (index) => [`${name}-${index}`, value(index)]))
/** As most responses have them. */
const usual = (index: number): Partial<Entry> => ({
  headers: { 'content-type': `application/json; charset=utf-${index}` },
  defaultHeaders: { date: `${index} Fri, 27 Nov 2026 08:00:00 GMT`, etag: text(29, index) },
  versions: { 'p!version:namespace': text(22, 0) }
})

export const shapes: Record<string, Shape> = {
  'tiny bodies': { count: 20_000, entry: (index) => ({ ...usual(index), body: body(20, index) }) },
  'bodies of 4 KB': { count: 8_000, entry: (index) => ({ ...usual(index), body: body(4_096, index) }) },
  'bodies of 64 KB': { bodyBytes: 65_536, count: 500, entry: (index) => ({ ...usual(index), body: body(65_536, index) }) },
  'bodies of 1 MB': { count: 30, entry: (index) => ({ ...usual(index), body: body(2 ** 20, index) }) },
  'texts of 64 KB that hooks want': { count: 500, entry: (index) => ({ ...usual(index), body: body(65_536, index), text: text(65_536, index) }) },
  'short texts of two-byte characters': { count: 8_000, entry: (index) => ({ ...usual(index), body: Buffer.from(`${index}${'語'.repeat(600)}`) }) },
  'bodies of 10 KB': { bodyBytes: 10_000, count: 5_000, entry: (index) => ({ ...usual(index), body: body(10_000, index) }) },
  'bytes of 10 KB': { bodyBytes: 10_000, count: 5_000, entry: (index) => ({ ...usual(index), kind: 'bytes', body: body(10_000, index) }) },
  'bodies of 10 KB and two codings of each': {
    count: 3_000,
    entry: (index) => ({ ...usual(index), body: body(10_000, index), encoded: { br: body(3_000, index), gzip: body(4_000, index) } })
  },
  'bodies that are kept in a coding only': {
    count: 5_000, entry: (index) => ({ ...usual(index), encoded: { br: body(10_000, index) }, plainLength: 60_000 })
  },
  '300 tags each': {
    count: 800,
    entry: (index) => ({ ...usual(index), versions: record(300, `p!tag:{12}of-entry-${index}`, (tag) => text(22, tag)) })
  },
  'a namespace each': { count: 20_000, entry: (index) => ({ versions: { [`p!version:namespace-${index}`]: text(22, index) } }), key: (index) => `p|namespace-${index}:GET /` },
  'many headers': { count: 3_000, entry: (index) => ({ headers: record(100, `x-header-of-${index}`, (header) => text(20, index + header)) }) },
  'a header with many values': { count: 1_000, entry: (index) => ({ headers: { 'x-values': list(1_000, (value) => text(16, index * 1_000 + value)) } }) },
  'long header values': { count: 2_000, entry: (index) => ({ headers: { 'x-long': text(16_000, index) } }) },
  'long keys': { count: 20_000, entry: usual, key: (index) => `p|n:${text(500, index)}` }
}

class NothingStore extends MapStore {
  override async set (): Promise<void> {}
}

const stores: Record<string, () => CacheStore> = {
  'the memory store': () => new MemoryStore({ maxBytes: MAX_BYTES, maxEntries: 20_000 }),
  'the local tier': () => new LocalTier(new NothingStore(), undefined, { maxBytes: MAX_BYTES, maxEntries: 20_000 })
}

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

function used (): number {
  for (let times = 0; times < 3; times++) gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

async function fill (store: CacheStore, { count, entry, key = (index) => `p|n:GET /items/${index}` }: Shape, from = 0): Promise<void> {
  for (let index = from; index < from + count; index++) {
    const made: Entry = {
      route: 'GET /', versions: {}, status: 200, headers: {}, kind: 'text', body: Buffer.alloc(0), ...lasting(600), ...entry(index)
    }
    // With strings and a buffer of its own, as if another process had sent it.
    const name = Buffer.from(key(index)).toString()
    if (store instanceof MemoryStore) store.ensure(Object.keys(made.versions), text(22, index))
    await store.set(name, decodeEntry(name, encodeEntry(name, made))!)
  }
}

/** Compiles the code, and makes what it needs once. A compiler in another thread may hold what it has seen for a while. */
async function warmUp (where: string, what: string): Promise<WeakRef<CacheStore>> {
  const store = stores[where]!()
  await fill(store, shapes[what]!)
  return new WeakRef(store)
}

async function main ([where, what]: string[]): Promise<void> {
  const warm = await warmUp(where!, what!)
  while (warm.deref() !== undefined) {
    await turn()
    gc()
  }
  const store = stores[where!]!()
  const before = used()
  await fill(store, shapes[what!]!, FIRST)
  const bytes = used() - before
  let entries = 0
  for (let index = FIRST; index < FIRST + shapes[what!]!.count; index++) {
    const key = shapes[what!]!.key?.(index) ?? `p|n:GET /items/${index}`
    if ((await store.lookup(key, [])).entry !== undefined) entries++
  }
  sayHello({ bytes, entries } satisfies Filled)
}

if (require.main === module) main(process.argv.slice(2)).catch((error: unknown) => { throw error })
