import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { CLOSED, isSettling } from '../contract.js'
import { assertNew, bumped, entryOf, partOf, until, type Case } from './support.js'

/** Versions, their bumps and the windows that begin with one. */
export const versionCases: Record<string, Case> = {
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
  }
}
