import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import apiCache from '../../index.js'
import { eachStore } from '../support/each-store.js'
import { keysOf, listening, see, serving } from '../support/serving.js'

const test = eachStore()
const config = { cache: { namespace: 'users', expire: 60 } }

test('routes below a prefix are cached under their whole path', async (t, options) => {
  const { app, origin, request } = await serving(t, options, async (app) => {
    await app.register(async (v1) => {
      v1.get('/users', { config }, async () => 'v1')
      await v1.register(async (admin) => {
        admin.get<{ Params: { id: string } }>('/users/:id', { config }, async ({ params }) => `admin ${params.id}`)
        admin.post('/users', { config: { cache: { invalidate: 'users' } } }, async () => 'done')
      }, { prefix: '/admin' })
    }, { prefix: '/v1' })
    await app.register(async (v2) => { v2.get('/users', { config }, async () => 'v2') }, { prefix: '/v2' })
  })
  const answers: Array<[string, string]> = [['/v1/users', 'v1'], ['/v2/users', 'v2'], ['/v1/admin/users/1', 'admin 1'], ['/v1/admin/users/2', 'admin 2']]
  for (const cache of ['MISS', 'HIT']) {
    for (const [path, text] of answers) t.match(await request(path), { cache, text }, `${cache} ${path}`)
  }
  await app.apiCache.settled()
  t.same(await keysOf(app, 'users'), answers.map(([path]) => `api-cache|users:GET ${path} ${origin}`).sort())
  await request('/v1/admin/users', { method: 'POST' })
  for (const [path, text] of answers) t.match(await request(path), { cache: 'MISS', text })
})

test('the root of a prefix is cached with and without its slash', async (t, options) => {
  const { request } = await serving(t, options, (app) => app.register(async (child) => {
    child.get('/', { config }, async () => 'root')
  }, { prefix: '/v1' }))
  await request('/v1')
  await request('/v1/')
  for (const path of ['/v1', '/v1/']) t.match(await request(path), { cache: 'HIT', text: 'root' })
})

test('a HEAD gets what its GET stored, without the body', async (t, options) => {
  let runs = 0
  const { app, request } = await serving(t, options, (app) => app.get('/', { config }, async (_request, reply) => {
    runs++
    return reply.header('x-own', 'own').type('text/html').send('<p>grüße</p>')
  }))
  const first = await request('/', { method: 'HEAD' })
  t.match(first, { cache: 'MISS', status: 200, text: '' })
  await app.apiCache.settled()
  t.same(await keysOf(app, 'users'), [], 'a HEAD stores nothing')

  const get = await request('/')
  t.match(get, { cache: 'MISS', text: '<p>grüße</p>' })
  const head = await request('/', { method: 'HEAD' })
  t.match(head, { cache: 'HIT', status: 200, text: '', type: get.type })
  for (const name of ['content-length', 'x-own', 'etag']) t.equal(head.headers.get(name), get.headers.get(name), name)
  t.equal(head.headers.get('content-length'), String(get.bytes.length))
  t.equal(runs, 2)
})

test('a route for GET and HEAD together answers both', async (t, options) => {
  const { request } = await serving(t, options, (app) => app.route({ method: ['GET', 'HEAD'], url: '/', config, handler: async () => 'body' }))
  t.match(await request('/'), { cache: 'MISS', text: 'body' })
  t.match(await request('/'), { cache: 'HIT', text: 'body' })
  t.match(await request('/', { method: 'HEAD' }), { cache: 'HIT', text: '' })
})

test('a plugin that declares cached routes and registers later shares the cache', async (t, options) => {
  const app = Fastify()
  await app.register(apiCache, options)
  app.register(async function users (child: FastifyInstance) {
    child.get('/users', { config }, async () => 'users')
  })
  app.register(async function writes (child: FastifyInstance) {
    child.post('/users', { config: { cache: { invalidate: 'users' } } }, async () => 'done')
  })
  const { request } = await listening(t, app)
  await request('/users')
  t.equal((await request('/users')).cache, 'HIT')
  await request('/users', { method: 'POST' })
  t.equal((await request('/users')).cache, 'MISS')
})

test('a handler keeps its `this`, on a MISS and on a bypass', async (t, options) => {
  const { request } = await serving(t, options, async (app) => {
    app.decorate('greeting', 'hello')
    app.get('/', { config }, function (_request, reply) { reply.send((this as FastifyInstance & { greeting: string }).greeting) })
  })
  t.match(await request('/'), { cache: 'MISS', text: 'hello' })
  t.match(await request('/', { headers: { authorization: 'Bearer a' } }), { cache: 'MISS', text: 'hello' })
})

t.test('a plugin registered inside a context leaves the contexts beside it alone', async (t) => {
  const app = Fastify()
  await app.register(async (inside) => {
    await inside.register(apiCache, { store: 'memory' })
    inside.get('/inside', { config }, async () => 'inside')
  })
  await app.register(async (beside) => { beside.get('/beside', { config }, async () => 'beside') })
  const { origin } = await listening(t, app)
  for (const cache of ['MISS', 'HIT']) {
    t.equal((await see(`${origin}/inside`)).cache, cache)
    t.equal((await see(`${origin}/beside`)).cache, null)
  }
})

t.test('the cache adds nothing to a route without a policy', async (t) => {
  const { request } = await serving(t, { store: 'memory' }, (app) => {
    app.get('/', async () => ({}))
    app.get('/unset', { config: { cache: undefined } }, async () => ({}))
  })
  for (const path of ['/', '/unset']) {
    for (let round = 0; round < 2; round++) {
      const { headers } = await request(path)
      for (const name of ['x-api-cache', 'cache-status', 'age', 'etag', 'cache-control']) t.equal(headers.get(name), null, name)
    }
  }
})
