import fastifyRedis from '@fastify/redis'
import Fastify, { type FastifyInstance } from 'fastify'
import { once } from 'node:events'
import { Cluster, Redis } from 'ioredis'
import { createClient, createClientPool, createCluster } from 'redis'
import t, { type Test } from 'tap'
import apiCache, { type ApiCacheOptions } from '../../index.js'
import { fileRedis, redisCli } from '../support/each-store.js'
import { complaints, loggingTo, type LogLine } from '../support/log.js'
import { startCluster } from '../support/redis-cluster.js'
import { startRedis } from '../support/redis-server.js'
import { keysOf, listening } from '../support/serving.js'
import { temporaryFolder } from '../support/temporary-folder.js'

const redis = fileRedis()
t.beforeEach(() => redisCli(redis().port, 'FLUSHALL'))

function declare (app: FastifyInstance): void {
  app.get<{ Params: { id: string } }>('/:id', { config: { cache: { namespace: 'users', expire: 60, host: false } } }, async ({ params }) => params.id)
  app.post('/', { config: { cache: { invalidate: 'users' } } }, async () => 'done')
}

/** MISS, HIT, keys where they belong, and gone after a write. */
async function works (t: Test, options: ApiCacheOptions, before: (app: FastifyInstance) => unknown = () => {}, lines: LogLine[] = []): Promise<FastifyInstance> {
  const app = Fastify(loggingTo(lines))
  await before(app)
  await app.register(apiCache, { timeout: 10_000, ...options })
  const { request } = await listening(t, app, declare)
  t.match(await request('/1'), { cache: 'MISS', text: '1' })
  t.match(await request('/1'), { cache: 'HIT', text: '1' })
  await app.apiCache.settled()
  t.same(await keysOf(app, 'users'), ['api-cache|users:GET /1'])
  await request('/', { method: 'POST' })
  await app.apiCache.settled()
  t.same(await keysOf(app, 'users'), [])
  t.equal((await request('/1')).cache, 'MISS')
  await app.apiCache.settled()
  return app
}

const entriesInRedis = (): Promise<string[]> => redisCli(redis().port, '--scan', '--pattern', '*|users:*')
const connections = async (): Promise<number> => (await redisCli(redis().port, 'CLIENT', 'LIST', 'TYPE', 'NORMAL')).length

t.test('fastify.redis of @fastify/redis is used if it is registered', async (t) => {
  const lines: LogLine[] = []
  const app = await works(t, {}, (app) => app.register(fastifyRedis, { url: redis().url }), lines)
  t.same(await entriesInRedis(), ['api-cache|users:GET /1'])
  t.equal(app.apiCache.stats().store, 'redis')
  t.same(complaints(lines), [])
})

t.test('a namespace of @fastify/redis is used when redisNamespace names it', async (t) => {
  await works(t, { redisNamespace: 'cache' }, async (app) => {
    await app.register(fastifyRedis, { url: `${redis().url}/1`, namespace: 'other' })
    await app.register(fastifyRedis, { url: redis().url, namespace: 'cache' })
  })
  t.same(await entriesInRedis(), ['api-cache|users:GET /1'])
})

t.test('an ioredis client is used and stays open when the server closes', async (t) => {
  const client = new Redis(redis().port)
  t.teardown(() => client.disconnect())
  const app = await works(t, { redis: client })
  t.same(await entriesInRedis(), ['api-cache|users:GET /1'])
  await app.close()
  t.equal(client.status, 'ready')
  t.equal(await client.ping(), 'PONG')
})

t.test('a client of node-redis is used, through a connection of the plugin\'s own', async (t) => {
  const client = createClient({ url: redis().url })
  client.on('error', () => {})
  await client.connect()
  t.teardown(() => { client.destroy() })
  const before = await connections()
  const app = await works(t, { redis: client })
  t.same(await entriesInRedis(), ['api-cache|users:GET /1'])
  t.equal(await connections(), before + 1)
  t.ok((await redisCli(redis().port, 'CLIENT', 'LIST')).some((line) => line.includes(' name=api-cache ')))
  await app.close()
  t.equal(await client.ping(), 'PONG')
})

