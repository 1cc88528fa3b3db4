import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Entry } from '../entry/entry.js'
import { CLOSED, isSettling, type CacheStore, type MaybePromise } from './contract.js'

/** One rule of the contract of a store, and its test. */
export interface StoreCase {
  readonly name: string
  /** Rejects with an AssertionError if the store breaks the rule. */
  run(): Promise<void>
}

/** Milliseconds that a store may be late with anything, such as an expiry. */
const GRACE = 3_000
/** Milliseconds by which a store's clock may round. */
const ROUNDING = 50
/** More entries than a store is likely to list or delete at once. */
const MANY = 2_500

/**
 * The contract of `CacheStore` as named cases, for any test runner:
 *
 *     for (const { name, run } of storeSuite(() => new MyStore())) test(name, run)
 *
 * All names that the cases use begin with a random string, so that they can run in parallel, and on a
 * store with other content.
 * @param open opens a store that is ready; each case opens one and closes it
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
  },

  async 'versions returns versions in the order of the names, undefined for those that do not exist' (store, prefix) {
    const [a, b, none] = [`${prefix}!version:a`, `${prefix}!version:b`, `${prefix}!version:none`]
    const [tokenA, tokenB] = [await bumped(store, a), await bumped(store, b)]
    assert.notEqual(tokenA, tokenB)
    assert.deepEqual([...await store.versions([b, none, a])], [tokenB, undefined, tokenA])
  },

  async 'ensure creates missing versions and leaves the others as they are' (store, prefix) {
    const [there, missing] = [`${prefix}!version:there`, `${prefix}!version:missing`]
    const before = await bumped(store, there)
    const ensured = await store.ensure([missing, there], 'token-fresh')
    assert.equal(ensured[1], before)
    assert.equal(typeof ensured[0], 'string')
    assert.notEqual(ensured[0], before)
    assert.deepEqual([...await store.versions([missing, there])], ensured)
  },

  async 'of many concurrent calls of ensure one creates the version, and all return it' (store, prefix) {
    const version = `${prefix}!version:a`
    const callers = Array.from({ length: 20 }, (_, caller) => `token-${caller}`)
    const ensured = await Promise.all(callers.map(async (fresh) => await store.ensure([version], fresh)))
    const [current] = await store.versions([version])
    assert.notEqual(current, undefined)
    for (const [token] of ensured) assert.equal(token, current)
  },

  async 'bump replaces all given versions, also if some do not exist' (store, prefix) {
    const versions = [`${prefix}!version:a`, `${prefix}!tag:none`, `${prefix}!version:b`, `${prefix}!tag:c`]
    await store.ensure([versions[0]!, versions[2]!, versions[3]!], 'token-old')
    const before = await store.versions(versions)
    await store.bump(versions, 'token-new')
    const after = await store.versions(versions)
    for (const index of [0, 2, 3]) assertNew(after[index], before[index])
  },

  async 'bump replaces hundreds of versions' (store, prefix) {
    const versions = Array.from({ length: 500 }, (_, index) => `${prefix}!tag:{${index % 7}}${index}`)
    const before = await store.ensure(versions, 'token-old')
    assert.deepEqual([...await store.versions(versions)], before)
    await store.bump(versions, 'token-new')
    const after = await store.versions(versions)
    versions.forEach((_, index) => { assertNew(after[index], before[index]) })
  },

  async 'a bump does not change any other version' (store, prefix) {
    const others = [`${prefix}!version:ab`, `${prefix}!tag:a`]
    await store.ensure(others, 'token-other')
    const before = await store.versions(others)
    await store.bump([`${prefix}!version:a`], 'token-a')
    assert.deepEqual([...await store.versions(others)], [...before])
  },

  async 'a bump with a window also creates versions, and all of them are missing when it ends' (store, prefix) {
    const [there, none] = [`${prefix}!version:there`, `${prefix}!version:none`]
    const before = await bumped(store, there)
    const since = Date.now()
    await store.bump([there, none], 'token-window', 400)
    const settling = await store.versions([there, none])
    assertNew(settling[0], before)
    for (const version of settling) assert.ok(isSettling(version ?? ''), 'is the version of a window')
    assert.deepEqual(await store.ensure([there, none], 'token-ensured'), settling)
    await until('the window ends', async () => (await store.versions([there, none])).every((one) => one === undefined))
    assert.ok(Date.now() - since >= 350, 'the window ended too early')
    for (const fresh of await store.ensure([there, none], 'token-after')) assert.ok(!isSettling(fresh))
  },

  async 'a bump within a window makes another version, and the longest window counts' (store, prefix) {
    const names = ['plain', 'shorter', 'longer'].map((name) => `${prefix}!version:${name}`)
    const [plain, shorter, longer] = names as [string, string, string]
    await store.bump([plain, shorter], 'token-window', 600)
    await store.bump([longer], 'token-window', 100)
    const before = await store.versions(names)
    await store.bump([plain], 'token-plain')
    await store.bump([shorter], 'token-shorter', 100)
    await store.bump([longer], 'token-longer', 60_000)
    const after = await store.versions(names)
    after.forEach((version, index) => {
      assertNew(version, before[index])
      assert.ok(isSettling(version ?? ''), 'is the version of a window')
    })
    await delay(200)
    assert.deepEqual([...await store.versions(names)], [...after])
    await until('the window ends', async () =>
      (await store.versions([plain, shorter])).every((version) => version === undefined))
    assert.deepEqual([...await store.versions([longer])], [after[2]])
  },

  async 'a bump is not one of a window unless it says so' (store, prefix) {
    const version = `${prefix}!version:a`
    assert.ok(!isSettling(await bumped(store, version)))
    await store.bump([version], 'token', 0)
    assert.ok(!isSettling((await store.versions([version]))[0]!))
  },

  async 'the window of a held version begins when the hold ends' (store, prefix) {
    const intents = partOf('intents', store.intents, ['begin', 'end'])
    if (intents === undefined) return
    const names = ['there', 'none', 'within'].map((name) => `${prefix}!version:${name}`)
    const [there, none, within] = names as [string, string, string]
    await bumped(store, there)
    await store.bump([within], 'token-window', 60_000)
    const before = await store.versions(names)
    await intents.begin(names, 'writer', 60_000)
    await store.bump([there, none], 'token-bumped', 60_000)
    await store.bump([there, none], 'token-plain')
    assert.deepEqual(await store.ensure(names, 'token-ensured'), [CLOSED, CLOSED, CLOSED])
    await intents.end(names, 'writer', 'token-after', false)
    const after = await store.versions(names)
    after.forEach((version, index) => {
      assertNew(version, before[index])
      assert.ok(isSettling(version ?? ''), 'is the version of a window')
    })
  },

  async 'every lookup, versions and ensure after a confirmed bump sees it' (store, prefix) {
    const version = `${prefix}!version:a`
    const seen = new Set<string | undefined>([undefined, ...await store.ensure([version], 'token')])
    for (let round = 0; round < 50; round++) {
      await store.bump([version], `token-${round}`)
      const [lookup, current, ensured] = await Promise.all([
        store.lookup(`${prefix}|a:GET /`, [version]),
        store.versions([version]),
        store.ensure([version], 'token-ensured')
      ])
      assert.ok(!seen.has(ensured[0]), 'the version from before still exists')
      assert.deepEqual([lookup.versions[0], current[0]], [ensured[0], ensured[0]])
      seen.add(ensured[0])
    }
  },

  async 'an ensure during a bump never restores the version before' (store, prefix) {
    for (let round = 0; round < 50; round++) {
      const version = `${prefix}!version:${round}`
      const [old] = await store.ensure([version], 'token-old')
      const ensure = async (): Promise<unknown> => await store.ensure([version], 'token-ensured')
      await Promise.all([ensure(), store.bump([version], 'token-new'), ensure()])
      const [current] = await store.versions([version])
      assertNew(current, old)
      assert.notEqual(current, 'token-ensured')
    }
  },

  async 'a version is not an entry' (store, prefix) {
    await store.set(`${prefix}|a:GET /`, entryOf({}))
    await bumped(store, `${prefix}!version:a`)
    assert.equal((await store.lookup(`${prefix}!version:a`, [])).entry, undefined)
  },

  async 'keys lists the entries that begin with a prefix, each at least once, and nothing else' (store, prefix) {
    const keys = Array.from({ length: MANY }, (_, index) => `${prefix}|a:GET /${index}`)
    await Promise.all(keys.map((key) => store.set(key, entryOf({ body: Buffer.alloc(0) }))))
    await store.set(`${prefix}|ab:GET /`, entryOf({}))
    await store.set(`x${prefix}|a:GET /`, entryOf({}))
    await store.ensure([`${prefix}!version:a`], 'token')
    assert.deepEqual(await list(store.keys(`${prefix}|a:`)), keys.sort())
    assert.deepEqual(await list(store.keys(`${prefix}|none:`)), [])
  },

  async 'keys also lists the versions that begin with a prefix' (store, prefix) {
    const versions = Array.from({ length: 50 }, (_, index) => `${prefix}!version:${index}`)
    await store.ensure(versions, 'token')
    await store.bump(versions, 'token-new')
    await store.ensure([`${prefix}!version:ensured`, `${prefix}!tag:a`], 'token')
    assert.deepEqual(await list(store.keys(`${prefix}!version:`)), [...versions, `${prefix}!version:ensured`].sort())
  },

  async 'keys also lists a held version, because it may be restored' (store, prefix) {
    const intents = partOf('intents', store.intents, ['begin', 'end'])
    if (intents === undefined) return
    const [held, other] = [`${prefix}!version:held`, `${prefix}!version:other`]
    await store.ensure([held, other], 'token')
    await intents.begin([held], 'writer', 60_000)
    assert.deepEqual(await list(store.keys(`${prefix}!version:`)), [held, other])
    assert.deepEqual(await list(store.keys(`${prefix}!tag:`)), [])
    await intents.end([held], 'writer', 'token-after', false)
    assert.deepEqual(await list(store.keys(`${prefix}!version:`)), [held, other])
  },

  async 'characters in a prefix have no special meaning' (store, prefix) {
    for (const odd of ['*', '?', '[a-z]', '[^b]', '\\', '.']) {
      await store.set(`${prefix}|${odd}:GET /`, entryOf({}))
      await store.set(`${prefix}|a:GET /`, entryOf({}))
      assert.deepEqual(await list(store.keys(`${prefix}|${odd}:`)), [`${prefix}|${odd}:GET /`])
      assert.equal(await store.sweep(`${prefix}|${odd}:`, () => false), 1)
      assert.notEqual((await store.lookup(`${prefix}|a:GET /`, [])).entry, undefined)
    }
  },

  async 'sweep deletes the entries under a prefix that are not current, and returns how many' (store, prefix) {
    const version = `${prefix}!version:a`
    const current = await bumped(store, version)
    const old = Array.from({ length: MANY }, (_, index) => `${prefix}|a:GET /old/${index}`)
    const kept = [`${prefix}|a:GET /new`, `${prefix}|ab:GET /old`]
    await Promise.all(old.map((key) => store.set(key, entryOf({ versions: { [version]: 'token-old' } }))))
    await store.set(kept[0]!, entryOf({ versions: { [version]: current } }))
    await store.set(kept[1]!, entryOf({ versions: { [version]: 'token-old' } }))

    assert.equal(await store.sweep(`${prefix}|a:`, (versions) => versions[version] === current), MANY)
    assert.deepEqual(await list(store.keys(`${prefix}|`)), kept)
    assert.deepEqual([...await store.versions([version])], [current])
    assert.equal(await store.sweep(`${prefix}|a:`, (versions) => versions[version] === current), 0)
  },

  async 'sweep passes on all versions that an entry was filled under, however many' (store, prefix) {
    const tags = Array.from({ length: 50 }, (_, index) => `${prefix}!tag:${index}`)
    const versions = Object.fromEntries(tags.map((tag, index) => [tag, `token-${index}`]))
    await store.set(`${prefix}|a:GET /`, entryOf({ versions }))
    let asked = 0
    await store.sweep(`${prefix}|`, (filledUnder) => {
      asked++
      assert.deepEqual({ ...filledUnder }, versions)
      return true
    })
    assert.notEqual(asked, 0)
  },

  async 'sweep waits for an isCurrent that answers later' (store, prefix) {
    const version = `${prefix}!version:a`
    const [old, kept] = [`${prefix}|a:GET /old`, `${prefix}|a:GET /new`]
    await store.set(old, entryOf({ versions: { [version]: 'token-old' } }))
    await store.set(kept, entryOf({ versions: { [version]: 'token-new' } }))
    assert.equal(await store.sweep(`${prefix}|a:`, async (versions) => versions[version] === 'token-new'), 1)
    assert.deepEqual(await list(store.keys(`${prefix}|`)), [kept])
  },

  async 'sweep of several namespaces deletes the entries of each, and names all of them or none' (store, prefix) {
    const version = `${prefix}!version:a`
    const old = ['a:GET /1', 'a:GET /2', 'b:GET /1'].map((key) => [`${prefix}|${key}`, `old-${key}`] as const)
    const kept = [`${prefix}|a:GET /new`, `${prefix}|c:GET /old`, `${prefix}|d:GET /`]
    for (const [key, token] of old) await store.set(key, entryOf({ versions: { [version]: token } }))
    for (const key of kept) await store.set(key, entryOf({ versions: { [version]: 'current' } }))
    const deleted: string[] = []
    const swept = await store.sweep(`${prefix}|`, (versions) => versions[version] === 'current', {
      namespaces: new Set(['a', 'b', 'none'].map((name) => `${prefix}|${name}:`)),
      deleted: (versions) => { deleted.push(versions[version]!) }
    })
    assert.equal(swept, old.length)
    assert.deepEqual(await list(store.keys(`${prefix}|`)), kept)
    if (deleted.length > 0) assert.deepEqual(deleted.sort(), old.map(([, token]) => token))
  },

  async 'a held version counts as missing, and cannot be ensured until its writer has ended' (store, prefix) {
    const intents = partOf('intents', store.intents, ['begin', 'end'])
    if (intents === undefined) return
    const [held, missing, other] = [`${prefix}!version:held`, `${prefix}!version:missing`, `${prefix}!version:other`]
    const [before, beside] = [await bumped(store, held), await bumped(store, other)]
    await intents.begin([held, missing], 'writer', 60_000)
    assert.deepEqual([...await store.versions([held, other, missing])], [undefined, beside, undefined])
    assert.deepEqual([...(await store.lookup(`${prefix}|a:GET /`, [held])).versions], [undefined])
    assert.deepEqual(await store.ensure([held, other, missing], 'token-ensured'), [CLOSED, beside, CLOSED])
    await intents.end([held, missing], 'writer', 'token-after', true)
    assertNew((await store.versions([held]))[0], before)
    assert.notEqual((await store.ensure([missing], 'token-missing'))[0], CLOSED)
  },

  async 'a held version is restored when all its writers have ended and none has written' (store, prefix) {
    const intents = partOf('intents', store.intents, ['begin', 'end'])
    if (intents === undefined) return
    const version = `${prefix}!version:a`
    const before = await bumped(store, version)
    await intents.begin([version], 'one', 60_000)
    await intents.begin([version], 'two', 60_000)
    await intents.end([version], 'two', 'token-two', false)
    assert.deepEqual(await store.ensure([version], 'token-ensured'), [CLOSED])
    await intents.end([version], 'one', 'token-one', false)
    assert.deepEqual([...await store.versions([version])], [before])
  },

  async 'a held version is replaced when all its writers have ended and one has written' (store, prefix) {
    const intents = partOf('intents', store.intents, ['begin', 'end'])
    if (intents === undefined) return
    const version = `${prefix}!version:a`
    const before = await bumped(store, version)
    await intents.begin([version], 'one', 60_000)
    await intents.begin([version], 'two', 60_000)
    await intents.end([version], 'one', 'token-one', true)
    assert.deepEqual(await store.ensure([version], 'token-ensured'), [CLOSED])
    await intents.end([version], 'two', 'token-two', false)
    assertNew((await store.versions([version]))[0], before)
  },

  async 'a bump of a held version leaves it held, and the version before is never restored' (store, prefix) {
    const intents = partOf('intents', store.intents, ['begin', 'end'])
    if (intents === undefined) return
    const version = `${prefix}!version:a`
    const before = await bumped(store, version)
    await intents.begin([version], 'writer', 60_000)
    await store.bump([version], 'token-bumped')
    assert.deepEqual(await store.ensure([version], 'token-ensured'), [CLOSED])
    await intents.end([version], 'writer', 'token-after', false)
    assertNew((await store.versions([version]))[0], before)
  },

  async 'a writer can renew its intent, without an effect on the intents of others' (store, prefix) {
    const intents = partOf('intents', store.intents, ['begin', 'end'])
    if (intents === undefined) return
    const [renewed, expiring] = [`${prefix}!version:renewed`, `${prefix}!version:expiring`]
    const before = await bumped(store, renewed)
    await intents.begin([renewed, expiring], 'writer', 100)
    await intents.begin([renewed], 'writer', 60_000)
    await until('the hold is over', async () => (await store.ensure([expiring], 'token-ensured'))[0] !== CLOSED)
    assert.deepEqual(await store.ensure([renewed], 'token-ensured'), [CLOSED])
    await intents.begin([renewed], 'another', 60_000)
    await intents.begin([renewed], 'writer', 60_000)
    await intents.end([renewed], 'writer', 'token-after', false)
    assert.deepEqual(await store.ensure([renewed], 'token-ensured'), [CLOSED])
    await intents.end([renewed], 'another', 'token-after', false)
    assert.deepEqual([...await store.versions([renewed])], [before])
  },

  async 'a hold expires, and the version before is never restored' (store, prefix) {
    const intents = partOf('intents', store.intents, ['begin', 'end'])
    if (intents === undefined) return
    const [version, shared] = [`${prefix}!version:a`, `${prefix}!version:shared`]
    const [before, sharedBefore] = [await bumped(store, version), await bumped(store, shared)]
    await intents.begin([shared], 'lost', 100)
    await intents.begin([version], 'late', 100)
    await intents.begin([shared], 'writer', 60_000)
    await until('the hold is over', async () => (await store.ensure([version], 'token-ensured'))[0] !== CLOSED)
    const [ensured] = await store.versions([version])
    assertNew(ensured, before)
    await intents.end([version], 'late', 'token-late', true)
    assertNew((await store.versions([version]))[0], ensured)
    await intents.end([shared], 'writer', 'token-after', false)
    assertNew((await store.versions([shared]))[0], sharedBefore)
  },

  async 'a soft write replaces a version, and tells since when until its time is over' (store, prefix) {
    const soft = partOf('soft writes', store.soft, ['bump', 'softened'])
    if (soft === undefined) return
    const [version, none] = [`${prefix}!version:a`, `${prefix}!version:none`]
    const before = await bumped(store, version)
    const wroteAt = Date.now()
    await soft.bump([version, none], 'token-soft', 1_000, 0)
    const [current, missing] = await store.versions([version, none])
    assertNew(current, before)
    const [at] = await softened(store, version, [before])
    // Read by the store's clock, which may differ from this one.
    assert.ok(at !== undefined && Math.abs(at - wroteAt) < 60_000, `softened at ${at}`)
    assert.deepEqual(await softened(store, version, ['another']), [undefined])
    if (missing === undefined) assert.deepEqual(await softened(store, none, [before]), [undefined])
    await until('the time is over', async () => (await softened(store, version, [before]))[0] === undefined)
    assert.deepEqual([...await store.versions([version])], [current])
  },

  async 'what a soft write replaced may not be used after a hard one, or after the version was lost' (store, prefix) {
    const soft = partOf('soft writes', store.soft, ['bump', 'softened'])
    if (soft === undefined) return
    const version = `${prefix}!version:a`
    const first = await bumped(store, version)
    await soft.bump([version], 'token-soft', 60_000, 0)
    const [second] = await store.versions([version])
    assert.notEqual((await softened(store, version, [first]))[0], undefined)
    await store.bump([version], 'token-hard')
    assert.deepEqual(await softened(store, version, [first, second!]), [undefined, undefined])
    const [third] = await store.versions([version])
    await soft.bump([version], 'token-soft-again', 60_000, 0)
    const [ofFirst, ofSecond, ofThird] = await softened(store, version, [first, second!, third!])
    assert.deepEqual([ofFirst, ofSecond], [undefined, undefined])
    assert.notEqual(ofThird, undefined)
  },

  async 'a later soft write shortens the time of what earlier ones replaced, and never prolongs it' (store, prefix) {
    const soft = partOf('soft writes', store.soft, ['bump', 'softened'])
    if (soft === undefined) return
    for (const [first, second] of [[1_000, 1_900], [60_000, 1_000]] as const) {
      const version = `${prefix}!version:${first}`
      const before = await bumped(store, version)
      await soft.bump([version], 'token-1', first, 0)
      let end = performance.now() + first
      assert.notEqual((await softened(store, version, [before]))[0], undefined)
      await soft.bump([version], 'token-2', second, 0)
      end = Math.min(end, performance.now() + second)
      await until('its time is over', async () => {
        const isLate = performance.now() > end + ROUNDING
        const isOver = (await softened(store, version, [before]))[0] === undefined
        assert.ok(isOver || !isLate, 'it is used for too long')
        return isOver
      })
    }
  },

  async 'however many soft writes come, what they replaced may be used' (store, prefix) {
    const soft = partOf('soft writes', store.soft, ['bump', 'softened'])
    if (soft === undefined) return
    const version = `${prefix}!version:a`
    const replaced = [await bumped(store, version)]
    for (let write = 0; write < 100; write++) {
      await soft.bump([version], `token-${write}`, 3_600_000, 0)
      const [current] = await store.versions([version])
      assertNew(current, replaced.at(-1))
      assert.ok(!(await softened(store, version, replaced)).includes(undefined), `after write ${write}`)
      replaced.push(current!)
    }
  },

  async 'a soft write with a window begins one, and is none for a version that is held' (store, prefix) {
    const soft = partOf('soft writes', store.soft, ['bump', 'softened'])
    if (soft === undefined) return
    const [windowed, held] = [`${prefix}!version:windowed`, `${prefix}!version:held`]
    const versions = [await bumped(store, windowed), await bumped(store, held)]
    await soft.bump([windowed], 'token-soft', 60_000, 60_000)
    assert.ok(isSettling((await store.versions([windowed]))[0]!))
    assert.notEqual((await softened(store, windowed, [versions[0]!]))[0], undefined)
    const intents = partOf('intents', store.intents, ['begin', 'end'])
    if (intents === undefined) return
    await intents.begin([held], 'writer', 60_000)
    await soft.bump([held], 'token-soft', 60_000, 0)
    assert.deepEqual(await store.ensure([held], 'token-ensured'), [CLOSED])
    await intents.end([held], 'writer', 'token-after', false)
    assert.deepEqual(await softened(store, held, [versions[1]!]), [undefined])
  },

  async 'what soft writes record is not listed as a key' (store, prefix) {
    const soft = partOf('soft writes', store.soft, ['bump', 'softened'])
    if (soft === undefined) return
    const names = [`${prefix}!tag:{7}a`, `${prefix}!version:a`]
    for (const name of names) await bumped(store, name)
    await soft.bump(names, 'token-soft', 60_000, 0)
    for (const name of names) await store.set(`${prefix}|a:GET /${name.length}`, entryOf({}))
    assert.deepEqual(await list(store.keys(`${prefix}!`)), names)
  },

  async 'a lease has one holder at a time, until it is released or expires' (store, prefix) {
    const leases = partOf('leases', store.leases, ['take', 'release', 'subscribe'])
    if (leases === undefined) return
    const key = `${prefix}!lease:a`
    const holders = ['one', 'two', 'three']
    const taken = await Promise.all(holders.map(async (holder) => await leases.take(key, holder, 60_000)))
    assert.equal(taken.filter(Boolean).length, 1)
    const holder = holders[taken.indexOf(true)]!
    assert.equal(await leases.take(`${prefix}!lease:b`, 'another', 60_000), true)

    await leases.release(key, 'another', 'news')
    assert.equal(await leases.take(key, 'another', 60_000), false)
    await leases.release(key, holder, 'news')
    assert.equal(await leases.take(key, 'another', 100), true)
    await until('the lease expires', async () => await leases.take(key, 'a third', 60_000))
  },

  async 'the holder of a lease can prolong it' (store, prefix) {
    const leases = partOf('leases', store.leases, ['take', 'release', 'subscribe'])
    if (leases === undefined) return
    const [prolonged, expiring] = [`${prefix}!lease:prolonged`, `${prefix}!lease:expiring`]
    assert.equal(await leases.take(prolonged, 'holder', 100), true)
    assert.equal(await leases.take(prolonged, 'holder', 60_000), true)
    assert.equal(await leases.take(expiring, 'holder', 100), true)
    await until('the lease expires', async () => await leases.take(expiring, 'another', 60_000))
    assert.equal(await leases.take(prolonged, 'another', 60_000), false)
  },

  async 'subscribers get news of a released lease' (store, prefix) {
    const leases = partOf('leases', store.leases, ['take', 'release', 'subscribe'])
    if (leases === undefined) return
    const key = `${prefix}!lease:a`
    const received: Array<[string, string]> = []
    leases.subscribe((released, news) => { received.push([released, news]) })
    // Repeated, because a store may need time to subscribe.
    await until('the news arrives', async () => {
      await leases.take(key, 'holder', 60_000)
      await leases.release(key, 'holder', 'news')
      return received.some(([released]) => released === key)
    })
    for (const [released, news] of received) if (released === key) assert.equal(news, 'news')
  }
}

/** An optional part of a store: whole, or not there at all. */
function partOf<Part extends object> (
  what: string, part: Part | undefined, methods: ReadonlyArray<keyof Part>
): Part | undefined {
  for (const method of methods) {
    if (part !== undefined) assert.equal(typeof part[method], 'function', `${what} lack ${String(method)}`)
  }
  return part
}

