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

t.test('each route that was declared too early is warned of once, also in a child context', async (t) => {
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

t.test('a write that was declared before the plugin was loaded works, and the warning names it', async (t) => {
  const lines: LogLine[] = []
  const app = Fastify(loggingTo(lines))
  app.register(apiCache, { store: 'memory' })
  app.post('/users', { config: { cache: { invalidate: 'users' } } }, async () => 'done')
  await app.after()
  app.get('/users', { config: read }, async () => 'users')
  const { request } = await listening(t, app)
  await request('/users')
  t.equal((await request('/users')).cache, 'HIT')
  t.match(await request('/users', { method: 'POST' }), { status: 200, text: 'done' })
  t.same(complaints(lines).map(({ route }) => route), ['POST /users'])
})
