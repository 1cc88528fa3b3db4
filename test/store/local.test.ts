import t from 'tap'
import type { Entry } from '../../index.js'
import { LocalTier } from '../../lib/store/local-tier.js'
import { storeSuite } from '../../lib/store/suite.js'
import { lasting } from '../support/entry.js'
import { FullStore } from '../support/map-store.js'

for (const { name, run } of storeSuite(() => new LocalTier(new FullStore(), undefined, {}))) t.test(`in a local tier: ${name}`, run)

const VERSIONS = ['version']

/** @param window for how many seconds it may be used after it has become stale */
async function fill (tier: LocalTier, name: string, seconds: number, window = 0): Promise<void> {
  const [token] = await tier.ensure(VERSIONS, 'first')
  const times = lasting(seconds)
  const entry: Entry = {
    route: 'GET /',
    versions: { version: token! },
    status: 200,
    headers: {},
    kind: 'text',
    body: Buffer.from(name),
    ...times,
    deleteAt: times.deleteAt + window * 1_000,
    staleWindows: window === 0 ? undefined : { whileRevalidate: window, ifError: 0 }
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

t.test('an entry that has become stale is taken from the store, where another process may have refreshed it', async (t) => {
  const store = new FullStore()
  const [here, there] = [new LocalTier(store, undefined, {}), new LocalTier(store, undefined, {})]
  const began = performance.now()
  await fill(here, 'old', 1, 60)
  await fill(there, 'new', 60)
  t.equal(await bodyIn(here), 'old', 'which is used until then')
  while (await bodyIn(here) === 'old' && performance.now() - began < 5_000);
  t.equal(await bodyIn(here), 'new')
})

t.test('an entry that is stale in the store, too, is not asked for again', async (t) => {
  const store = new FullStore()
  const tier = new LocalTier(store, undefined, {})
  await fill(tier, 'old', 0, 60)
  let lookups = 0
  const { lookup } = store
  store.lookup = (...asked) => {
    lookups++
    return lookup.apply(store, asked)
  }
  for (let round = 0; round < 5; round++) t.equal(await bodyIn(tier), 'old')
  t.equal(lookups, 1)
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
