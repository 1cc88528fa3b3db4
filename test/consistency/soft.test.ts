import { setTimeout as delay } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import { Cluster, Redis } from 'ioredis'
import t, { type Test } from 'tap'
import apiCache, { type ApiCacheOptions, type Decision, type ReadPolicy, type WritePolicy } from '../../index.js'
import { createApiCache } from '../../lib/client.js'
import { channels } from '../../lib/observe/events.js'
import { MemoryStore } from '../../lib/store/memory-store.js'
import { eachTier, fileRedis, inRedis, redisCli } from '../support/each-store.js'
import { gate } from '../support/gate.js'
import { MapStore } from '../support/map-store.js'
import { startCluster } from '../support/redis-cluster.js'
import { countRoundTrips } from '../support/round-trips.js'
import { keysOf, serving, type Seen, type Serving } from '../support/serving.js'

/*
 * Writes that say for how long their old entries may be used. Only routes that let stale entries be used do so, and
 * any other write ends it.
 */

const test = eachTier()
const redis = fileRedis()

const LONG = 3_600
const stale = { staleWhileRevalidate: LONG } as const

const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => make(index))

async function until (isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!await isTrue()) await delay(1)
}

interface Things extends Serving {
  readonly state: {
    runs: number
    fails: boolean
    /** What each run waits for. */
    waits: Promise<unknown> | undefined
  }
  /** The number of the run that answers; undefined if it failed. */
  run (path?: string): Promise<number | undefined>
  /** The same, and then what it filled is stored. */
  fill (path?: string): Promise<number | undefined>
  write (path: string): Promise<void>
}

/** A route whose answers count its runs, and writes to it. */
async function things (t: Test, options: ApiCacheOptions, policy: Partial<ReadPolicy> = stale): Promise<Things> {
  const state: Things['state'] = { runs: 0, fails: false, waits: undefined }
  const handler = async (): Promise<{ run: number }> => {
    const run = ++state.runs
    await state.waits
    if (state.fails) throw new Error(`run ${run} failed`)
    return { run }
  }
  const server = await serving(t, { ...options, host: false }, (app: FastifyInstance) => {
    const cache = { namespace: 'things', expire: LONG, scope: 'shared', ...policy } as ReadPolicy
    app.get('/things', { config: { cache } }, handler)
    app.get('/plain', { config: { cache: { ...cache, staleWhileRevalidate: 0, staleIfError: 0 } } }, handler)
    app.get('/tagged', { config: { cache: { ...cache, namespace: 'tagged', tags: ['a', 'b'] } } }, handler)
    app.get('/payload', { config: { cache: { ...cache, namespace: 'payload', tags: (_request, payload) => payload === undefined ? [] : ['a', 'b'] } } }, handler)
    const writes: Record<string, WritePolicy> = {
      soft: { invalidate: { namespaces: 'things', soft: '1h' } },
      short: { invalidate: { namespaces: ['things'], soft: 2 } },
      longer: { invalidate: { namespaces: 'things', soft: '3s' } },
      hard: { invalidate: 'things' },
      'soft-tag': { invalidateTags: { tags: () => 'a', soft: '1h' } },
      'hard-tag': { invalidateTags: 'b' },
      both: { invalidate: { namespaces: 'tagged', soft: '1h' }, invalidateTags: 'b' },
      settling: { invalidate: { namespaces: 'things', soft: '1h' }, settle: '1m' }
    }
    for (const [name, cache] of Object.entries(writes)) app.put(`/${name}`, { config: { cache } }, async () => 'written')
  })
  const run = async (path = '/things'): Promise<number | undefined> => runOf(await server.request(path))
  return {
    ...server,
    state,
    run,
    async fill (path) {
      const filled = await run(path)
      await server.app.apiCache.settled()
      return filled
    },
    async write (path) { await server.request(path, { method: 'PUT' }) }
  }
}

const runOf = ({ text }: Seen): number | undefined => (JSON.parse(text) as { run?: number }).run
const statusOf = ({ headers }: Seen): string => String(headers.get('cache-status'))

test('what a soft write made old is served at once while one refresh runs, and says so', async (t, options) => {
  const { app, request, fill, write, state } = await things(t, options)
  const decisions: Decision[] = []
  const listen = (decision: unknown): void => { decisions.push(decision as Decision) }
  await fill()
  await write('/soft')
  const held = gate()
  state.waits = held.opened
  channels.decision.subscribe(listen)
  t.teardown(() => { channels.decision.unsubscribe(listen) })
  const answers = await Promise.all(times(20, () => request('/things')))
  t.ok(answers.every((answer) => runOf(answer) === 1 && answer.cache === 'HIT'))
  t.match(statusOf(answers[0]!), /;hit;ttl=(?:0|-\d+);detail=soft-stale-while-revalidate$/)
  t.match(answers[0]!.headers.get('age'), /^\d+$/)
  t.equal(answers[0]!.headers.get('cache-control'), 'no-cache')
  t.match(decisions[0], { outcome: 'hit', detail: 'soft-stale-while-revalidate', forwarded: undefined })
  await until(() => state.runs === 2)
  held.open()
  await app.apiCache.settled()
  const fresh = await request('/things')
  t.equal(runOf(fresh), 2)
  t.match(statusOf(fresh), /;hit;ttl=\d+$/)
  t.equal(state.runs, 2)
})

