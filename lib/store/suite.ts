import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Entry } from '../entry/entry.js'
import { CLOSED, type CacheStore, type MaybePromise } from './contract.js'

/** One sentence of the contract of a store, and what proves it. */
export interface StoreCase {
  readonly name: string
  /** Rejects with an AssertionError where the store does not keep the sentence. */
  run(): Promise<void>
}

/** Milliseconds that something may outlive its time in a store before it counts as kept too long. */
const GRACE = 3_000
/** More than a store is likely to list or to delete at once. */
const MANY = 2_500

/**
 * The contract of `CacheStore` as named cases, for whatever test runner:
 *
 *     for (const { name, run } of storeSuite(() => new MyStore())) test(name, run)
 *
 * Names that the cases use begin with a random text, so that they may run beside each other and
 * on a store that holds other things.
 * @param open a store that is ready to be used; each case opens one and closes it
 */
export function storeSuite (open: () => MaybePromise<CacheStore>): StoreCase[] {
  return Object.entries(cases).map(([name, prove]) => ({
    name,
    async run () {
      const store = await open()
      try {
        await prove(store, `suite-${randomUUID()}`)
      } finally {
        await store.close?.()
      }
    }
  }))
}

type Case = (store: CacheStore, prefix: string) => Promise<void>

const cases: Record<string, Case> = {
  async 'a store has a name for the log' (store) {
    assert.equal(typeof store.name, 'string')
    assert.notEqual(store.name, '')
  },

  async 'an opened store is ready and answers a ping' (store) {
    await store.ping?.()
    assert.notEqual(store.ready?.(), false)
  },

  async 'lookup finds neither an entry nor versions where there are none' (store, prefix) {
    const { entry, versions } = await store.lookup(`${prefix}|a:GET /`, [`${prefix}!version:a`, `${prefix}!tag:b`])
    assert.equal(entry, undefined)
    assert.deepEqual([...versions], [undefined, undefined])
  },

  async 'lookup finds the entry that was set, and the versions in the order asked for' (store, prefix) {
    const [a, b, none] = [`${prefix}!version:a`, `${prefix}!tag:b`, `${prefix}!tag:none`]
    const [tokenA, tokenB] = [await moved(store, a), await moved(store, b)]
    const entry = entryOf({ versions: { [a]: tokenA, [b]: tokenB } })
    await store.set(`${prefix}|a:GET /`, entry, 60)
    const found = await store.lookup(`${prefix}|a:GET /`, [b, none, a])
    assertEntry(found.entry, entry)
    assert.deepEqual([...found.versions], [tokenB, undefined, tokenA])
  },

  async 'an entry comes back as it was set: every byte, header and field' (store, prefix) {
    const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    const entries: Entry[] = [
      entryOf({ kind: 'bytes', body: everyByte }),
      entryOf({ kind: 'text', body: Buffer.from('grüße 👋 \u0000\r\n') }),
      entryOf({ kind: 'empty', body: Buffer.alloc(0), status: 404 }),
      entryOf({ body: Buffer.alloc(1024 * 1024, 'large') }),
      entryOf({ headers: { link: ['</a>', '</b>'], 'content-type': 'text/plain; charset=utf-8' }, removed: ['x-removed'] }),
      entryOf({ age: 7, lifetime: 31_536_000, route: 'GET /users/:id' }),
      entryOf({ variesOn: ['accept', 'accept-language'], kind: 'empty', body: Buffer.alloc(0) })
    ]
    for (const [index, entry] of entries.entries()) await store.set(`${prefix}|a:GET /${index}`, entry, 60)
    for (const [index, entry] of entries.entries()) {
      assertEntry((await store.lookup(`${prefix}|a:GET /${index}`, [`${prefix}!version:a`])).entry, entry)
    }
  },

  async 'set replaces the entry that a key had' (store, prefix) {
    const key = `${prefix}|a:GET /`
    await store.set(key, entryOf({ body: Buffer.from('the first, which is longer') }), 60)
    const second = entryOf({ body: Buffer.from('the second') })
    await store.set(key, second, 60)
    assertEntry((await store.lookup(key, [])).entry, second)
  },

  async 'keys that differ in one character are two keys, whatever the character and the length' (store, prefix) {
    const keys = [
      'GET /?a=1', 'GET /?A=1', 'GET /?a=%31', 'GET /*', 'GET /[a]', 'GET /\\', 'GET /~', "GET /'", 'GET / x',
      'GET /' + 'x'.repeat(400), 'GET /' + 'x'.repeat(399) + 'y'
    ].map((identity) => `${prefix}|a:${identity}`)
    for (const key of keys) await store.set(key, entryOf({ body: Buffer.from(key) }), 60)
    for (const key of keys) assert.equal(String((await store.lookup(key, [])).entry?.body), key)
  },

  async 'an entry is kept for at most the seconds it was given' (store, prefix) {
    const [short, long] = [`${prefix}|a:GET /short`, `${prefix}|a:GET /long`]
    await store.set(short, entryOf({ lifetime: 1 }), 1)
    await store.set(long, entryOf({}), 60)
    await until('the entry is gone', async () => (await store.lookup(short, [])).entry === undefined)
    assert.deepEqual(await list(store.keys(`${prefix}|`)), [long])
    assert.notEqual((await store.lookup(long, [])).entry, undefined)
  },

  async 'current tells the versions in the order asked for, undefined where there is none' (store, prefix) {
    const [a, b, none] = [`${prefix}!version:a`, `${prefix}!version:b`, `${prefix}!version:none`]
    const [tokenA, tokenB] = [await moved(store, a), await moved(store, b)]
    assert.notEqual(tokenA, tokenB)
    assert.deepEqual([...await store.current([b, none, a])], [tokenB, undefined, tokenA])
  },

  async 'claim creates the versions that are missing and leaves the others as they are' (store, prefix) {
    const [there, missing] = [`${prefix}!version:there`, `${prefix}!version:missing`]
    const before = await moved(store, there)
    const claimed = await store.claim([missing, there], 'token-fresh')
    assert.equal(claimed[1], before)
    assert.equal(typeof claimed[0], 'string')
    assert.notEqual(claimed[0], before)
    assert.deepEqual([...await store.current([missing, there])], claimed)
  },

  async 'of many claims at the same time one wins, and all are told which' (store, prefix) {
    const version = `${prefix}!version:a`
    const claimed = await Promise.all(Array.from({ length: 20 }, async (_, caller) => await store.claim([version], `token-${caller}`)))
    const [current] = await store.current([version])
    assert.notEqual(current, undefined)
    for (const [token] of claimed) assert.equal(token, current)
  },

  async 'move replaces versions whatever they were, those that do not exist too' (store, prefix) {
    const versions = [`${prefix}!version:a`, `${prefix}!version:b`, `${prefix}!tag:c`]
    await store.move(versions.slice(0, 2), 'token-old')
    const before = await store.current(versions)
    await store.move(versions, 'token-new')
    const after = await store.current(versions)
    versions.forEach((_, index) => { assertNew(after[index], before[index]) })
  },

  async 'a move leaves every other version alone' (store, prefix) {
    const others = [`${prefix}!version:ab`, `${prefix}!tag:a`]
    await store.move(others, 'token-other')
    const before = await store.current(others)
    await store.move([`${prefix}!version:a`], 'token-a')
    assert.deepEqual([...await store.current(others)], [...before])
  },

  async 'a confirmed move is what every later lookup, current and claim sees' (store, prefix) {
    const version = `${prefix}!version:a`
    const seen = new Set<string | undefined>([undefined])
    for (let round = 0; round < 50; round++) {
      await store.move([version], `token-${round}`)
      const [lookup, current, claimed] = await Promise.all([
        store.lookup(`${prefix}|a:GET /`, [version]), store.current([version]), store.claim([version], 'token-claimed')
      ])
      assert.ok(!seen.has(claimed[0]), 'the version from before is there still')
      assert.deepEqual([lookup.versions[0], current[0]], [claimed[0], claimed[0]])
      seen.add(claimed[0])
    }
  },

  async 'no claim that meets a move brings back what was before' (store, prefix) {
    for (let round = 0; round < 50; round++) {
      const version = `${prefix}!version:${round}`
      const [old] = round % 2 === 0 ? await store.claim([version], 'token-old') : []
      await Promise.all([store.claim([version], 'token-claimed'), store.move([version], 'token-new'), store.claim([version], 'token-claimed')])
      const [current] = await store.current([version])
      assertNew(current, old)
      assert.notEqual(current, 'token-claimed')
    }
  },

  async 'entries and versions of one name are two things' (store, prefix) {
    await store.set(`${prefix}|a:GET /`, entryOf({}), 60)
    await moved(store, `${prefix}!version:a`)
    assert.equal((await store.lookup(`${prefix}!version:a`, [])).entry, undefined)
  },

  async 'keys lists the entries that begin with a prefix, each at least once, and nothing else' (store, prefix) {
    const keys = Array.from({ length: MANY }, (_, index) => `${prefix}|a:GET /${index}`)
    await Promise.all(keys.map((key) => store.set(key, entryOf({ body: Buffer.alloc(0) }), 60)))
    await store.set(`${prefix}|ab:GET /`, entryOf({}), 60)
    await store.set(`x${prefix}|a:GET /`, entryOf({}), 60)
    await store.move([`${prefix}!version:a`], 'token')
    assert.deepEqual(await list(store.keys(`${prefix}|a:`)), keys.sort())
    assert.deepEqual(await list(store.keys(`${prefix}|none:`)), [])
  },

  async 'keys lists the versions that begin with a prefix, too' (store, prefix) {
    const versions = Array.from({ length: 50 }, (_, index) => `${prefix}!version:${index}`)
    await store.move(versions, 'token')
    await store.claim([`${prefix}!version:claimed`], 'token')
    await store.move([`${prefix}!tag:a`], 'token')
    assert.deepEqual(await list(store.keys(`${prefix}!version:`)), [...versions, `${prefix}!version:claimed`].sort())
  },

  async 'keys lists a version that is held, too, as what it was before may come back' (store, prefix) {
    const holds = holdsOf(store)
    if (holds === undefined) return
    const [held, other] = [`${prefix}!version:held`, `${prefix}!version:other`]
    await store.move([held, other], 'token')
    await holds.hold([held], 'writer', 60_000)
    assert.deepEqual(await list(store.keys(`${prefix}!version:`)), [held, other])
    assert.deepEqual(await list(store.keys(`${prefix}!tag:`)), [])
    await holds.letGo([held], 'writer', 'token-after', false)
    assert.deepEqual(await list(store.keys(`${prefix}!version:`)), [held, other])
  },

  async 'no character of a prefix is a pattern' (store, prefix) {
    for (const odd of ['*', '?', '[a-z]', '[^b]', '\\', '.']) {
      await store.set(`${prefix}|${odd}:GET /`, entryOf({}), 60)
      await store.set(`${prefix}|a:GET /`, entryOf({}), 60)
      assert.deepEqual(await list(store.keys(`${prefix}|${odd}:`)), [`${prefix}|${odd}:GET /`])
      assert.equal(await store.sweep(`${prefix}|${odd}:`, () => false), 1)
      assert.notEqual((await store.lookup(`${prefix}|a:GET /`, [])).entry, undefined)
    }
  },

  async 'sweep deletes the entries below a prefix that are not current, tells how many, and leaves all else' (store, prefix) {
    const version = `${prefix}!version:a`
    const current = await moved(store, version)
    const old = Array.from({ length: MANY }, (_, index) => `${prefix}|a:GET /old/${index}`)
    const kept = [`${prefix}|a:GET /new`, `${prefix}|ab:GET /old`]
    await Promise.all(old.map((key) => store.set(key, entryOf({ versions: { [version]: 'token-old' } }), 60)))
    await store.set(kept[0]!, entryOf({ versions: { [version]: current } }), 60)
    await store.set(kept[1]!, entryOf({ versions: { [version]: 'token-old' } }), 60)

    assert.equal(await store.sweep(`${prefix}|a:`, (versions) => versions[version] === current), MANY)
    assert.deepEqual(await list(store.keys(`${prefix}|`)), kept)
    assert.deepEqual([...await store.current([version])], [current])
    assert.equal(await store.sweep(`${prefix}|a:`, (versions) => versions[version] === current), 0)
  },

  async 'sweep shows all versions that an entry was filled under, however many' (store, prefix) {
    const versions = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`${prefix}!tag:${index}`, `token-${index}`]))
    await store.set(`${prefix}|a:GET /`, entryOf({ versions }), 60)
    let asked = 0
    await store.sweep(`${prefix}|`, (filledUnder) => {
      asked++
      assert.deepEqual({ ...filledUnder }, versions)
      return true
    })
    assert.notEqual(asked, 0)
  },

  async 'a version that is held counts as none, and nobody can claim it until its writer lets go' (store, prefix) {
    const holds = holdsOf(store)
    if (holds === undefined) return
    const [held, missing, other] = [`${prefix}!version:held`, `${prefix}!version:missing`, `${prefix}!version:other`]
    const [before, beside] = [await moved(store, held), await moved(store, other)]
    await holds.hold([held, missing], 'writer', 60_000)
    assert.deepEqual([...await store.current([held, other, missing])], [undefined, beside, undefined])
    assert.deepEqual([...(await store.lookup(`${prefix}|a:GET /`, [held])).versions], [undefined])
    assert.deepEqual(await store.claim([held, other, missing], 'token-claimed'), [CLOSED, beside, CLOSED])
    await holds.letGo([held, missing], 'writer', 'token-after', true)
    const after = await store.current([held, missing])
    assertNew(after[0], before)
    assertNew(after[1], undefined)
  },

  async 'a held version that no writer has moved is what it was before, once all have let go' (store, prefix) {
    const holds = holdsOf(store)
    if (holds === undefined) return
    const version = `${prefix}!version:a`
    const before = await moved(store, version)
    await holds.hold([version], 'one', 60_000)
    await holds.hold([version], 'two', 60_000)
    await holds.letGo([version], 'two', 'token-two', false)
    assert.deepEqual(await store.claim([version], 'token-claimed'), [CLOSED])
    await holds.letGo([version], 'one', 'token-one', false)
    assert.deepEqual([...await store.current([version])], [before])
  },

  async 'a held version that one of its writers has moved is a new one, once all have let go' (store, prefix) {
    const holds = holdsOf(store)
    if (holds === undefined) return
    const version = `${prefix}!version:a`
    const before = await moved(store, version)
    await holds.hold([version], 'one', 60_000)
    await holds.hold([version], 'two', 60_000)
    await holds.letGo([version], 'one', 'token-one', true)
    assert.deepEqual(await store.claim([version], 'token-claimed'), [CLOSED])
    await holds.letGo([version], 'two', 'token-two', false)
    assertNew((await store.current([version]))[0], before)
  },

  async 'a move of a held version leaves it held, and what was before never comes back' (store, prefix) {
    const holds = holdsOf(store)
    if (holds === undefined) return
    const version = `${prefix}!version:a`
    const before = await moved(store, version)
    await holds.hold([version], 'writer', 60_000)
    await store.move([version], 'token-moved')
    assert.deepEqual(await store.claim([version], 'token-claimed'), [CLOSED])
    await holds.letGo([version], 'writer', 'token-after', false)
    assertNew((await store.current([version]))[0], before)
  },

  async 'a hold ends with its time, and what was before never comes back' (store, prefix) {
    const holds = holdsOf(store)
    if (holds === undefined) return
    const [version, shared] = [`${prefix}!version:a`, `${prefix}!version:shared`]
    const [before, sharedBefore] = [await moved(store, version), await moved(store, shared)]
    await holds.hold([shared], 'lost', 100)
    await holds.hold([version], 'late', 100)
    await holds.hold([shared], 'writer', 60_000)
    await until('the hold is over', async () => (await store.claim([version], 'token-claimed'))[0] !== CLOSED)
    const [claimed] = await store.current([version])
    assertNew(claimed, before)
    await holds.letGo([version], 'late', 'token-late', true)
    assertNew((await store.current([version]))[0], claimed)
    await holds.letGo([shared], 'writer', 'token-after', false)
    assertNew((await store.current([shared]))[0], sharedBefore)
  },

  async 'a lease has one holder at a time, until it gives it back or the time is over' (store, prefix) {
    const leases = leasesOf(store)
    if (leases === undefined) return
    const key = `${prefix}!lease:a`
    const taken = await Promise.all(['one', 'two', 'three'].map(async (holder) => await leases.lease(key, holder, 60_000)))
    assert.equal(taken.filter(Boolean).length, 1)
    const holder = ['one', 'two', 'three'][taken.indexOf(true)]!
    assert.equal(await leases.lease(`${prefix}!lease:b`, 'another', 60_000), true)

    await leases.release(key, 'another', 'news')
    assert.equal(await leases.lease(key, 'another', 60_000), false)
    await leases.release(key, holder, 'news')
    assert.equal(await leases.lease(key, 'another', 100), true)
    await until('the lease is over', async () => await leases.lease(key, 'a third', 60_000))
  },

  async 'the holder of a lease can prolong it' (store, prefix) {
    const leases = leasesOf(store)
    if (leases === undefined) return
    const [prolonged, left] = [`${prefix}!lease:prolonged`, `${prefix}!lease:left`]
    assert.equal(await leases.lease(prolonged, 'holder', 100), true)
    assert.equal(await leases.lease(prolonged, 'holder', 60_000), true)
    assert.equal(await leases.lease(left, 'holder', 100), true)
    await until('the lease is over', async () => await leases.lease(left, 'another', 60_000))
    assert.equal(await leases.lease(prolonged, 'another', 60_000), false)
  },

  async 'a lease that is given back is told to those who listen' (store, prefix) {
    const leases = leasesOf(store)
    if (leases === undefined || store.listen === undefined) return
    const key = `${prefix}!lease:a`
    const told: Array<[string, string]> = []
    store.listen((released, news) => { told.push([released, news]) })
    // It may take a store a moment before it hears.
    await until('the lease that is given back is told', async () => {
      await leases.lease(key, 'holder', 60_000)
      await leases.release(key, 'holder', 'news')
      return told.some(([released]) => released === key)
    })
    for (const [released, news] of told) if (released === key) assert.equal(news, 'news')
  }
}

