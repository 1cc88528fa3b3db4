import Fastify from 'fastify'
import t from 'tap'
import apiCache from '../../index.js'
import { complaints, loggingTo, type LogLine } from '../support/log.js'
import { listening } from '../support/serving.js'

const read = { cache: { namespace: 'users', expire: 60 } }

t.test('a route that was declared before the plugin was loaded works uncached, and one warning says what to do', async (t) => {
  const lines: LogLine[] = []
  const app = Fastify(loggingTo(lines))
  app.register(apiCache, { store: 'memory' })
  app.get('/early', { config: read }, async () => 'early')
  app.get('/plain', async () => 'plain')
  await app.after()
  app.get('/late', { config: read }, async () => 'late')
  const { request } = await listening(t, app)
  for (let round = 0; round < 3; round++) {
    t.match(await request('/early'), { status: 200, text: 'early', cache: null })
    t.match(await request('/plain'), { status: 200, text: 'plain', cache: null })
    t.match(await request('/late'), { status: 200, text: 'late', cache: round === 0 ? 'MISS' : 'HIT' })
  }
  t.match(complaints(lines), [{ level: 40, route: 'GET /early', msg: /declared before the plugin was loaded.*await app\.register\(apiCache\) before declaring routes/ }])
  t.equal(complaints(lines).length, 1)
})

t.test('there is one warning for each route that was declared too early, also in a child context', async (t) => {
  const lines: LogLine[] = []
  const app = Fastify(loggingTo(lines))
  app.get('/one', { config: { ...read } }, async () => 'one')
  app.register(async (child) => { child.get('/two', { config: { cache: { ...read.cache } } }, async () => 'two') }, { prefix: '/child' })
  await app.after()
  await app.register(apiCache, { store: 'memory' })
  const { request } = await listening(t, app)
  for (let round = 0; round < 2; round++) {
    for (const path of ['/one', '/child/two']) t.equal((await request(path)).status, 200)
  }
  t.same(complaints(lines).map(({ route }) => route), ['GET /one', 'GET /child/two'])
})

t.test('a write that was declared before the plugin was loaded is refused before its handler runs, because it could invalidate nothing', async (t) => {
  const app = Fastify()
  let written = 0
  app.register(apiCache, { store: 'memory' })
  app.post('/users', { config: { cache: { invalidate: 'users' } } }, async () => { written++ })
  app.route({ method: ['PUT', 'PATCH'], url: '/users', config: { cache: { invalidate: 'users' } }, handler: async () => { written++ } })
  app.post('/logins', async () => 'done')
  await app.after()
  app.get('/users', { config: read }, async () => 'users')
  app.delete('/users', { config: { cache: { invalidate: 'users' } } }, async () => 'gone')
  const { request } = await listening(t, app)
  await request('/users')
  for (const method of ['POST', 'PUT', 'PATCH']) {
    const { status, text } = await request('/users', { method })
    t.equal(status, 500)
    t.match(JSON.parse(text), {
      code: 'FST_API_CACHE_EARLY_ROUTE',
      message: new RegExp(`^${method} /users was declared before the plugin was loaded.*await app\\.register\\(apiCache\\) before declaring routes`)
    })
  }
  t.equal(written, 0)
  t.equal((await request('/users')).cache, 'HIT')
  t.match(await request('/logins', { method: 'POST' }), { status: 200, text: 'done' })
  t.match(await request('/users', { method: 'DELETE' }), { status: 200, text: 'gone' })
  t.equal((await request('/users')).cache, 'MISS')
})

t.test('a route that opts out may be declared before the plugin was loaded', async (t) => {
  const lines: LogLine[] = []
  const app = Fastify(loggingTo(lines))
  app.register(apiCache, { store: 'memory' })
  app.get('/', { config: { cache: false } }, async () => 'read')
  app.post('/', { config: { cache: false } }, async () => 'written')
  const { request } = await listening(t, app)
  t.match(await request('/'), { status: 200, text: 'read', cache: null })
  t.match(await request('/', { method: 'POST' }), { status: 200, text: 'written' })
  t.same(complaints(lines), [])
})
