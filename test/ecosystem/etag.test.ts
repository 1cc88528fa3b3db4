import etag from '@fastify/etag'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import apiCache from '../../index.js'
import { ask, cached } from '../http/ask.js'
import { listening } from '../support/serving.js'

const config = { cache: { namespace: 'etag', expire: 60 } }

const orders: Record<string, (app: FastifyInstance) => Promise<unknown>> = {
  before: async (app) => {
    await app.register(etag)
    await app.register(apiCache, { store: 'memory' })
  },
  after: async (app) => {
    await app.register(apiCache, { store: 'memory' })
    await app.register(etag)
  }
}

for (const [order, register] of Object.entries(orders)) {
  t.test(`validators and 304 are the same on MISS and HIT with @fastify/etag registered ${order} the cache`, async (t) => {
    const app = Fastify()
    await register(app)
    const { origin } = await listening(t, app, () => {
      app.get('/:id', { config }, async () => ({ a: 1 }))
      app.get('/own', { config }, async (_request, reply) => { reply.header('etag', '"own"'); return { a: 1 } })
      app.get('/uncached', async () => ({ a: 1 }))
    })
    for (const path of ['/generated', '/own']) {
      const miss = await ask(origin + path)
      t.equal(cached(miss.headers), 'MISS')
      await app.apiCache.settled()
      const hit = await ask(origin + path)
      t.equal(cached(hit.headers), 'HIT')
      t.ok(hit.headers.etag)
      t.equal(hit.headers.etag, miss.headers.etag)
      t.equal(hit.text, '{"a":1}')

      const unchanged = await ask(origin + path, { 'if-none-match': hit.headers.etag! })
      t.equal(unchanged.status, 304)
      t.equal(unchanged.text, '')
      t.equal(unchanged.headers.etag, hit.headers.etag)
      await app.apiCache.invalidate('etag')
      const onMiss = await ask(origin + path, { 'if-none-match': hit.headers.etag! })
      t.equal(cached(onMiss.headers), 'MISS')
      t.equal(onMiss.status, 304)
      await app.apiCache.settled()
      t.equal((await ask(origin + path)).text, '{"a":1}', 'stored whole by a conditional request')
    }
    const { headers } = await ask(`${origin}/uncached`)
    t.equal((await ask(`${origin}/uncached`, { 'if-none-match': headers.etag! })).status, 304, 'other routes are theirs')
  })
}
