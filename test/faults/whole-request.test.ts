import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { CacheStore, ReadPolicy } from '../../index.js'
import { FullStore } from '../support/map-store.js'
import { serving, type Seen, type Serving } from '../support/serving.js'

/*
 * The whole request, not each operation, has the `timeout`.
 */

/** Milliseconds. */
const TIMEOUT = 2_000
/** Each operation alone is in time: less than half of the timeout. */
const SLOW = 800

interface SlowStore {
  readonly store: CacheStore
  /** Milliseconds that each operation takes. */
  milliseconds: number
  /** Those that requests wait for. */
  readonly operations: string[]
}

function slowStore (): SlowStore {
  const kept = new FullStore()
  const slow: SlowStore = { milliseconds: SLOW, operations: [], store: undefined as never }
  const slowly = <A extends unknown[], R>(name: string, run: (...all: A) => R) => async (...all: A): Promise<Awaited<R>> => {
    slow.operations.push(name)
    await delay(slow.milliseconds)
    return await run(...all)
  }
  const store: CacheStore = {
    name: 'slow',
    lookup: slowly('lookup', kept.lookup.bind(kept)),
    versions: slowly('versions', kept.versions.bind(kept)),
    ensure: slowly('ensure', kept.ensure.bind(kept)),
    bump: kept.bump.bind(kept),
    set: kept.set.bind(kept),
    keys: kept.keys.bind(kept),
    sweep: kept.sweep.bind(kept),
    leases: { ...kept.leases, take: slowly('take lease', kept.leases.take) }
  }
  return Object.assign(slow, { store })
}

/** @param slow the store that this process shares with others */
async function slowly (t: Test, policy: Partial<ReadPolicy>, slow = slowStore()): Promise<Serving & { slow: SlowStore }> {
  const served = await serving(t, { store: slow.store, host: false, timeout: TIMEOUT, coalesceTimeout: 20_000 }, (app) => {
    app.get('/', { config: { cache: { namespace: 'slow', expire: '1h', ...policy } as ReadPolicy } }, async (_request, reply) => {
      reply.header('vary', 'x-flavour')
      return { fine: true }
    })
  })
  return { ...served, slow }
}

async function timed (ask: () => Promise<Seen>): Promise<Seen & { milliseconds: number }> {
  const since = performance.now()
  const seen = await ask()
  return { ...seen, milliseconds: performance.now() - since }
}

t.test('a MISS that needs five operations waits for the store as long as the timeout at most, and the store stays in use', async (t) => {
  const { app, request, slow } = await slowly(t, { coalesce: 'fleet', tags: (_request, payload) => [typeof payload] })
  const miss = await timed(() => request('/'))
  t.match(miss, { status: 200, text: '{"fine":true}', cache: 'MISS' })
  t.same(slow.operations.slice(0, 3), ['lookup', 'ensure', 'take lease'], 'it would have gone on asking')
  t.ok(miss.milliseconds < 2 * TIMEOUT - SLOW, `${Math.round(miss.milliseconds)} ms`)
  t.equal(app.apiCache.stats().available, true, 'each operation was in time')
  await app.apiCache.settled()
  slow.milliseconds = 0
  t.equal((await request('/')).cache, 'MISS')
  await app.apiCache.settled()
  t.equal((await request('/')).cache, 'HIT', 'and the next requests are cached')
})

t.test('a HIT that needs three operations waits for the store as long as the timeout at most', async (t) => {
  const policy: Partial<ReadPolicy> = { tags: (_request, payload) => [typeof payload] }
  const { app, request, slow } = await slowly(t, policy)
  slow.milliseconds = 0
  await request('/')
  await app.apiCache.settled()
  // Each process that knows neither the variants nor the tags of the entry.
  slow.milliseconds = TIMEOUT / 5
  slow.operations.length = 0
  const quick = await timed(async () => await (await slowly(t, policy, slow)).request('/'))
  t.match(quick, { cache: 'HIT' })
  t.same(slow.operations, ['lookup', 'lookup', 'versions'])
  t.ok(quick.milliseconds >= 3 * slow.milliseconds)
  slow.milliseconds = TIMEOUT / 2 - 100
  const { request: askSlowly } = await slowly(t, policy, slow)
  const answered = await timed(() => askSlowly('/'))
  t.match(answered, { status: 200, text: '{"fine":true}' })
  t.match(answered.headers.get('cache-status'), 'unavailable')
  t.ok(answered.milliseconds < TIMEOUT + SLOW, `${Math.round(answered.milliseconds)} ms`)
})

t.test('operations that are quick are all waited for, however many they are', async (t) => {
  const { app, request, slow } = await slowly(t, { coalesce: 'fleet', tags: (_request, payload) => [typeof payload] })
  slow.milliseconds = 20
  t.equal((await request('/')).cache, 'MISS')
  await app.apiCache.settled()
  t.same(slow.operations.slice(0, 5), ['lookup', 'ensure', 'take lease', 'lookup', 'ensure'])
  t.equal((await request('/')).cache, 'HIT')
})

t.test('a store that stops answering after the first lookup is not asked again', async (t) => {
  const { app, request, slow } = await slowly(t, {})
  slow.milliseconds = 0
  const { store } = slow
  Object.assign(store, { ensure: async () => await new Promise(() => {}) })
  const answered = await timed(() => request('/'))
  t.match(answered, { status: 200, cache: 'MISS' })
  t.ok(answered.milliseconds < TIMEOUT + SLOW)
  t.equal(app.apiCache.stats().available, false)
})