/** Creates and bumps a version; what it is then. A store may make a string of its own of the one that it is given. */
async function bumped (store: CacheStore, version: string): Promise<string> {
  const [before] = await store.ensure([version], `token-${randomUUID()}`)
  await store.bump([version], `token-${randomUUID()}`)
  const [after] = await store.versions([version])
  assertNew(after, before)
  return after!
}

/** Since when these versions of a name are replaced. */
async function softened (
  store: CacheStore, name: string, earlier: readonly string[]
): Promise<Array<number | undefined>> {
  const [current] = await store.versions([name])
  const at = await store.soft!.softened([name])
  return earlier.map((version) => at(name, version, current))
}

function assertNew (version: string | undefined, before: string | undefined): void {
  assert.equal(typeof version, 'string')
  assert.notEqual(version, before)
}

/** The times of an entry that is stored now, with a freshness lifetime of some seconds. */
function lasting (seconds: number): Pick<Entry, 'storedAt' | 'staleAt' | 'deleteAt'> {
  const storedAt = Date.now()
  const staleAt = storedAt + seconds * 1000
  return { storedAt, staleAt, deleteAt: staleAt }
}

/** The optional fields of an entry. */
const ABSENT = {
  defaultHeaders: undefined,
  removedHeaders: undefined,
  extendedHeaders: undefined,
  staleWindows: undefined,
  fillTime: undefined,
  responseHeaders: undefined,
  vary: undefined,
  encoded: undefined,
  plainLength: undefined
}

function entryOf (fields: Partial<Entry>): Entry {
  return {
    route: 'GET /',
    application: undefined,
    versions: {},
    status: 200,
    headers: { 'content-type': 'application/json; charset=utf-8' },
    kind: 'text',
    body: Buffer.from('{}'),
    ...lasting(60),
    initialAge: 0,
    ...ABSENT,
    ...fields
  }
}

function assertEntry (found: Entry | undefined, expected: Entry): void {
  assert.ok(found !== undefined, 'no entry was found')
  const { body, text, ...rest } = found
  const { body: expectedBody, ...expectedRest } = expected
  const versions = { ...rest.versions }
  assert.deepEqual({ ...ABSENT, ...rest, versions }, expectedRest)
  assert.ok(body.equals(expectedBody), 'the body differs')
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
    assert.ok(Date.now() < end, `too late: ${what}`)
    await delay(20)
  }
}
