import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Cluster, Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { ApiCacheOptions, SweepEvent } from '../../index.js'
import { eachTier, fileRedis } from '../support/each-store.js'
import { gate } from '../support/gate.js'
import { longestTurn } from '../support/longest-turn.js'
import { MapStore } from '../support/map-store.js'
import { PATIENT } from '../support/patient-stores.js'
import { startCluster } from '../support/redis-cluster.js'
import { keysOf, serving, type Serving } from '../support/serving.js'
import { startProxy } from '../support/tcp-proxy.js'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

const test = eachTier()
const redis = fileRedis()
const NAMES = Array.from({ length: 30 }, (_, index) => `n${index}`)

interface Params { name: string, id: string }

/** A route whose namespace is a part of its path, and whose tag is another. */
async function cached (t: Test, options: ApiCacheOptions): Promise<Serving> {
  return await serving(t, { ...PATIENT, host: false, ...options }, (app) => {
    app.get('/:name/:id', {
      config: { cache: { namespace: ({ params }) => (params as Params).name, tags: ({ params }) => [(params as Params).id], expire: 3600 } }
    }, async () => 'answer')
    app.post('/:name', { config: { cache: { invalidate: ({ params }) => (params as Params).name } } }, async () => 'written')
  })
}

async function fill ({ app }: Serving, names: readonly string[], ids: number): Promise<void> {
  for (const name of names) await Promise.all(Array.from({ length: ids }, (_, id) => app.inject(`/${name}/${id}`)))
  await app.apiCache.settled()
}

function sweeps (t: Test): number[] {
  const counts: number[] = []
  const listener = (event: unknown): void => { counts.push((event as SweepEvent).swept) }
  subscribe('fastify-api-cache:sweep', listener)
  t.teardown(() => { unsubscribe('fastify-api-cache:sweep', listener) })
  return counts
}

async function control (t: Test, url = redis().url): Promise<Redis> {
  const client = new Redis(url)
  t.teardown(() => { client.disconnect() })
  return client
}

async function addKeysOfOthers (client: Redis, count: number): Promise<void> {
  await client.eval("for i = 1, ARGV[1] do redis.call('SET', 'other:' .. i, i) end", 0, count)
}

test('namespaces that are invalidated while a sweep is at work share one more, and each learns what was deleted for it', async (t, options) => {
  const served = await cached(t, options)
  const { app } = served
  await fill(served, [...NAMES, 'kept'], 2)
  const counts = sweeps(t)
  const outcomes = await Promise.all(NAMES.map((name) => app.apiCache.invalidate(name)))
  t.same(await Promise.all(outcomes.map(({ swept }) => swept)), NAMES.map(() => 2))
  t.equal(counts.length, 2)
  t.equal(counts[0]! + counts[1]!, 2 * NAMES.length)
  t.equal(app.apiCache.stats().swept, 2 * NAMES.length)
  t.equal((await keysOf(app, 'kept')).length, 2)
  for (const name of NAMES) t.same(await keysOf(app, name), [])
})

test('an entry that was invalidated by two who share a sweep counts for one of them', async (t, options) => {
  const served = await cached(t, options)
  const { app } = served
  await fill(served, ['a', 'b', 'first'], 3)
  const calls = [app.apiCache.invalidate('first'), app.apiCache.invalidate('a'), app.apiCache.invalidateTags(['1', '2'])]
  const [first, a, tags] = await Promise.all(calls.map(async (call) => await (await call).swept))
  t.equal(first! + a! + tags!, 8)
  t.same(await keysOf(app, 'b'), ['api-cache|b:GET /b/0'])
})

test('an entry that is filled after a later write stays, though an earlier sweep is still at work', async (t, options) => {
  const served = await cached(t, options)
  const { app, request } = served
  await fill(served, ['n'], 300)
  const calls = [app.apiCache.invalidate('n'), app.apiCache.invalidate('n')]
  await Promise.all(calls)
  await request('/n/new')
  await app.apiCache.settled()
  t.same(await keysOf(app, 'n'), ['api-cache|n:GET /n/new'])
  t.equal((await request('/n/new')).cache, 'HIT')
})

t.test('what another process fills during a sweep, after one more write, stays', async (t) => {
  const client = await control(t)
  await client.flushall()
  const proxy = await startProxy(redis().port)
  t.teardown(() => proxy.stop())
  const here = await cached(t, { redis: proxy.url })
  const there = await cached(t, { redis: redis().url })
  await fill(here, ['n'], 20)
  const held = proxy.holdAnswer('scan')
  const { swept } = await here.app.apiCache.invalidate('n')
  const { release } = await held
  await (await there.app.apiCache.invalidate('n')).swept
  await fill(there, ['n'], 20)
  release()
  t.equal(await swept, 0)
  t.equal((await keysOf(here.app, 'n')).length, 20)
  t.equal((await here.request('/n/1')).cache, 'HIT')
})

/** The milliseconds that Redis has worked on SCAN so far. */
async function scanning (client: Redis): Promise<number> {
  return Number(/cmdstat_scan:calls=\d+,usec=(\d+)/.exec(await client.info('commandstats'))?.[1] ?? 0) / 1_000
}

t.test('sweeps take no more than their share of the time of Redis, however many writes there are; the first begins at once', async (t) => {
  const client = await control(t)
  await client.flushall()
  await addKeysOfOthers(client, 300_000)
  await client.config('RESETSTAT')
  const { app } = await cached(t, { redis: redis().url, sweepShare: 0.05 })
  const began = performance.now()
  for (let write = 0; performance.now() - began < 3_000; write++) {
    await app.inject({ method: 'POST', url: `/n${write % 100}` })
    if (write === 0) while (await scanning(client) === 0);
  }
  const worked = await scanning(client)
  const took = performance.now() - began
  t.ok(worked < 0.05 * took + 60, `${worked.toFixed(0)} ms of ${took.toFixed(0)}, of which 50 at once`)
  t.ok(worked > 0.005 * took, 'and it does not stand still')
})

