import assert from 'node:assert/strict'
import { CLOSED } from '../contract.js'
import { assertNew, bumped, partOf, until, type Case } from './support.js'

/** Versions that writers hold. */
export const intentCases: Record<string, Case> = {
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
  }
}