t.test("local: { consistency: 'tracked' } with a client of node-redis is a coded error", async (t) => {
  const redis = createClient()
  await t.rejects(async () => { await Fastify().register(apiCache, { redis, timeout: 1, local: { consistency: 'tracked' } }) }, {
    code: 'FST_API_CACHE_INVALID_FIELD', message: /'strict' with a Cluster, a node-redis client/
  })
})

t.test('a fastify.redis of node-redis is picked up, also before it is connected', async (t) => {
  const lines: LogLine[] = []
  const app = await works(t, {}, (app) => app.decorate('redis', createClient({ url: redis().url }) as never), lines)
  t.equal(app.apiCache.stats().store, 'redis')
  t.same(complaints(lines), [])
})

t.test('a cluster of node-redis is used itself and stays open, and several registrations leave nothing behind, also where it has other addresses', async (t) => {
  const { startupNodes, stop } = await startCluster()
  const cluster = createCluster({
    rootNodes: startupNodes.map((socket) => ({ socket })),
    nodeAddressMap: (address) => ({ host: 'localhost', port: Number(address.split(':')[1]) })
  })
  cluster.on('error', () => {})
  await cluster.connect()
  t.teardown(async () => {
    cluster.destroy()
    await stop()
  })
  const warnings: string[] = []
  process.on('warning', (warning) => { warnings.push(warning.name) })
  const app = Fastify()
  for (let index = 0; index < 12; index++) {
    await app.register(async (child) => {
      await child.register(apiCache, { redis: cluster, prefix: `cache-${index}`, timeout: 10_000 })
      child.get(`/${index}`, { config: { cache: { namespace: 'users', expire: 60, host: false, coalesce: 'fleet' } } }, async () => 'user')
      child.post(`/${index}`, { config: { cache: { invalidate: 'users' } } }, async () => 'done')
    })
  }
  const { request } = await listening(t, app)
  for (let index = 0; index < 12; index++) {
    t.equal((await request(`/${index}`)).cache, 'MISS')
    t.equal((await request(`/${index}`)).cache, 'HIT')
    await request(`/${index}`, { method: 'POST' })
    t.equal((await request(`/${index}`)).cache, 'MISS')
  }
  const channels = async (): Promise<string[]> =>
    (await Promise.all(startupNodes.map(({ port }) => redisCli(port, 'PUBSUB', 'CHANNELS')))).flat()
  t.not((await channels()).length, 0)
  await app.close()
  t.equal(cluster.isOpen, true)
  while ((await channels()).length > 0);
  t.notOk(warnings.includes('MaxListenersExceededWarning'))
})

t.test('a client that connects later is used once it is connected', async (t) => {
  const client = new Redis(redis().port, { lazyConnect: true })
  t.teardown(() => client.disconnect())
  await client.connect()
  await works(t, { redis: client })
})

t.test('the client\'s own options and listeners are left as they were', async (t) => {
  const client = new Redis(redis().port)
  t.teardown(() => client.disconnect())
  await once(client, 'ready')
  const options = { ...client.options }
  const listeners = (): Record<string, number> => Object.fromEntries(['ready', 'error', 'close', 'end', 'connect'].map((event) => [event, client.listenerCount(event)]))
  const before = listeners()
  const app = await works(t, { redis: client })
  await app.close()
  t.same(client.options, options)
  t.same(listeners(), before)
})

t.test('a URL is connected to, and the connection closed with the server', async (t) => {
  const before = await connections()
  const app = await works(t, { redis: redis().url })
  t.same(await entriesInRedis(), ['api-cache|users:GET /1'])
  t.equal(await connections(), before + 1)
  await app.close()
  while (await connections() > before) await redisCli(redis().port, 'PING')
  t.equal(await connections(), before)
})

t.test('ioredis options are connected with, and the connection closed with the server', async (t) => {
  const before = await connections()
  const options = Object.freeze({ host: '127.0.0.1', port: redis().port, db: 3, keyPrefix: 'own:' })
  const app = await works(t, { redis: options })
  t.same(await redisCli(redis().port, '-n', '3', '--scan', '--pattern', '*|users:*'), ['own:api-cache|users:GET /1'])
  await app.close()
  while (await connections() > before) await redisCli(redis().port, 'PING')
  t.equal(await connections(), before)
})