t.test('a small keyspace is swept without a rest, whatever the share is', async (t) => {
  const client = await control(t)
  await client.flushall()
  const served = await cached(t, { redis: redis().url, sweepShare: 0.001 })
  await fill(served, ['n'], 50)
  const began = performance.now()
  t.equal(await (await served.app.apiCache.invalidate('n')).swept, 50)
  t.ok(performance.now() - began < 2_000, 'one rest would take longer')
})

t.test('a server that closes during a rest ends its sweep', async (t) => {
  const client = await control(t)
  await client.flushall()
  await addKeysOfOthers(client, 200_000)
  const { app } = await cached(t, { redis: redis().url, sweepShare: 0.0001 })
  const { swept } = await app.apiCache.invalidate('n')
  await app.close()
  t.equal(await swept, 0)
})

t.test('on a Cluster one sweep walks over every master, for all namespaces that wait', async (t) => {
  const servers = await startCluster()
  const client = new Cluster([...servers.startupNodes])
  t.teardown(async () => {
    client.disconnect()
    await servers.stop()
  })
  const served = await cached(t, { redis: client })
  const { app } = served
  await fill(served, [...NAMES, 'kept'], 4)
  const counts = sweeps(t)
  const outcomes = await Promise.all(NAMES.map((name) => app.apiCache.invalidate(name)))
  t.same(await Promise.all(outcomes.map(({ swept }) => swept)), NAMES.map(() => 4))
  t.equal(counts.length, 2)
  t.equal((await keysOf(app, 'kept')).length, 4)
})

/** Bytes of the heap that each of many writes leaves behind while none of their sweeps can end. */
async function leftBehind ({ app }: Serving): Promise<number> {
  const writes = 2_000
  const write = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++) {
      await app.inject({ method: 'POST', url: `/n${index % 10}` })
      await setImmediate()
    }
  }
  await write(2_000)
  // What stays behind once, such as compiled code, is no leak: what leaks does so each time.
  let least = Infinity
  for (let round = 0; round < 3; round++) {
    gc()
    const before = process.memoryUsage().heapUsed
    await write(writes)
    gc()
    least = Math.min(least, (process.memoryUsage().heapUsed - before) / writes)
  }
  return least
}

t.test('while a sweep does not end, writes leave nothing behind', async (t) => {
  const { opened, open } = gate()
  class Hanging extends MapStore {
    override async sweep (): Promise<number> {
      await opened
      return 0
    }
  }
  const served = await cached(t, { store: new Hanging() })
  const bytes = await leftBehind(served)
  t.ok(bytes < 50, `${bytes.toFixed(1)} bytes each`)
  open()
  await served.app.apiCache.settled()
})

t.test('after a connection went silent during a sweep, writes leave nothing behind, and the next sweep deletes what is left', async (t) => {
  const client = await control(t)
  await client.flushall()
  const proxy = await startProxy(redis().port)
  t.teardown(() => proxy.stop())
  const served = await cached(t, { redis: proxy.url, sweepShare: 1, timeout: 500 })
  const { app } = served
  await fill(served, ['n0'], 500)
  const held = proxy.holdAnswer('getrange')
  const { swept } = await app.apiCache.invalidate('n0')
  await held
  proxy.halfOpen()
  t.equal((await app.inject({ method: 'POST', url: '/n0' })).statusCode, 200)
  while (app.apiCache.stats().pending > 0 || !app.apiCache.stats().available) await setImmediate()
  t.ok(await swept < 500)
  const bytes = await leftBehind(served)
  t.ok(bytes < 50, `${bytes.toFixed(1)} bytes each`)
  await (await app.apiCache.invalidate('n0')).swept
  t.same(await keysOf(app, 'n0'), [])
})

const MANY = 100_000
/** Milliseconds of CPU time in one turn of the event loop: all entries at once take more. */
const LIMIT = 30
const LARGE: ApiCacheOptions = { store: 'memory', memory: { maxBytes: 1024 ** 3, maxEntries: 2 * MANY } }

t.test('in memory a write costs the same however many entries there are, and the sweep of many blocks nobody', async (t) => {
  const served = await cached(t, LARGE)
  const { app } = served
  const median = async (): Promise<number> => {
    const took: number[] = []
    for (let write = 0; write < 101; write++) {
      const began = performance.now()
      const { swept } = await app.apiCache.invalidate(`few-${write}`)
      took.push(performance.now() - began)
      await swept
    }
    return took.sort((a, b) => a - b)[50]!
  }
  await median()
  const empty = await median()
  for (let id = 0; id < MANY; id += 1_000) await Promise.all(Array.from({ length: 1_000 }, (_, at) => app.inject(`/many/${id + at}`)))
  await app.apiCache.settled()
  const full = await median()
  t.ok(full < 3 * empty + 0.05, `${empty.toFixed(3)} ms with none, ${full.toFixed(3)} ms with ${MANY}`)
  const turn = await longestTurn(LIMIT, async () => { t.equal(await (await app.apiCache.invalidateTags('none')).swept, 0) })
  t.ok(turn < LIMIT, `${turn.toFixed(1)} ms for a tag`)
  const { swept } = await app.apiCache.invalidate('many')
  const last = await longestTurn(LIMIT, async () => { await swept })
  t.ok(last < LIMIT, `${last.toFixed(1)} ms for the namespace`)
  t.equal(await swept, MANY)
})
