import { Readable } from 'node:stream'
import Fastify, { type FastifyRequest } from 'fastify'
import t from 'tap'
import apiCache from '../../index.js'
import { eachStore } from '../support/each-store.js'
import { gate } from '../support/gate.js'
import { keysOf, serving, type Serving } from '../support/serving.js'
import type { Test } from 'tap'
import type { ApiCacheOptions } from '../../index.js'

const test = eachStore()

/** Three users in a namespace, one post in another, all cached. */
async function filled (t: Test, options: ApiCacheOptions): Promise<Serving> {
  const server = await serving(t, options, (app) => {
    app.get<{ Params: { id: string } }>('/users/:id', {
      config: { cache: { namespace: 'users', expire: 60, tags: ({ params }) => [`user:${(params as { id: string }).id}`, 'everybody'] } }
    }, async ({ params }) => params.id)
    app.get('/posts', { config: { cache: { namespace: 'posts', expire: 60, tags: ['everybody'] } } }, async () => 'posts')
  })
  for (const path of ['/users/1', '/users/2', '/users/3', '/posts']) await server.request(path)
  await server.app.apiCache.settled()
  return server
}

const state = async ({ request }: Serving): Promise<unknown[]> => {
  const caches: unknown[] = []
  for (const path of ['/users/1', '/users/2', '/users/3', '/posts']) caches.push((await request(path)).cache)
  return caches
}

test('invalidate() invalidates a namespace and returns how many entries it swept', async (t, options) => {
  const server = await filled(t, options)
  t.equal(await (await server.app.apiCache.invalidate('users')).swept, 3)
  t.same(await keysOf(server.app, 'users'), [])
  t.same(await keysOf(server.app, 'posts'), [`api-cache|posts:GET /posts ${server.origin}`])
  t.same(await state(server), ['MISS', 'MISS', 'MISS', 'HIT'])
})

test('invalidate() resolves when the versions have been bumped, before the sweep, and says whether it is delivered', async (t, options) => {
  const server = await filled(t, options)
  const calls = [server.app.apiCache.invalidate('users'), server.app.apiCache.invalidateTags('everybody')]
  for (const call of calls) t.equal((await call).delivered, true)
  t.same(await state(server), ['MISS', 'MISS', 'MISS', 'MISS'])
  let swept = 0
  for (const call of calls) swept += await (await call).swept
  t.equal(server.app.apiCache.stats().swept, swept)
})

test('invalidate() takes several namespaces, with duplicates, or none', async (t, options) => {
  const server = await filled(t, options)
  t.equal(await (await server.app.apiCache.invalidate([])).swept, 0)
  t.same(await state(server), ['HIT', 'HIT', 'HIT', 'HIT'])
  t.equal(await (await server.app.apiCache.invalidate(['users', 'posts', 'users', 'unknown'])).swept, 4)
  t.equal(server.app.apiCache.stats().invalidations, 3)
  t.same(await state(server), ['MISS', 'MISS', 'MISS', 'MISS'])
})

test('invalidateTags() invalidates the entries that have a tag, in every namespace', async (t, options) => {
  const server = await filled(t, options)
  t.equal(await (await server.app.apiCache.invalidateTags('user:2')).swept, 1)
  t.same(await state(server), ['HIT', 'MISS', 'HIT', 'HIT'])
  await server.app.apiCache.settled()
  t.equal(await (await server.app.apiCache.invalidateTags(['user:1', 'user:3', 'user:9'])).swept, 2)
  t.same(await state(server), ['MISS', 'HIT', 'MISS', 'HIT'])
  await server.app.apiCache.settled()
  t.equal(await (await server.app.apiCache.invalidateTags('everybody')).swept, 4)
  t.same(await state(server), ['MISS', 'MISS', 'MISS', 'MISS'])
})

