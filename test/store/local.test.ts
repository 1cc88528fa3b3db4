import t from 'tap'
import type { Entry } from '../../index.js'
import { LocalTier } from '../../lib/store/local-tier.js'
import { storeSuite } from '../../lib/store/suite.js'
import { lasting } from '../support/entry.js'
import { FullStore } from '../support/map-store.js'

for (const { name, run } of storeSuite(() => new LocalTier(new FullStore(), undefined, {}))) t.test(`in a local tier: ${name}`, run)

const VERSIONS = ['version']

async function fill (tier: LocalTier, name: string, seconds: number): Promise<void> {
  const [token] = await tier.ensure(VERSIONS, 'first')
  const entry: Entry = {
    route: 'GET /', versions: { version: token! }, status: 200, headers: {}, kind: 'text', body: Buffer.from(name), ...lasting(seconds)
  }
  await tier.set('key', entry)
}

async function bodyIn (tier: LocalTier): Promise<string | undefined> {
  return (await tier.lookup('key', VERSIONS)).entry?.body.toString()
}

t.test('an entry that another process filled again is found if the local one is stale because a version was bumped', async (t) => {
  const store = new FullStore()
  const [here, there] = [new LocalTier(store, undefined, {}), new LocalTier(store, undefined, {})]
  await fill(here, 'old', 60)
  await there.bump(VERSIONS, 'second')
  await fill(there, 'new', 60)
  t.equal(await bodyIn(here), 'new')
})

t.test('an entry that another process filled again is found if the local one has expired', async (t) => {
  const store = new FullStore()
  const [here, there] = [new LocalTier(store, undefined, {}), new LocalTier(store, undefined, {})]
  const began = performance.now()
  await fill(here, 'old', 1)
  await fill(there, 'new', 60)
  t.equal(await bodyIn(here), 'old', 'which is kept until then')
  while (await bodyIn(here) === 'old' && performance.now() - began < 2_000);
  t.equal(await bodyIn(here), 'new')
})

t.test('an entry keeps no other memory alive, whether it was filled here or fetched', async (t) => {
  const store = new FullStore()
  const [here, there] = [new LocalTier(store, undefined, {}), new LocalTier(store, undefined, {})]
  const body = Buffer.from('a piece of something larger').subarray(2, 7)
  await here.set('key', {
    route: 'GET /', versions: {}, status: 200, headers: {}, kind: 'bytes', body, ...lasting(60)
  })
  await there.lookup('key', [])
  for (const tier of [here, there]) {
    const kept = (await tier.lookup('key', [])).entry!.body
    t.same(kept, body)
    t.equal(kept.buffer.byteLength, body.length)
  }
})
