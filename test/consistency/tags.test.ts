import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { MemoryStore, type ApiCacheOptions, type ReadPolicy } from '../../index.js'
import { eachStore, fileRedis, redisCli } from '../support/each-store.js'
import { commands } from '../support/commands.js'
import { MapStore } from '../support/map-store.js'
import { countRoundTrips } from '../support/round-trips.js'
import { serving, type Serving } from '../support/serving.js'

const each = eachStore()
const redis = fileRedis()
const shared = { namespace: 'things', expire: '1h', scope: 'shared' } as const

each('a tag invalidates the entries that have it, and nothing else, whether it comes from a list, the request or the payload', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => {
    app.get('/list', { config: { cache: { ...shared, tags: ['red', 'large'] } } }, async () => ({ ok: true }))
    app.get('/request/:color', { config: { cache: { ...shared, tags: (request) => [(request.params as { color: string }).color] } } }, async () => ({ ok: true }))
    app.get('/payload/:color', { config: { cache: { ...shared, tags: (_request, payload) => [(payload as { color: string }).color] } } },
      async (request) => ({ color: (request.params as { color: string }).color }))
    app.post('/:color', { config: { cache: { invalidateTags: (request) => (request.params as { color: string }).color } } }, async () => ({ ok: true }))
  })
  const paths = ['/list', '/request/red', '/request/blue', '/payload/red', '/payload/blue']
  const seen = async (): Promise<Array<string | null>> => {
    const caches: Array<string | null> = []
    for (const path of paths) caches.push((await request(path)).cache)
    await app.apiCache.settled()
    return caches
  }
  await seen()
  t.same(await seen(), ['HIT', 'HIT', 'HIT', 'HIT', 'HIT'])
  await request('/red', { method: 'POST' })
  t.same(await seen(), ['MISS', 'MISS', 'HIT', 'MISS', 'HIT'])
  await request('/large', { method: 'POST' })
  t.same(await seen(), ['MISS', 'HIT', 'HIT', 'HIT', 'HIT'])
  await request('/green', { method: 'POST' })
  t.same(await seen(), ['HIT', 'HIT', 'HIT', 'HIT', 'HIT'])
})

each('an entry may have a hundred tags, and each of them invalidates it', async (t, options) => {
  const tags = Array.from({ length: 100 }, (_, index) => `tag-${index}`)
  const { app, request } = await serving(t, options, (app) => {
    app.get('/request', { config: { cache: { ...shared, tags } } }, async () => ({ tags }))
    app.get('/payload', { config: { cache: { ...shared, tags: (_request, payload) => (payload as { tags: string[] }).tags } } }, async () => ({ tags }))
    app.post('/:tag', { config: { cache: { invalidateTags: (request) => (request.params as { tag: string }).tag } } }, async () => ({ ok: true }))
  })
  for (const tag of ['tag-0', 'tag-42', 'tag-99']) {
    for (const path of ['/request', '/payload']) {
      await request(path)
      await app.apiCache.settled()
      t.equal((await request(path)).cache, 'HIT')
    }
    await request(`/${tag}`, { method: 'POST' })
    for (const path of ['/request', '/payload']) t.equal((await request(path)).cache, 'MISS', `${path} after ${tag}`)
    await app.apiCache.settled()
  }
})

/** Forgets nothing by itself: what is old has to be seen when it is read. */
class Unswept extends MemoryStore {
  override sweep (): number {
    return 0
  }
}

t.test('an entry from before its route got other tags, one of them twice, is also invalidated by its own tags', async (t) => {
  const store = { store: new Unswept(), host: false }
  const declaring = (tags: ReadPolicy['tags']) => (app: FastifyInstance): unknown =>
    app.get('/', { config: { cache: { ...shared, tags } } }, async () => ({ ok: true }))
  const before = await serving(t, store, declaring((_request, _payload) => ['red', 'large']))
  const after = await serving(t, store, declaring(['red', 'red']))
  await before.request('/')
  await before.app.apiCache.settled()
  t.equal((await after.request('/')).cache, 'HIT')
  await after.app.apiCache.invalidateTags('large')
  t.equal((await after.request('/')).cache, 'MISS')
})

each('tags of the payload are tags of the object that the handler returned, not of its bytes', async (t, options) => {
  const payloads: unknown[] = []
  const { request } = await serving(t, options, (app) => {
    app.get('/things', {
      config: { cache: { ...shared, tags: (_request, payload) => { payloads.push(payload); return [`at-${(payload as { at: Date }).at.getUTCFullYear()}`] } } }
    }, async () => ({ at: new Date('2020-01-01') }))
  })
  await request('/things')
  t.same(payloads, [{ at: new Date('2020-01-01') }])
})

const many = Array.from({ length: 100 }, (_, index) => `tag-${index}`)