/** Only stores for `strict` writes have them. */
function holdsOf (store: CacheStore): Pick<Required<CacheStore>, 'hold' | 'letGo'> | undefined {
  if (store.hold === undefined && store.letGo === undefined) return undefined
  assert.ok(store.hold !== undefined && store.letGo !== undefined, 'a store has both hold and letGo, or neither')
  return { hold: store.hold.bind(store), letGo: store.letGo.bind(store) }
}

/** Only stores for `coalesce: 'fleet'` have them. */
function leasesOf (store: CacheStore): Pick<Required<CacheStore>, 'lease' | 'release'> | undefined {
  if (store.lease === undefined && store.release === undefined) return undefined
  assert.ok(store.lease !== undefined && store.release !== undefined, 'a store has both lease and release, or neither')
  return { lease: store.lease.bind(store), release: store.release.bind(store) }
}

/** Moves a version; what it is then. A store may make a text of its own of the one that it is given. */
async function moved (store: CacheStore, version: string): Promise<string> {
  const [before] = await store.current([version])
  await store.move([version], `token-${randomUUID()}`)
  const [after] = await store.current([version])
  assertNew(after, before)
  return after!
}

function assertNew (version: string | undefined, before: string | undefined): void {
  assert.equal(typeof version, 'string')
  assert.notEqual(version, before)
}

function entryOf (fields: Partial<Entry>): Entry {
  return {
    route: 'GET /',
    versions: {},
    status: 200,
    headers: { 'content-type': 'application/json; charset=utf-8' },
    kind: 'text',
    body: Buffer.from('{}'),
    filledAt: Date.now(),
    age: 0,
    lifetime: 60,
    removed: undefined,
    variesOn: undefined,
    ...fields
  }
}

function assertEntry (found: Entry | undefined, expected: Entry): void {
  assert.ok(found !== undefined, 'no entry was found')
  const { body, text, ...rest } = found
  const { body: expectedBody, ...expectedRest } = expected
  assert.deepEqual({ removed: undefined, variesOn: undefined, ...rest, versions: { ...rest.versions } }, expectedRest)
  assert.ok(body.equals(expectedBody), 'the body is another')
  if (text !== undefined) assert.equal(text, expectedBody.toString())
}

async function list (keys: AsyncIterable<string>): Promise<string[]> {
  const found = new Set<string>()
  for await (const key of keys) found.add(key)
  return [...found].sort()
}

async function until (what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + GRACE
  while (!await holds()) {
    assert.ok(Date.now() < end, `${what} too late`)
    await delay(20)
  }
}