test('keys() lists the keys of one namespace', async (t, options) => {
  const { app, origin } = await filled(t, options)
  t.same(await keysOf(app, 'users'), [1, 2, 3].map((id) => `api-cache|users:GET /users/${id} ${origin}`))
  t.same(await keysOf(app, 'user'), [])
  t.same(await keysOf(app, '*'), [])
})

test('stats() counts what happened', async (t, options) => {
  const server = await filled(t, options)
  const { app, request } = server
  t.match(app.apiCache.stats(), {
    hits: 0,
    misses: 4,
    bypasses: 0,
    stored: 4,
    invalidations: 0,
    swept: 0,
    available: true,
    failures: 0,
    pending: 0,
    store: options.store === 'memory' ? 'memory' : 'redis'
  })
  await request('/users/1')
  await request('/users/1', { headers: { cookie: 'a=b' } })
  await (await app.apiCache.invalidate('users')).swept
  t.match(app.apiCache.stats(), { hits: 1, misses: 4, bypasses: 1, stored: 4, invalidations: 1, swept: 3 })
})

test('settled() resolves when nothing is left to store or to sweep', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => {
    app.get('/users', { config: { cache: { namespace: 'users', expire: 60 } } }, async () => 'users')
    app.post('/users', { config: { cache: { invalidate: 'users' } } }, async () => 'done')
  })
  await app.apiCache.settled()
  for (let round = 0; round < 10; round++) {
    await request('/users')
    await app.apiCache.settled()
    t.equal((await keysOf(app, 'users')).length, 1)
    await request('/users', { method: 'POST' })
    await app.apiCache.settled()
    t.equal((await keysOf(app, 'users')).length, 0)
  }
})

test('clear() invalidates everything under the prefix, and resolves to the number of swept entries', async (t, options) => {
  const server = await filled(t, options)
  const other = await filled(t, { ...options, prefix: 'other' })
  const { delivered, swept } = await server.app.apiCache.clear()
  t.equal(delivered, true)
  t.equal(await swept, 4)
  t.same(await keysOf(server.app, 'users'), [])
  t.equal(server.app.apiCache.stats().swept, 4)
  t.same(await state(server), ['MISS', 'MISS', 'MISS', 'MISS'])
  t.same(await state(server), ['HIT', 'HIT', 'HIT', 'HIT'])
  t.same(await state(other), ['HIT', 'HIT', 'HIT', 'HIT'])
})

test('a fill in progress when clear() is called is not served afterwards', async (t, options) => {
  const [asked, goOn] = [gate(), gate()]
  let value = 1
  const { app, request } = await serving(t, options, (app) => app.get('/', { config: { cache: { namespace: 'values', expire: 60 } } }, async () => {
    const read = value
    asked.open()
    await goOn.opened
    return String(read)
  }))
  const old = request('/')
  await asked.opened
  value = 2
  await app.apiCache.clear()
  goOn.open()
  t.equal((await old).text, '1')
  await app.apiCache.settled()
  t.match(await request('/'), { cache: 'MISS', text: '2' })
})

t.test('a pattern as a name is a coded error that says what to call instead', async (t) => {
  const { app } = await serving(t, { store: 'memory' }, () => {})
  const rejects = { code: 'FST_API_CACHE_PATTERN_NAME', message: /call fastify.apiCache.clear\(\)/ }
  for (const pattern of ['*', '**', ['users', '*']]) {
    await t.rejects(app.apiCache.invalidate(pattern), rejects)
    await t.rejects(app.apiCache.invalidateTags(pattern), rejects)
    await t.rejects(app.apiCache.writing(pattern, () => t.fail('it runs')), rejects)
  }
  const other = Fastify()
  await other.register(apiCache, { store: 'memory' })
  t.throws(() => other.post('/', { config: { cache: { invalidate: '*' } } }, async () => 1), rejects)
  t.throws(() => other.post('/', { config: { cache: { invalidateTags: ['a', '*'] } } }, async () => 1), rejects)
  await other.close()
})