test('a route that lets no stale entry be used takes a soft write as a hard one', async (t, options) => {
  const { fill, run, write } = await things(t, options)
  t.equal(await fill('/plain'), 1)
  await write('/soft')
  t.equal(await run('/plain'), 2)
})

test('a hard write ends what a soft one allowed, and a soft one after it does not bring it back', async (t, options) => {
  const { fill, run, write, state } = await things(t, options)
  await fill()
  await write('/soft')
  await write('/hard')
  state.fails = true
  t.equal(await run(), undefined)
  await write('/soft')
  t.equal(await run(), undefined)
})

test('an answer is not used any more when the time of its first soft write is over', async (t, options) => {
  const { fill, run, write, state } = await things(t, options)
  await fill()
  await write('/short')
  const end = performance.now() + 2_000
  state.fails = true
  t.equal(await run(), 1)
  await write('/longer')
  let last = 0
  for (let askedAt = performance.now(); await run() === 1; askedAt = performance.now()) last = askedAt
  t.ok(last < end, 'the second one has not prolonged it')
})

test('an answer is used no longer than its own route allows', async (t, options) => {
  const { fill, run, write, state } = await things(t, options, { staleWhileRevalidate: 1 })
  await fill()
  await write('/soft')
  state.fails = true
  await until(async () => await run() === undefined)
  t.pass('it was not used for an hour')
})

test('a refresh that has begun before a soft write is not served as if it knew of it', async (t, options) => {
  const { app, request, fill, run, write, state } = await things(t, options)
  await fill()
  await write('/soft')
  const held = gate()
  state.waits = held.opened
  t.equal(await run(), 1)
  await until(() => state.runs === 2)
  await write('/soft')
  t.equal(await run(), 1, 'one refresh at a time')
  t.equal(state.runs, 2)
  held.open()
  await app.apiCache.settled()
  const between = await request('/things')
  t.equal(runOf(between), 2)
  t.match(statusOf(between), 'soft-stale-while-revalidate')
  await until(() => state.runs === 3)
  await app.apiCache.settled()
  t.equal(await run(), 3)
  t.notMatch(statusOf(await request('/things')), 'soft')
})

test('with staleIfError a request waits for the refresh, and gets the old answer only if that fails', async (t, options) => {
  const { app, request, fill, write, state } = await things(t, options, { staleIfError: LONG })
  await fill()
  await write('/soft')
  state.fails = true
  const answer = await request('/things')
  t.equal(runOf(answer), 1)
  t.match(statusOf(answer), /;hit;ttl=(?:0|-\d+);detail=soft-stale-if-error$/)
  await app.apiCache.settled()
})

test('with staleIfError a handler that works answers after a soft write', async (t, options) => {
  const { fill, run, write } = await things(t, options, { staleIfError: LONG })
  await fill()
  await write('/soft')
  t.equal(await run(), 2)
})

test('with softTimeout a request waits that long for the refresh', async (t, options) => {
  const { app, fill, run, write, state } = await things(t, options, { staleIfError: LONG, softTimeout: 50 })
  await fill()
  await write('/soft')
  const held = gate()
  state.waits = held.opened
  t.equal(await run(), 1)
  held.open()
  await app.apiCache.settled()
  t.equal(await run(), 2)
})

for (const path of ['/tagged', '/payload']) {
  test(`a soft write to one tag of ${path} is soft, and a hard one to another is hard`, async (t, options) => {
    const { app, fill, run, write, state } = await things(t, options)
    await fill(path)
    await write('/soft-tag')
    const held = gate()
    state.waits = held.opened
    t.equal(await run(path), 1)
    await until(() => state.runs === 2)
    held.open()
    await app.apiCache.settled()
    state.waits = undefined
    t.equal(await run(path), 2)
    await write('/soft-tag')
    await write('/hard-tag')
    t.equal(await run(path), 3)
    await app.apiCache.settled()
  })
}

test('a write that is soft for a namespace and hard for a tag leaves nothing to be used', async (t, options) => {
  const { fill, run, write } = await things(t, options)
  await fill('/tagged')
  await write('/both')
  t.equal(await run('/tagged'), 2)
})

