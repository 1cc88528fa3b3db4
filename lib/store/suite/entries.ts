import assert from 'node:assert/strict'
import type { Entry } from '../../entry/entry.js'
import { assertEntry, bumped, entryOf, lasting, list, until, type Case } from './support.js'

/** What a store says of itself, and its entries. */
export const entryCases: Record<string, Case> = {
  async 'a store has a name for the log' (store) {
    assert.equal(typeof store.name, 'string')
    assert.notEqual(store.name, '')
  },

  async 'an opened store is ready and answers a ping' (store) {
    await store.ping?.()
    assert.notEqual(store.ready?.(), false)
  },

  async 'lookup finds neither an entry nor versions if there are none' (store, prefix) {
    const { entry, versions } = await store.lookup(`${prefix}|a:GET /`, [`${prefix}!version:a`, `${prefix}!tag:b`])
    assert.equal(entry, undefined)
    assert.deepEqual([...versions], [undefined, undefined])
  },

  async 'lookup finds the entry that was set, and the versions in the order of the names' (store, prefix) {
    const [a, b, none] = [`${prefix}!version:a`, `${prefix}!tag:b`, `${prefix}!tag:none`]
    const [tokenA, tokenB] = [await bumped(store, a), await bumped(store, b)]
    const entry = entryOf({ versions: { [a]: tokenA, [b]: tokenB } })
    await store.set(`${prefix}|a:GET /`, entry)
    const found = await store.lookup(`${prefix}|a:GET /`, [b, none, a])
    assertEntry(found.entry, entry)
    assert.deepEqual([...found.versions], [tokenB, undefined, tokenA])
  },

  async 'lookup returns an entry as it was set: every byte, header and field' (store, prefix) {
    const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    const entries: Entry[] = [
      entryOf({ kind: 'bytes', body: everyByte }),
      entryOf({ kind: 'text', body: Buffer.from('grüße 👋 \u0000\r\n') }),
      entryOf({ kind: 'empty', body: Buffer.alloc(0), status: 404 }),
      entryOf({ body: Buffer.alloc(1024 * 1024, 'large') }),
      entryOf({ headers: { link: ['</a>', '</b>'], 'content-type': 'text/plain; charset=utf-8' } }),
      entryOf({ application: 'shop' }),
      entryOf({ removedHeaders: ['x-removed'], extendedHeaders: { vary: ['', ', accept'] } }),
      entryOf({ kind: 'response', responseHeaders: ['content-type'] }),
      entryOf({ kind: 'stream', defaultHeaders: { etag: '"a"' } }),
      entryOf({ initialAge: 7, ...lasting(31_536_000), route: 'GET /users/:id' }),
      entryOf({ staleAt: Date.now() + 30_000 }),
      entryOf({ encoded: { br: everyByte, gzip: Buffer.from([0]) }, body: Buffer.from('plain') }),
      entryOf({ encoded: { gzip: everyByte }, plainLength: 1_000, body: Buffer.alloc(0) }),
      entryOf({ vary: ['accept', 'accept-language'], kind: 'empty', body: Buffer.alloc(0) })
    ]
    for (const [index, entry] of entries.entries()) await store.set(`${prefix}|a:GET /${index}`, entry)
    for (const [index, entry] of entries.entries()) {
      assertEntry((await store.lookup(`${prefix}|a:GET /${index}`, [`${prefix}!version:a`])).entry, entry)
    }
  },

  async 'set replaces an entry' (store, prefix) {
    const key = `${prefix}|a:GET /`
    await store.set(key, entryOf({ body: Buffer.from('the first, which is longer') }))
    const second = entryOf({ body: Buffer.from('the second') })
    await store.set(key, second)
    assertEntry((await store.lookup(key, [])).entry, second)
  },

  async 'keys that differ in one character are different keys, whatever the character and the length' (store, prefix) {
    const keys = [
      'GET /?a=1', 'GET /?A=1', 'GET /?a=%31', 'GET /*', 'GET /[a]', 'GET /\\', 'GET /~', "GET /'", 'GET / x',
      'GET /' + 'x'.repeat(400), 'GET /' + 'x'.repeat(399) + 'y'
    ].map((identity) => `${prefix}|a:${identity}`)
    for (const key of keys) await store.set(key, entryOf({ body: Buffer.from(key) }))
    for (const key of keys) assert.equal(String((await store.lookup(key, [])).entry?.body), key)
  },

  async 'an entry is kept at most until its deleteAt' (store, prefix) {
    const [short, long] = [`${prefix}|a:GET /short`, `${prefix}|a:GET /long`]
    await store.set(short, entryOf({ ...lasting(1) }))
    await store.set(long, entryOf({}))
    await until('the entry is gone', async () => (await store.lookup(short, [])).entry === undefined)
    assert.deepEqual(await list(store.keys(`${prefix}|`)), [long])
    assert.notEqual((await store.lookup(long, [])).entry, undefined)
  }
}
