import Fastify, { type FastifyInstance } from 'fastify'
import { Cluster } from 'ioredis'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import apiCache, { type ApiCacheOptions, type WritePolicy } from '../../index.js'
import { eachTier, inRedis } from '../support/each-store.js'
import { startCluster } from '../support/redis-cluster.js'
import { startRedis } from '../support/redis-server.js'
import { serving, type Serving } from '../support/serving.js'

const test = eachTier()

/** A database whose replica shows a write only when a test says so. */
class Database {
  primary = 1
  replica = 1
  reads = 0

  read (): { value: number } {
    this.reads++
    return { value: this.replica }
  }

  catchUp (): void { this.replica = this.primary }
}

interface Lagging extends Serving {
  readonly database: Database
  write (path?: string): Promise<void>
  value (path?: string): Promise<{ value: number, cache: string | null, status: string, client: string | null }>
}

async function lagging (t: Test, options: ApiCacheOptions, policy: Partial<WritePolicy> = { settle: '1s' }): Promise<Lagging> {
  const database = new Database()
  const write = async (): Promise<string> => { database.primary++; return 'done' }
  const server = await serving(t, options, (app: FastifyInstance) => {
    app.get('/users', { config: { cache: { namespace: 'users', expire: '1 hour', clientExpire: '10m' } } }, async () => database.read())
    app.get('/tagged', { config: { cache: { namespace: 'tagged', tags: ['ada'], expire: '1 hour' } } }, async () => database.read())
    app.get('/payload', {
      config: { cache: { namespace: 'payload', tags: (_request, payload) => [payload === undefined ? 'none' : 'ada'], expire: '1 hour' } }
    }, async () => database.read())
    app.get('/inside', (_request, reply) => reply.cached({ namespace: 'users', expire: '1 hour' }, () => database.read()))
    app.get('/inside/value', (_request, reply) => reply.cachedValue({ namespace: 'users', key: () => 'value', expire: '1 hour' }, () => database.read()))
    app.post('/write', { config: { cache: { invalidate: 'users', invalidateTags: 'ada', ...policy } as WritePolicy } }, write)
    app.post('/plain', { config: { cache: { invalidate: 'users', invalidateTags: 'ada', settle: 0 } } }, write)
  })
  return {
    ...server,
    database,
    async write (path = '/write') { await server.request(path, { method: 'POST' }) },
    async value (path = '/users') {
      const { text, cache, headers } = await server.request(path)
      return { value: JSON.parse(text).value, cache, status: headers.get('cache-status')!, client: headers.get('cache-control') }
    }
  }
}

/** Reads until the answer is that of the primary; what a window holds back is served before. */
async function untilCurrent ({ value, database }: Lagging, path?: string): Promise<void> {
  const end = performance.now() + 8_000
  while ((await value(path)).value !== database.primary) {
    if (performance.now() > end) throw new Error('an old answer is kept beyond its window')
    await delay(20)
  }
}

for (const [what, path] of [['namespace', '/users'], ['tag', '/tagged'], ['tag of the payload', '/payload']] as const) {
  test(`what a lagging replica answers after a write to a ${what} is served within the window, and not beyond it`, async (t, options) => {
    const server = await lagging(t, options)
    await server.value(path)
    await server.write()
    t.match(await server.value(path), { cache: 'MISS', value: 1 })
    t.match(await server.value(path), { cache: 'HIT', value: 1 })
    server.database.catchUp()
    await untilCurrent(server, path)
    t.match(await server.value(path), { cache: 'HIT', value: 2 })
    t.equal(server.database.reads, 3)
  })

  test(`nothing is kept beyond the window of a ${what} that nobody had read before`, async (t, options) => {
    const server = await lagging(t, options)
    await server.write()
    t.match(await server.value(path), { cache: 'MISS', value: 1 })
    server.database.catchUp()
    await untilCurrent(server, path)
    t.equal(server.database.reads, 2)
  })
}

test('a strict write with a window begins it when it ends', async (t, options) => {
  const server = await lagging(t, options, { settle: '1s', strict: true })
  await server.value()
  await server.write()
  t.match(await server.value(), { cache: 'MISS', value: 1 })
  t.match(await server.value(), { cache: 'HIT', value: 1 })
  server.database.catchUp()
  await untilCurrent(server)
})

test('a write without a window does not end the window of another, and does not prolong it', async (t, options) => {
  const server = await lagging(t, options)
  await server.write()
  await server.write('/plain')
  t.match(await server.value(), { value: 1, status: /detail=settling/ })
  server.database.catchUp()
  await untilCurrent(server)
  t.match(await server.value(), { cache: 'HIT', value: 3 })
})

