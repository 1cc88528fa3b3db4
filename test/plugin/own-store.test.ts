import Fastify from 'fastify'
import t from 'tap'
import apiCache from '../../index.js'
import { complaints, loggingTo, type LogLine } from '../support/log.js'
import { MapStore } from '../support/map-store.js'
import { keysOf, serving } from '../support/serving.js'

t.test('a store of the user can do all that the plugin needs', async (t) => {
  const store = new MapStore()
  const lines: LogLine[] = []
  const { app, origin, request } = await serving(t, { store }, (app) => {
    app.get<{ Params: { id: string } }>('/users/:id', {
      config: { cache: { namespace: 'users', expire: 60, tags: (_request, payload) => [`user:${(payload as { id: string }).id}`] } }
    }, async ({ params }) => ({ id: params.id }))
    app.post('/users', { config: { cache: { invalidate: 'users' } } }, async () => 'done')
    app.put('/users/:id', { config: { cache: { invalidateTags: 'user:1' } } }, async () => 'done')
  }, loggingTo(lines))
  const state = async (): Promise<unknown[]> => [(await request('/users/1')).cache, (await request('/users/2')).cache]

  t.same(await state(), ['MISS', 'MISS'])
  t.same(await state(), ['HIT', 'HIT'])
  await request('/users/1', { method: 'PUT' })
  t.same(await state(), ['MISS', 'HIT'])
  await request('/users', { method: 'POST' })
  t.same(await state(), ['MISS', 'MISS'])
  await app.apiCache.settled()
  t.same(await keysOf(app, 'users'), [1, 2].map((id) => `api-cache|users:GET /users/${id} ${origin}`))
  t.equal(await (await app.apiCache.invalidate('users')).swept, 2)
  t.equal(store.entries.size, 0)
  t.match(app.apiCache.stats(), { store: 'map', available: true, failures: 0 })
  t.same(complaints(lines), [])
})

t.test('a store that fails is bypassed, which is logged', async (t) => {
  const store = Object.assign(new MapStore(), { lookup: async () => { throw new Error('out of order') } })
  const lines: LogLine[] = []
  const { request } = await serving(t, { store }, (app) => app.get('/', { config: { cache: { namespace: 'users', expire: 60 } } }, async () => 'users'), loggingTo(lines))
  t.match(await request('/'), { status: 200, text: 'users', cache: 'MISS' })
  t.match(complaints(lines)[0], { store: 'map', operation: 'lookup', err: { message: 'out of order' } })
})

t.test('an object without all methods of a store is refused', async (t) => {
  for (const method of ['lookup', 'versions', 'ensure', 'bump', 'set', 'keys', 'sweep']) {
    const store = Object.assign(new MapStore(), { [method]: undefined })
    await t.rejects(async () => { await Fastify().register(apiCache, { store }) }, { code: 'FST_API_CACHE_INVALID_FIELD', message: /'store' must be 'redis', 'memory' or an object with the methods of a store/ }, method)
  }
})
