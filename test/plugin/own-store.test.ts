import { setImmediate } from 'node:timers/promises'
import Fastify from 'fastify'
import t from 'tap'
import apiCache, { type Lookup } from '../../index.js'
import { gate, type Gate } from '../support/gate.js'
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

/** Versions may come from a server that has not confirmed a bump yet, and the entry later from another one. */
class SplitStore extends MapStore {
  refuses = false
  asked = gate()
  answering: Gate | undefined
  readonly late: 'lookup' | 'versions'

  constructor (late: 'lookup' | 'versions') {
    super()
    this.late = late
  }

  override async lookup (key: string, names: readonly string[]): Promise<Lookup> {
    const found = { entry: this.entries.get(key)?.entry, versions: await super.versions(names) }
    if (this.late === 'lookup') await this.#answer()
    return found
  }

  override async versions (names: readonly string[]): Promise<Array<string | undefined>> {
    const found = await super.versions(names)
    if (this.late === 'versions') await this.#answer()
    return found
  }

  async #answer (): Promise<void> {
    this.asked.open()
    await this.answering?.opened
  }

  override async bump (names: readonly string[], fresh: string, settle = 0): Promise<void> {
    if (this.refuses) throw new Error('no connection')
    await super.bump(names, fresh, settle)
  }
}

for (const [what, path, late] of [['a namespace', '/', 'lookup'], ['a tag of the payload', '/payload', 'versions']] as const) {
  t.test(`what a pending invalidation of ${what} makes old is not served while it is delivered`, async (t) => {
    const store = new SplitStore(late)
    let value = 1
    const { app, request } = await serving(t, { store, timeout: 10_000 }, (app) => {
      app.get('/', { config: { cache: { namespace: 'n', expire: 60 } } }, async () => ({ value }))
      app.get('/payload', { config: { cache: { namespace: 'm', expire: 60, tags: (_request, _payload) => ['tag'] } } }, async () => ({ value }))
      app.put('/', { config: { cache: { invalidate: 'n', invalidateTags: 'tag' } } }, async () => ({ value: ++value }))
    })
    await request(path)
    await app.apiCache.settled()
    t.equal((await request(path)).cache, 'HIT')
    store.refuses = true
    await request('/', { method: 'PUT' })
    t.not(app.apiCache.stats().pending, 0)
    Object.assign(store, { asked: gate(), answering: gate() })
    const answer = request(path)
    await Promise.race([store.asked.opened, answer])
    store.refuses = false
    while (app.apiCache.stats().pending > 0) await setImmediate()
    store.answering!.open()
    t.match(await answer, { cache: 'MISS', text: '{"value":2}' })
  })
}
