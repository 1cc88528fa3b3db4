import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import type { Entry } from '../../index.js'
import { CLOSED } from '../../lib/store/contract.js'
import { MemoryStore } from '../../lib/store/memory-store.js'
import { storeSuite } from '../../lib/store/suite.js'
import { lasting } from '../support/entry.js'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

for (const { name, run } of storeSuite(() => new MemoryStore())) t.test(`in memory: ${name}`, run)

function entry (body: string, versions: Record<string, string> = {}): Entry {
  return { route: 'GET /', versions, status: 200, headers: {}, kind: 'text', body: Buffer.from(body), ...lasting(60) }
}

async function keysOf (store: MemoryStore): Promise<string[]> {
  const keys: string[] = []
  for await (const key of store.keys('p|')) keys.push(key)
  return keys.sort()
}

t.test('above maxEntries the least recently used entry is removed', async (t) => {
  const store = new MemoryStore({ maxEntries: 2 })
  store.set('p|a', entry('a'))
  store.set('p|b', entry('b'))
  store.lookup('p|a', [])
  store.set('p|c', entry('c'))
  t.same(await keysOf(store), ['p|a', 'p|c'])
})

t.test('bodies, headers and keys together stay below maxBytes', async (t) => {
  const store = new MemoryStore({ maxBytes: 1_000_000 })
  for (let index = 0; index < 200; index++) store.set(`p|${index}`, entry('x'.repeat(10_000)))
  const { length } = await keysOf(store)
  t.ok(length > 40 && length < 100, `${length} entries of 10,000 bytes`)
  store.set('p|headers', { ...entry(''), headers: { 'x-large': 'x'.repeat(900_000) } })
  t.ok((await keysOf(store)).length < 10)
  store.set(`p|${'x'.repeat(990_000)}`, entry(''))
  t.equal((await keysOf(store)).length, 1)
})

const text = (length: number): string => 'x'.repeat(length)
const list = (length: number): string[] => Array.from({ length }, (_, index) => String(index).padStart(6, '0'))
const record = <T>(length: number, value: T): Record<string, T> => Object.fromEntries(list(length).map((item) => [`x-name-${item}`, value]))

/** Entries of many shapes, and how many bytes of memory each takes with strings of its own, as measured on Node 20. */
const shapes: Array<[what: string, bytes: number, entry: Entry]> = [
  ['little else than a body', 1_400, { ...entry(text(20)), headers: record(1, text(20)), defaultHeaders: record(2, text(29)) }],
  ['a text', 4_900, entry(text(4_000))],
  ['bytes', 4_900, { ...entry(''), kind: 'bytes', body: Buffer.alloc(4_000) }],
  ['many tags', 44_000, entry(text(20), Object.fromEntries(list(300).map((item) => [`p!tag:{12}x-name-${item}`, text(35)])))],
  ['many headers', 15_000, { ...entry(''), headers: record(100, text(20)) }],
  ['a header with many values', 35_000, { ...entry(''), headers: { 'x-values': list(1_000) } }],
  ['headers of all other kinds', 25_000, {
    ...entry(''),
    removedHeaders: list(50),
    responseHeaders: list(50),
    vary: list(50),
    defaultHeaders: record(50, text(10)),
    extendedHeaders: record(50, [text(10), text(10)] as const)
  }]
]
for (const [what, bytes, one] of shapes) {
  t.test(`entries with ${what} take no more than one and a half times maxBytes of memory, and more than a half`, async (t) => {
    const maxBytes = 1024 * 1024
    const store = new MemoryStore({ maxBytes })
    for (let index = 0; index < 1_000; index++) store.set(`p|${String(index).padStart(40, '0')}`, one)
    const { length } = await keysOf(store)
    t.ok(length * bytes < 1.5 * maxBytes && length * bytes > 0.5 * maxBytes, `${length} entries`)
  })
}

t.test('an entry keeps no other memory alive', async (t) => {
  const store = new MemoryStore()
  const piece = Buffer.from('a piece of something larger').subarray(2, 7)
  for (const body of [piece, Buffer.alloc(10_000, 'x'), Buffer.alloc(0)]) {
    store.set('p|a', { ...entry(''), kind: 'bytes', body })
    const kept = store.lookup('p|a', []).entry!.body
    t.same(kept, body)
    t.equal(kept.buffer.byteLength, body.length)
  }
})

t.test('an encoded body keeps no other memory alive', async (t) => {
  const store = new MemoryStore()
  const br = Buffer.from('a piece of something larger').subarray(2, 7)
  store.set('p|a', { ...entry('plain'), encoded: { br } })
  const kept = store.lookup('p|a', []).entry!.encoded!.br!
  t.same(kept, br)
  t.equal(kept.buffer.byteLength, br.length)
})

t.test('a string that was cut from a larger one does not keep that in memory', async (t) => {
  const store = new MemoryStore()
  const used = (): number => {
    gc()
    return process.memoryUsage().heapUsed
  }
  // In a function of its own: what this one has in hand is not collected.
  const fill = (index: number): void => {
    const large = `${index}${'x'.repeat(10_000_000)}`
    Buffer.byteLength(large)
    const text = large.slice(1, 101)
    store.set(`p|${index}`, { ...entry(text), text })
  }
  const before = used()
  for (let index = 0; index < 5; index++) fill(index)
  const kept = used() - before
  t.ok(kept < 10_000_000, `${kept} bytes`)
  t.equal(store.lookup('p|4', []).entry?.text, 'x'.repeat(100))
})

t.test('an entry larger than maxBytes is not kept, nor is the entry that it would replace', async (t) => {
  const store = new MemoryStore({ maxBytes: 100_000 })
  store.set('p|a', entry('old'))
  store.set('p|b', entry('other'))
  store.set('p|a', entry('x'.repeat(200_000)))
  t.same(await keysOf(store), ['p|b'])
})

t.test('versions do not take the place of entries', async (t) => {
  const store = new MemoryStore({ maxEntries: 1 })
  store.set('p|a', entry('a'))
  store.bump(Array.from({ length: 1_000 }, (_, index) => `p!version:${index}`), 'token')
  t.same(await keysOf(store), ['p|a'])
})

t.test('names that are never asked again do not fill the memory with versions', async (t) => {
  const store = new MemoryStore({ maxBytes: 4_000_000 })
  const used = (): number => {
    gc()
    return process.memoryUsage().heapUsed
  }
  const before = used()
  for (let index = 0; index < 100_000; index++) store.ensure([`p!version:${'x'.repeat(100)}${index}`], `token-${index}`)
  t.ok(used() - before < 2_000_000, `${used() - before} bytes`)
  t.same(store.versions([`p!version:${'x'.repeat(100)}99999`]), ['token-99999'])
})

t.test('holds whose writers never end are forgotten when they have expired, though nobody asks for their names', async (t) => {
  const store = new MemoryStore()
  const used = (): number => {
    gc()
    return process.memoryUsage().heapUsed
  }
  const before = used()
  const held = 50_000
  for (let index = 0; index < held; index++) store.intents.begin([`p!version:dead-${index}`], 'writer', 1)
  store.intents.begin(['p!version:alive'], 'writer', 60_000)
  // Each of these looks for some of them.
  for (let index = 0; index < held / 50; index++) store.ensure([`p!version:other-${index}`], 'fresh')
  t.ok(used() - before < 1_000_000, `${used() - before} bytes`)
  t.same(store.ensure(['p!version:alive', 'p!version:dead-0'], 'fresh'), [CLOSED, 'fresh'])
})