/** A process whose routes have many tags from the request, as many from the payload, and those of `has`. */
async function tagged (
  t: Test, redis: string, { has = { tags: [] }, ...options }: ApiCacheOptions & { has?: { tags: readonly string[] } } = {}
): Promise<Serving> {
  return await serving(t, { redis, host: false, timeout: 10_000, ...options }, (app) => {
    app.get('/request', { config: { cache: { ...shared, tags: many } } }, async () => ({ many }))
    app.get('/payload', { config: { cache: { ...shared, tags: (_request, _payload) => many } } }, async () => ({ many }))
    app.get('/changing', { config: { cache: { ...shared, tags: (_request, payload) => (payload as { tags: string[] }).tags } } }, async () => has)
  })
}

t.test('a HIT costs one round trip with tags of the request or of the payload, however many; a second one for a process that sees the entry for the first time', async (t) => {
  await redisCli(redis().port, 'FLUSHALL')
  const way = await countRoundTrips(t, redis().port)
  const [one, other] = [await tagged(t, way.url), await tagged(t, way.url)]
  const roundTrips = async ({ request }: Serving, path: string): Promise<number> => {
    way.count = 0
    const seen = await commands(redis().port, async () => { t.equal((await request(path)).cache, 'HIT', path) })
    t.same(seen, Array(way.count).fill('mget'), path)
    return way.count
  }
  for (const [path, first] of [['/request', 1], ['/payload', 2]] as const) {
    await one.request(path)
    await one.app.apiCache.settled()
    t.equal(await roundTrips(one, path), 1, path)
    t.equal(await roundTrips(other, path), first, path)
    t.equal(await roundTrips(other, path), 1, path)
  }
})

t.test('an entry that another process has filled with other tags is invalidated by those and not by the ones before', async (t) => {
  for (const [before, after, gone] of [[['red'], ['blue'], 'red'], [['red', 'blue'], ['blue'], 'red'], [['blue'], ['red', 'blue'], 'none'], [[], ['blue'], 'red']]) {
    for (const local of [false, true] as const) {
      await redisCli(redis().port, 'FLUSHALL')
      const has = { tags: before as string[] }
      const [one, other] = [await tagged(t, redis().url, { has, local }), await tagged(t, redis().url, { has })]
      await one.request('/changing')
      await one.app.apiCache.settled()
      t.equal((await one.request('/changing')).cache, 'HIT')
      has.tags = after as string[]
      await other.app.apiCache.invalidate('things')
      await other.request('/changing')
      await other.app.apiCache.settled()
      const { text, cache } = await one.request('/changing')
      t.same({ text, cache }, { text: JSON.stringify(has), cache: 'HIT' })
      await other.app.apiCache.invalidateTags(gone as string)
      t.equal((await one.request('/changing')).cache, 'HIT', `${before} → ${after}`)
      await other.app.apiCache.invalidateTags('blue')
      t.equal((await one.request('/changing')).cache, 'MISS', `${before} → ${after}`)
    }
  }
})

t.test('an invalidated tag of the payload that could not be delivered is not asked for', async (t) => {
  const store = new class extends MapStore {
    isDown = false
    override async bump (names: readonly string[], fresh: string): Promise<void> {
      if (this.isDown) throw new Error('down')
      await super.bump(names, fresh)
    }
  }()
  const { app, request } = await serving(t, { store }, (app) => {
    app.get('/', { config: { cache: { ...shared, tags: (_request, _payload) => ['red'] } } }, async () => 'value')
  })
  await request('/')
  await app.apiCache.settled()
  t.equal((await request('/')).cache, 'HIT')
  store.isDown = true
  await app.apiCache.invalidateTags('red')
  const { headers } = await request('/')
  t.match(headers.get('cache-status'), 'detail=invalidating')
})

t.test('the response to a write waits for one round trip, however many namespaces and tags it names', async (t) => {
  const way = await countRoundTrips(t, redis().port)
  const { app, request } = await serving(t, { redis: way.url }, (app) => {
    app.post('/one', { config: { cache: { invalidate: 'things' } } }, async () => ({ ok: true }))
    app.post('/many', { config: { cache: { invalidate: many, invalidateTags: many } } }, async () => ({ ok: true }))
  })
  for (const path of ['/one', '/many']) {
    way.count = 0
    await request(path, { method: 'POST' })
    t.equal(way.count, 1, path)
    await app.apiCache.settled()
  }
})

t.test('the group of a tag is bumped before the tag, for fills that do not know their tags yet', async (t) => {
  const bumped: string[] = []
  const store = new class extends MapStore {
    override async bump (names: readonly string[], fresh: string): Promise<void> {
      bumped.push(...names)
      await super.bump(names, fresh)
    }
  }()
  const { request } = await serving(t, { store }, (app) => {
    app.post('/things', { config: { cache: { invalidate: 'things', invalidateTags: ['red', 'large'] } } }, async () => ({ ok: true }))
  })
  await request('/things', { method: 'POST' })
  const [groups, tags] = [/!tags:/, /!tag:/].map((kind) => bumped.flatMap((name, index) => kind.test(name) ? [index] : [])) as [number[], number[]]
  t.equal(tags.length, 2)
  t.ok(Math.max(...groups) < Math.min(...tags), bumped.join(' '))
})
