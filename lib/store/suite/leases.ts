import assert from 'node:assert/strict'
import { partOf, until, type Case } from './support.js'

/** Leases, and news of them. */
export const leaseCases: Record<string, Case> = {
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
