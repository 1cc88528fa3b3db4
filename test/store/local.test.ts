import t from 'tap'
import type { Entry } from '../../index.js'
import { LocalTier } from '../../lib/store/local-tier.js'
import { storeSuite } from '../../lib/store/suite.js'
import { FullStore } from '../support/map-store.js'

for (const { name, run } of storeSuite(() => new LocalTier(new FullStore(), undefined, {}))) t.test(`in a local tier: ${name}`, run)

for (const [what, outdated] of [['a version has moved', 60], ['it has expired', 0]] as const) {
  t.test(`what another process filled anew is found where the own entry is old because ${what}`, async (t) => {
    const store = new FullStore()
    const [here, there] = [new LocalTier(store, undefined, {}), new LocalTier(store, undefined, {})]
    const versions = ['version']
    const fill = async (tier: LocalTier, name: string, lifetime: number): Promise<void> => {
      const [token] = await tier.claim(versions, 'first')
      const entry: Entry = {
        route: 'GET /', versions: { version: token! }, status: 200, headers: {}, kind: 'text', body: Buffer.from(name), filledAt: Date.now(), age: 0, lifetime
      }
      await tier.set('key', entry, 60)
    }
    await fill(here, 'old', outdated)
    if (outdated > 0) await there.move(versions, 'second')
    await fill(there, 'new', 60)
    const { entry } = await here.lookup('key', versions)
    t.equal(entry?.body.toString(), 'new')
  })
}

t.test('an entry keeps nothing alive but itself, whether it was filled here or fetched', async (t) => {
  const store = new FullStore()
  const [here, there] = [new LocalTier(store, undefined, {}), new LocalTier(store, undefined, {})]
  const body = Buffer.from('a piece of something larger').subarray(2, 7)
  await here.set('key', {
    route: 'GET /', versions: {}, status: 200, headers: {}, kind: 'bytes', body, filledAt: Date.now(), age: 0, lifetime: 60
  }, 60)
  await there.lookup('key', [])
  for (const tier of [here, there]) {
    const kept = (await tier.lookup('key', [])).entry!.body
    t.same(kept, body)
    t.equal(kept.buffer.byteLength, body.length)
  }
})