test('while a write holds a namespace nothing of it is served, and afterwards nothing from before', async (t, options) => {
  const { app, fill, run, write, state } = await things(t, options)
  await fill()
  await write('/soft')
  await app.apiCache.writing('things', async () => {
    await app.apiCache.invalidate('things', { soft: '1h' })
    t.equal(await run(), 2)
    t.equal(await run(), 3)
  })
  t.equal(await run(), 4)
  await app.apiCache.settled()
  t.equal(state.runs, 4)
})

test('a soft write may have a window, and what was filled within one is not used after the next write', async (t, options) => {
  const { app, request, fill, run, write, state } = await things(t, options)
  await fill()
  await write('/settling')
  t.equal(await run(), 1)
  await until(() => state.runs === 2)
  await app.apiCache.settled()
  t.match(statusOf(await request('/things')), /hit;ttl=\d+;detail=settling/)
  await write('/soft')
  t.equal(await run(), 3)
})

test('a request with no-cache gets nothing from before a soft write', async (t, options) => {
  const { request, fill, write } = await things(t, options)
  await fill()
  await write('/soft')
  t.equal(runOf(await request('/things', { headers: { 'cache-control': 'no-cache' } })), 2)
})

test('code outside of routes can write softly', async (t, options) => {
  const { app, fill, run, state } = await things(t, options)
  await fill()
  const { delivered, swept } = await app.apiCache.invalidate('things', { soft: '1h' })
  t.equal(delivered, true)
  t.equal(await swept, 0)
  t.equal(await run(), 1)
  await until(() => state.runs === 2)
  await app.apiCache.settled()
  await fill('/tagged')
  await app.apiCache.invalidateTags('a', { soft: 60 })
  t.equal(await run('/tagged'), 3)
  await until(() => state.runs === 4)
  await app.apiCache.settled()
  for (const soft of ['2 days', 0, -1, '30'] as never[]) {
    await t.rejects(app.apiCache.invalidate('things', { soft }), { code: 'FST_API_CACHE_INVALID_FIELD', message: /'soft' must be/ })
  }
})

test('what a soft write made old is deleted when it may not be used any more, and no sweep takes what may be', async (t, options) => {
  const { app, fill, run, write, state } = await things(t, options)
  await fill()
  await fill('/plain')
  await write('/short')
  await run()
  await until(() => state.runs === 3)
  await app.apiCache.settled()
  t.equal((await keysOf(app, 'things')).length, 2)
  await write('/soft')
  // The entry of the other route goes with the sweep after the first write.
  await until(async () => (await keysOf(app, 'things')).length === 1)
  await app.apiCache.settled()
  state.fails = true
  t.equal(await run(), 3)
  await app.apiCache.clear()
  await app.apiCache.settled()
  t.same(await keysOf(app, 'things'), [])
})

test('however many soft writes come, nobody waits and one refresh runs at a time', async (t, options) => {
  const { app, request, fill, write, state } = await things(t, options)
  await fill()
  let most = 0
  for (let round = 0; round < 30; round++) {
    await write('/soft')
    const before = state.runs
    const answer = await request('/things')
    t.equal(answer.cache, 'HIT')
    most = Math.max(most, state.runs - before)
    if (round % 3 === 0) await app.apiCache.settled()
  }
  t.ok(most <= 1)
  t.ok(state.runs > 2)
  await app.apiCache.settled()
})

t.test('a handler that forbids stale answers forbids them after a soft write, and one that allows them allows them', async (t) => {
  let runs = 0
  for (const [directives, used] of [['max-age=60, must-revalidate', 0], ['max-age=60, stale-while-revalidate=60', 1]] as const) {
    const { app, request } = await serving(t, inRedis(redis()), (app) => {
      const cache = { namespace: `says ${used}`, expire: LONG, scope: 'shared', ...(used === 0 && stale) } as const
      app.get('/', { config: { cache } }, async (_request, reply) => await reply.header('cache-control', directives).send({ run: ++runs }))
    })
    runs = 0
    await request('/')
    await app.apiCache.invalidate(`says ${used}`, { soft: '1h' })
    t.equal(runOf(await request('/')), used === 0 ? 2 : 1, directives)
    await until(() => runs === 2)
    await app.apiCache.settled()
  }
})

t.test('another process and a client without a server end what may be used, at once', async (t) => {
  const one = await things(t, inRedis(redis()))
  const other = await things(t, inRedis(redis()))
  const client = createApiCache({ redis: redis().url, timeout: 10_000 })
  t.teardown(() => client.close())
  for (const end of [() => other.write('/hard'), () => client.invalidate('things'), () => client.clear()]) {
    one.state.fails = false
    await one.app.apiCache.invalidate('things')
    const run = await one.fill()
    await client.invalidate('things', { soft: '1h' })
    one.state.fails = other.state.fails = true
    t.same([await one.run(), await other.run()], [run, run])
    await end()
    t.same([await one.run(), await other.run()], [undefined, undefined])
  }
})