t.test('CLIENT LIST shows connections by the prefix, or by the name that the options have', async (t) => {
  const given = new Redis(redis().port, { connectionName: 'given' })
  const unnamed = new Redis(redis().port)
  t.teardown(() => { given.disconnect(); unnamed.disconnect() })
  const { url, port } = redis()
  for (const [options, name] of [
    [{ redis: url }, 'api-cache'], [{ redis: url, prefix: 'shop' }, 'shop'], [{ redis: unnamed }, 'api-cache'], [{ redis: given }, 'given'],
    [{ redis: { port, connectionName: 'own' } }, 'own'], [{ redis: `${url}?connectionName=own` }, 'own']
  ] as Array<[ApiCacheOptions, string]>) {
    const app = Fastify()
    const before = (await redisCli(port, 'CLIENT', 'LIST')).filter((line) => line.includes(` name=${name} `)).length
    await app.register(apiCache, options)
    t.equal((await redisCli(port, 'CLIENT', 'LIST')).filter((line) => line.includes(` name=${name} `)).length, before + 1, name)
    await app.close()
  }
})

t.test('many registrations add no listeners to the client that they share', async (t) => {
  const client = new Redis(redis().port)
  t.teardown(() => { client.disconnect() })
  const warnings: Error[] = []
  const warn = (warning: Error): void => { warnings.push(warning) }
  process.on('warning', warn)
  t.teardown(() => { process.off('warning', warn) })
  const app = Fastify()
  t.teardown(() => app.close())
  for (let index = 0; index < 12; index++) {
    app.register(async (child) => { await child.register(apiCache, { redis: client, prefix: `cache-${index}` }) })
  }
  await app.ready()
  t.same(warnings, [])
})

t.test('the redis option comes before fastify.redis', async (t) => {
  await works(t, { redis: redis().url }, (app) => app.register(fastifyRedis, { url: `${redis().url}/5` }))
  t.same(await entriesInRedis(), ['api-cache|users:GET /1'])
  t.same(await redisCli(redis().port, '-n', '5', '--scan'), [])
})

t.test('store: \'memory\' leaves a Redis alone and logs nothing', async (t) => {
  const lines: LogLine[] = []
  const app = await works(t, { store: 'memory' }, (app) => app.register(fastifyRedis, { url: redis().url }), lines)
  t.equal(app.apiCache.stats().store, 'memory')
  t.same(await redisCli(redis().port, '--scan'), [])
  t.same(complaints(lines), [])
})

