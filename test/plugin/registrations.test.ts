import Fastify, { type FastifyInstance } from 'fastify'
import { createServer } from 'node:http'
import t, { type Test } from 'tap'
import apiCache, { MemoryStore, type ApiCache, type ApiCacheOptions } from '../../index.js'
import { eachStore, fileRedis } from '../support/each-store.js'
import { listening } from '../support/serving.js'

const test = eachStore()
const redis = fileRedis()
const config = { cache: { namespace: 'users', expire: 60 } }

function server (t: Test): FastifyInstance {
  const app = Fastify()
  t.teardown(() => app.close())
  return app
}

/** Registers a context with the plugin and routes of its own in `parent`. */
async function contextWith (parent: FastifyInstance, path: string, options: ApiCacheOptions): Promise<ApiCache> {
  let cache!: ApiCache
  await parent.register(async (child) => {
    await child.register(apiCache, options)
    cache = child.apiCache
    let runs = 0
    child.get('/', { config }, async () => ++runs)
    child.post('/', { config: { cache: { invalidate: 'users' } } }, async () => 'done')
  }, { prefix: path })
  return cache
}

const registering = (app: FastifyInstance, options: ApiCacheOptions) => async (): Promise<void> => {
  await app.register(apiCache, options)
}

const code = 'FST_API_CACHE_ALREADY_REGISTERED'
const taken = (prefix: string) => ({
  code,
  message: "another context of this server has fastify-api-cache with the prefix '" + prefix + "' already: " +
    "register the plugin once on the parent of both, or give each its own 'prefix'"
})
const above = { code, message: /^this context has fastify\.apiCache already, .* register the plugin once .* its own 'prefix'$/ }

test('a prefix that another context of the server uses is refused', async (t, options) => {
  const app = server(t)
  await contextWith(app, '/a', options)
  await t.rejects(contextWith(app, '/b', options), taken('api-cache'))
})

t.test('a prefix that another context of the server uses is refused wherever that context is', async (t) => {
  const app = server(t)
  await app.register(async (outer) => { await contextWith(outer, '/deep', { store: 'memory', prefix: 'deep' }) })
  await t.rejects(contextWith(app, '/b', { store: 'memory', prefix: 'deep' }), taken('deep'))

  const later = server(t)
  await contextWith(later, '/a', { store: 'memory' })
  await t.rejects(registering(later, { store: 'memory' }), taken('api-cache'), 'on the parent, later')
})

t.test('a prefix that another context uses is also refused with another store', async (t) => {
  const app = server(t)
  await contextWith(app, '/a', { store: new MemoryStore() })
  await t.rejects(contextWith(app, '/b', { store: new MemoryStore() }), taken('api-cache'))
})

t.test('a second registration in one context, or below it, is refused whatever its prefix is', async (t) => {
  for (const prefix of ['api-cache', 'other']) {
    const app = server(t)
    await app.register(apiCache, { store: 'memory' })
    await t.rejects(registering(app, { store: 'memory', prefix }), above, `${prefix} in the same context`)
    const other = server(t)
    await other.register(apiCache, { store: 'memory' })
    await t.rejects(contextWith(other, '/child', { store: 'memory', prefix }), above, `${prefix} below it`)
  }
})

test('sibling contexts with different prefixes are independent', async (t, options) => {
  const app = server(t)
  const open = (name: string): Promise<ApiCache> =>
    contextWith(app, `/${name}`, { ...options, prefix: name, responseHeader: `x-${name}` })
  const caches = { a: await open('a'), b: await open('b') }
  const { origin, request } = await listening(t, app)
  const cache = async (name: string): Promise<string | null> => (await request(`/${name}`)).headers.get(`x-${name}`)
  for (const name of ['a', 'b'] as const) {
    t.equal(await cache(name), 'MISS')
    t.equal(await cache(name), 'HIT')
    await caches[name].settled()
    for await (const key of caches[name].keys('users')) t.equal(key, `${name}|users:GET /${name} ${origin}`)
  }
  await request('/a', { method: 'POST' })
  t.equal(await cache('a'), 'MISS')
  t.equal(await cache('b'), 'HIT')
  await caches.b.invalidate('users')
  t.equal(await cache('b'), 'MISS')
  t.equal(await cache('a'), 'HIT')
  t.match(caches.a.stats(), { hits: 2, misses: 2, invalidations: 1 })
  t.match(caches.b.stats(), { hits: 2, misses: 2, invalidations: 1 })
})

t.test('a parent can be registered with another prefix than its child has already', async (t) => {
  const app = server(t)
  await contextWith(app, '/child', { store: 'memory', prefix: 'child', responseHeader: 'x-child' })
  await app.register(apiCache, { store: 'memory' })
  app.get('/', { config }, async () => 'parent')
  const { request } = await listening(t, app)
  for (const cache of ['MISS', 'HIT']) {
    t.equal((await request('/child')).headers.get('x-child'), cache)
    t.equal((await request('/child')).cache, null)
  }
  for (const cache of ['MISS', 'HIT']) t.match(await request('/'), { cache, text: 'parent' })
})

t.test('two servers of one process may have one prefix on one Redis, and see each other\'s invalidations', async (t) => {
  const options = { redis: redis().url, host: false, timeout: 10_000 }
  const [a, b] = [server(t), server(t)]
  for (const app of [a, b]) await contextWith(app, '/', options)
  const [atA, atB] = [await listening(t, a), await listening(t, b)]
  await atA.request('/')
  t.equal((await atB.request('/')).cache, 'HIT')
  await atA.request('/', { method: 'POST' })
  t.equal((await atB.request('/')).cache, 'MISS')
})

const failing: Array<[what: string, options: ApiCacheOptions, code: string]> = [
  ['a wrong option', { store: 'memory', timeout: 0 }, 'FST_API_CACHE_INVALID_FIELD'],
  ['no Redis', { store: 'redis' }, 'FST_API_CACHE_NO_REDIS'],
  ['a local tier that its store cannot have', { store: 'memory', local: true }, 'FST_API_CACHE_INVALID_FIELD']
]
for (const [what, options, code] of failing) {
  t.test(`a registration that failed because of ${what} leaves its prefix free`, async (t) => {
    const app = server(t)
    const failed = new Promise((resolve) => { app.register(apiCache, options).after(resolve) })
    await app.register(apiCache, { store: 'memory' })
    t.match(await failed, { code })
    t.equal(app.apiCache.stats().store, 'memory')
  })
}

t.test('a closed server leaves its prefix free for the next one on the same HTTP server', async (t) => {
  const http = createServer()
  for (let round = 0; round < 2; round++) {
    const app = Fastify({ serverFactory: () => http })
    await app.register(apiCache, { store: 'memory' })
    app.get('/', { config }, async () => round)
    t.equal((await app.inject('/')).body, String(round))
    await app.close()
  }
})