t.test('a version that is lost ends what may be used', async (t) => {
  const { fill, run, write } = await things(t, inRedis(redis()))
  const client = new Redis(redis().url)
  t.teardown(() => { client.disconnect() })
  await client.flushall()
  const first = await fill()
  await write('/soft')
  await client.del('api-cache!version:things')
  t.not(await run(), first)
})

t.test('a lookup takes one round trip where stale entries may be used, too', async (t) => {
  await redisCli(redis().port, 'FLUSHALL')
  const way = await countRoundTrips(t, redis().port)
  const { app, fill, run, write, state } = await things(t, { redis: way.url, timeout: 10_000 })
  await fill()
  for (const isOld of [false, true]) {
    if (isOld) await write('/soft')
    const before = way.count
    const held = gate()
    state.waits = held.opened
    t.equal(await run(), 1)
    t.equal(way.count - before, 1)
    held.open()
  }
  await app.apiCache.settled()
})

t.test('on a Cluster a soft write is soft, and a hard one ends it', async (t) => {
  const servers = await startCluster()
  t.teardown(() => servers.stop())
  for (const keyPrefix of ['app:', '{app}:', 'a{b:']) {
    const client = new Cluster([...servers.startupNodes], { keyPrefix })
    t.teardown(() => { client.disconnect() })
    const { app, fill, run, write, state } = await things(t, { redis: client, timeout: 10_000 })
    for (const [path, soft, hard] of [['/things', '/soft', '/hard'], ['/payload', '/soft-tag', '/hard-tag']] as const) {
      state.fails = false
      const first = await fill(path)
      state.fails = true
      await write(soft)
      // There the record of a namespace would be on another server.
      const isHard = keyPrefix === 'a{b:' && path === '/things'
      t.equal(await run(path), isHard ? undefined : first, `${keyPrefix} ${path}`)
      await write(hard)
      t.equal(await run(path), undefined)
      await app.apiCache.settled()
    }
  }
})

t.test('a store that knows nothing of soft writes takes them as hard ones', async (t) => {
  const { fill, run, write } = await things(t, { store: new MapStore() })
  await fill()
  await write('/soft')
  t.equal(await run(), 2)
})

t.test('a user of Redis without scripts writes hard, at once', async (t) => {
  await redisCli(redis().port, 'FLUSHALL')
  await redisCli(redis().port, 'ACL', 'SETUSER', 'plain', 'on', '>secret', '~*', '&*', '+@all', '-@scripting')
  const { app, fill, run } = await things(t, { redis: redis().url.replace('//', '//plain:secret@'), timeout: 10_000 })
  await fill()
  t.equal((await app.apiCache.invalidate('things', { soft: '1h' })).delivered, true)
  t.equal(await run(), 2)
})

t.test('a soft write that is not confirmed is hard, and its namespace is bypassed until it is delivered', async (t) => {
  const store = new MemoryStore()
  let isDown = true
  const { bump } = store
  store.soft.bump = () => { throw new Error('down') }
  store.bump = (...args) => {
    if (isDown) throw new Error('down')
    bump.apply(store, args)
  }
  const { app, request, fill, run, write } = await things(t, { store })
  await fill()
  await write('/soft')
  t.equal(app.apiCache.stats().pending, 1)
  t.match(statusOf(await request('/things')), 'fwd=bypass;detail=invalidating')
  isDown = false
  await until(() => app.apiCache.stats().pending === 0)
  t.equal(await run(), 3)
})

t.test('a policy whose soft write is none is an error that says what to write', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(apiCache, { store: 'memory' })
  const wrong: Array<[policy: object, message: RegExp]> = [
    [{ invalidate: { namespaces: 'a', soft: '2 days' } }, /invalidate: 'soft' must be whole seconds from 1 to 86400/],
    [{ invalidate: { namespaces: 'a' } }, /invalidate: 'soft' is required/],
    [{ invalidate: { soft: '1m' } }, /invalidate: 'namespaces' is required/],
    [{ invalidate: { namespaces: [], soft: '1m' } }, /'namespaces' must be a non-empty string/],
    [{ invalidate: { tags: 'a', soft: '1m' } }, /has no field 'tags'; did you mean/],
    [{ invalidateTags: { namespaces: 'a', soft: '1m' } }, /has no field 'namespaces'; did you mean/],
    [{ invalidateTags: { tags: '*', soft: '1m' } }, /'\*' is no pattern/],
    [{ invalidate: { namespaces: 'a', soft: '1m' }, strict: true }, /'invalidate' must be without soft with strict: true/],
    [{ invalidate: 7 }, /'invalidate' must be .* or \{ namespaces: 'user-cache', soft: '30s' \}/]
  ]
  for (const [cache, message] of wrong) {
    t.throws(() => app.put('/', { config: { cache: cache as never } }, async () => ''), { message })
  }
})