test('Cache-Status says that an answer is one of a window, and clients are not told to keep it', async (t, options) => {
  const server = await lagging(t, options)
  const before = await server.value()
  t.match(before, { client: 'max-age=600' })
  t.notMatch(before.status, 'settling')
  await server.write()
  t.match(await server.value(), { cache: 'MISS', status: /fwd=(stale|uri-miss);stored;detail=settling/, client: 'no-cache' })
  t.match(await server.value(), { cache: 'HIT', status: /hit;ttl=\d+;detail=settling/, client: 'no-cache' })
  server.database.catchUp()
  await untilCurrent(server)
  const after = await server.value()
  t.match(after, { cache: 'HIT', client: 'max-age=600' })
  t.notMatch(after.status, 'settling')
})

test('Cache-Status says so of what is cached inside a handler, too, and of a HEAD', async (t, options) => {
  const server = await lagging(t, options, { settle: '1m' })
  await server.write()
  for (const path of ['/inside', '/inside/value']) {
    t.match(await server.value(path), { cache: 'MISS', status: /stored;detail=settling/ }, path)
    t.match(await server.value(path), { cache: 'HIT', status: /hit;ttl=\d+;detail=settling/ }, path)
    t.match((await server.request(path, { method: 'HEAD' })).headers.get('cache-status'), /hit;ttl=\d+;detail=settling/, path)
  }
})

test('however many ask within the window, the database is asked once', async (t, options) => {
  const server = await lagging(t, options, { settle: '1m' })
  await server.value()
  await server.write()
  server.database.reads = 0
  for (let round = 0; round < 20; round++) await Promise.all(Array.from({ length: 20 }, () => server.value()))
  t.equal(server.database.reads, 1)
})

test('the plugin can have a window for all writes, and one write none', async (t, options) => {
  const server = await lagging(t, { ...options, settle: '1m' }, {})
  await server.write('/plain')
  t.notMatch((await server.value()).status, 'settling')
  await server.write()
  t.match((await server.value()).status, 'settling')
})

test('code outside of routes can name a window', async (t, options) => {
  const server = await lagging(t, options)
  for (const move of [
    () => server.app.apiCache.invalidate('users', { settle: '1m' }),
    () => server.app.apiCache.writing('users', () => {}, { settle: 60 })
  ]) {
    await move()
    t.match((await server.value()).status, 'settling')
  }
  await server.app.apiCache.invalidateTags('ada', { settle: '1m' })
  t.match((await server.value('/tagged')).status, 'settling')
  await t.rejects(server.app.apiCache.invalidate('users', { settle: '1 day' }), { code: 'FST_API_CACHE_INVALID_FIELD' })
})

t.test('a window is bounded, and one that is none is an error when the route is added', async (t) => {
  for (const settle of ['6m', 301, 0.5, -1, '2', true, null] as never[]) {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(apiCache, { store: 'memory' })
    t.throws(() => app.post('/', { config: { cache: { invalidate: 'users', settle } } }, async () => ''),
      { code: 'FST_API_CACHE_INVALID_FIELD', message: /'settle' must be 0 for none, whole seconds from 1 to 300/ })
    await t.rejects(async () => await Fastify().register(apiCache, { store: 'memory', settle }), { code: 'FST_API_CACHE_INVALID_FIELD' })
  }
})

t.test('on a Cluster, too, nothing is kept beyond the window', async (t) => {
  const servers = await startCluster()
  t.teardown(() => servers.stop())
  const redis = new Cluster([...servers.startupNodes])
  t.teardown(() => { redis.disconnect() })
  const server = await lagging(t, { redis, timeout: 10_000 })
  for (const path of ['/users', '/payload']) await server.value(path)
  await server.write()
  for (const path of ['/users', '/payload']) t.match(await server.value(path), { value: 1 })
  server.database.catchUp()
  for (const path of ['/users', '/payload']) await untilCurrent(server, path)
})

t.test('a user without scripts bypasses what a write made old until its window ends', async (t) => {
  const redis = await startRedis({ config: 'user default on nopass ~* &* +@all -@scripting' })
  t.teardown(() => redis.stop())
  const server = await lagging(t, inRedis(redis))
  await server.value()
  await server.write()
  t.match(await server.value(), { cache: 'MISS', value: 1 })
  await server.write('/plain')
  t.match(await server.value(), { cache: 'MISS', value: 1 })
  server.database.catchUp()
  t.match(await server.value(), { value: 3 })
  for (let cache: string | null = 'MISS'; cache !== 'HIT';) ({ cache } = await server.value())
  t.match(await server.value(), { cache: 'HIT', value: 3 })
})