t.test('without a Redis entries are kept in memory, which is logged once', async (t) => {
  const lines: LogLine[] = []
  const app = await works(t, {}, () => {}, lines)
  t.equal(app.apiCache.stats().store, 'memory')
  t.match(complaints(lines), [{ level: 40, msg: /no Redis, so entries are kept in this process's memory and an invalidation reaches no other process/ }])
  t.equal(complaints(lines).length, 1)
})

t.test('a Cluster is used on all its masters and stays open when the server closes', async (t) => {
  const cluster = await startCluster()
  t.teardown(() => cluster.stop())
  const client = new Cluster([...cluster.startupNodes])
  t.teardown(() => client.disconnect())
  await once(client, 'ready')
  const app = await works(t, { redis: client })

  const { request } = await listening(t, Fastify(), async (app) => {
    await app.register(apiCache, { redis: client, timeout: 10_000 })
    declare(app)
  })
  const paths = Array.from({ length: 60 }, (_, index) => `/${index}`)
  for (const path of paths) await request(path)
  const perMaster = await Promise.all(cluster.nodes.map(({ port }) => redisCli(port, '--scan', '--pattern', '*|users:*')))
  for (const keys of perMaster) t.not(keys.length, 0)
  t.same((await keysOf(app, 'users')).length, 60)
  t.equal(await (await app.apiCache.invalidate('users')).swept, 60)
  t.same(await Promise.all(cluster.nodes.map(({ port }) => redisCli(port, '--scan', '--pattern', '*|users:*'))), [[], [], []])
  for (const path of paths.slice(0, 5)) t.equal((await request(path)).cache, 'MISS')
  await app.close()
  t.equal(client.status, 'ready')
})

t.test('a Cluster that reads from replicas is refused', async (t) => {
  const client = new Cluster([{ host: '127.0.0.1', port: redis().port }], { scaleReads: 'slave', lazyConnect: true })
  t.teardown(() => client.disconnect())
  await t.rejects(async () => { await Fastify().register(apiCache, { redis: client }) }, {
    code: 'FST_API_CACHE_UNSAFE_REDIS', message: /scaleReads.*its own client with scaleReads: 'master'/
  })
})

type Refused = [what: string, options: ApiCacheOptions, before: (app: FastifyInstance) => unknown, message: RegExp]

const other = createClientPool()
const missing: Refused[] = [
  ['store: \'redis\' without any', { store: 'redis' }, () => {}, /register @fastify\/redis before this plugin, or give it the redis option/],
  ['a redisNamespace without @fastify/redis', { redisNamespace: 'cache' }, () => {}, /has no namespace 'cache'; register it before this plugin/],
  ['an unknown redisNamespace', { redisNamespace: 'cahce' }, (app) => app.register(fastifyRedis, { url: redis().url, namespace: 'cache' }), /has no namespace 'cahce'/],
  ['a redisNamespace that is a pool of node-redis', { redisNamespace: 'cache' }, (app) => app.decorate('redis', { cache: other } as never),
    /'cache' of @fastify\/redis is not a client of ioredis or node-redis but a pool, a Sentinel or a legacy client of node-redis/],
  ['@fastify/redis with namespaces of which none is named', {}, async (app) => {
    for (const namespace of ['cache', 'other']) await app.register(fastifyRedis, { url: redis().url, namespace })
  }, /has only the namespaces 'cache', 'other': set redisNamespace to one, or write store: 'memory'/],
  ['a fastify.redis that is a pool of node-redis', {}, (app) => app.decorate('redis', other as never),
    /fastify\.redis is not a client of ioredis or node-redis but a pool, .*: pass one as redis, or write store: 'memory'/],
  ['a fastify.redis that is a string', {}, (app) => app.decorate('redis', 'redis://:secret@localhost' as never), /is not a client of ioredis or node-redis but a string: /]
]
for (const [what, options, before, message] of missing) {
  t.test(`${what} is a coded error that says what to register`, async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await before(app)
    await t.rejects(async () => { await app.register(apiCache, options) }, { code: 'FST_API_CACHE_NO_REDIS', message })
  })
}

for (const [where, registerCache] of Object.entries<(app: FastifyInstance) => unknown>({
  'in the same context': (app) => app.register(apiCache),
  'in a child context': (app) => app.register(async (child) => { await child.register(apiCache) })
})) {
  t.test(`@fastify/redis registered after the plugin ${where} is a coded error, not a memory store`, async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    registerCache(app)
    app.register(fastifyRedis, { url: redis().url })
    await t.rejects(async () => { await app.ready() }, {
      code: 'FST_API_CACHE_NO_REDIS', message: /registered after this plugin.*register @fastify\/redis before it.*store: 'memory'/
    })
  })
}

t.test('@fastify/redis may be registered after a plugin that does not need it', async (t) => {
  for (const options of [{ store: 'memory' }, { redis: redis().url }] as const) {
    const app = Fastify()
    t.teardown(() => app.close())
    app.register(apiCache, options)
    app.register(fastifyRedis, { url: redis().url })
    await app.ready()
  }
})

t.test('a fastify.redis of another package is left alone if it is not used', async (t) => {
  await works(t, { redis: redis().url }, (app) => app.decorate('redis', other as never))
  const app = await works(t, { store: 'memory' }, (app) => app.decorate('redis', other as never))
  t.equal(app.apiCache.stats().store, 'memory')
})

t.test('the path of a socket is connected to', async (t) => {
  const path = `${await temporaryFolder(t)}/redis.sock`
  const server = await startRedis({ args: ['--unixsocket', path] })
  t.teardown(() => server.stop())
  await works(t, { redis: { path } })
  t.same(await redisCli(server.port, '--scan', '--pattern', '*|users:*'), ['api-cache|users:GET /1'])
})
