import assert from 'node:assert/strict'
import { bumped, entryOf, list, MANY, partOf, type Case } from './support.js'

/** Lists of keys, and sweeps. */
export const sweepCases: Record<string, Case> = {
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
  }
}