t.test('an invalid name is a coded error', async (t) => {
  const { app } = await serving(t, { store: 'memory' }, () => {})
  const { apiCache } = app
  for (const wrong of ['', [''], ['users', ''], undefined, null, 1, {}, [1]]) {
    const rejects = { code: 'FST_API_CACHE_INVALID_NAME', message: /must be a non-empty string or a list of them/ }
    await t.rejects(apiCache.invalidate(wrong as string), rejects)
    await t.rejects(apiCache.invalidateTags(wrong as string), rejects)
  }
  for (const wrong of ['', undefined, ['users']]) {
    await t.rejects(keysOf(app, wrong as string), { code: 'FST_API_CACHE_INVALID_NAME' })
  }
})

t.test('an unknown option of a call is an error that names the nearest, and several names are one list', async (t) => {
  const { app: { apiCache } } = await serving(t, { store: 'memory' }, () => {})
  for (const call of [apiCache.invalidate, apiCache.invalidateTags]) {
    await t.rejects(call.call(apiCache, 'users', { sof: '5s' } as object), {
      code: 'FST_API_CACHE_UNKNOWN_FIELD', message: /^invalidate(Tags)? has no field 'sof'; did you mean 'soft'\?$/
    })
    for (const wrong of ['posts', ['posts'], 5, true, null, () => 1]) {
      await t.rejects(call.call(apiCache, 'users', wrong as object), {
        code: 'FST_API_CACHE_INVALID_FIELD', message: /^invalidate(Tags)?: 'options' must be an object.*several names are one list/
      }, String(wrong))
    }
    t.equal((await call.call(apiCache, 'users', {})).delivered, true)
    t.equal((await call.call(apiCache, 'users', { soft: undefined, settle: undefined })).delivered, true)
  }
  t.match(apiCache.stats(), { invalidations: 4 })
})

test('keys() and namespaces() list what has been answered before they are called', async (t, options) => {
  const { app } = await serving(t, { ...options, expire: 60 }, (app) => {
    const byId = ({ params }: FastifyRequest): string => (params as { id: string }).id
    app.get('/plain/:id', { config: { cache: { namespace: byId } } }, async () => 'plain')
    app.get('/large/:id', { config: { cache: { namespace: byId } } }, async () => 'x'.repeat(500_000))
    app.get('/tagged/:id', { config: { cache: { namespace: byId, tags: (_request, _payload) => ['tag'] } } }, async () => 'tagged')
    app.get('/varying/:id', { config: { cache: { namespace: byId } } }, async (_request, reply) => reply.header('vary', 'accept').send('varying'))
    app.get('/stream/:id', { config: { cache: { namespace: byId } } }, async (_request, reply) => reply.send(Readable.from(['a', 'b'])))
    app.get('/wide/:id', { config: { cache: { namespace: byId, compress: true, storeCompressed: true } } }, async () => 'x'.repeat(50_000))
  })
  for (const kind of ['plain', 'large', 'tagged', 'varying', 'stream', 'wide']) {
    for (let id = 0; id < 5; id++) {
      // Without a socket, nothing else happens between the response and the call.
      await app.inject(`/${kind}/${kind}-${id}`)
      t.equal((await keysOf(app, `${kind}-${id}`)).length, kind === 'varying' ? 2 : 1, kind)
    }
    await app.inject(`/${kind}/${kind}-last`)
    const namespaces: string[] = []
    for await (const namespace of app.apiCache.namespaces()) namespaces.push(namespace)
    t.ok(namespaces.includes(`${kind}-last`), kind)
  }
})

test('keys() does not wait for a handler that is at work', async (t, options) => {
  const [asked, goOn] = [gate(), gate()]
  const { app, request } = await serving(t, options, (app) => app.get('/', { config: { cache: { namespace: 'slow', expire: 60 } } }, async () => {
    asked.open()
    await goOn.opened
    return 'slow'
  }))
  const slow = request('/')
  await asked.opened
  t.same(await keysOf(app, 'slow'), [])
  goOn.open()
  await slow
})
