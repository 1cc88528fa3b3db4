import assert from 'node:assert/strict'
import { CLOSED, isSettling } from '../contract.js'
import { assertNew, bumped, entryOf, list, partOf, ROUNDING, softened, until, type Case } from './support.js'

/** What soft writes record. */
export const softCases: Record<string, Case> = {
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
  }
}
