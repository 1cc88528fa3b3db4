import { Readable } from 'node:stream'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import t from 'tap'
import apiCache from '../../index.js'
import { eachStore } from '../support/each-store.js'
import { MapStore } from '../support/map-store.js'
import { gate } from '../support/gate.js'
import { serving } from '../support/serving.js'

const cached = { namespace: 'things', expire: '1h', scope: 'shared' } as const

/** Every way in which a handler can answer a write. */
const answers: Record<string, (request: FastifyRequest, reply: FastifyReply) => unknown> = {
  'returned JSON': async () => ({ ok: true }),
  'a returned text': async () => 'ok',
  'null as JSON': async () => null,
  'reply.send in a callback': (_request, reply) => { setImmediate(() => { reply.send({ ok: true }) }) },
  'reply.send of a Buffer': (_request, reply) => reply.send(Buffer.from('ok')),
  'an awaited reply': async (_request, reply) => { await reply.send({ ok: true }) },
  'a Node stream': async (_request, reply) => reply.send(Readable.from(['o', 'k'])),
  'a web stream': async (_request, reply) => reply.send(new Blob(['ok']).stream()),
  'a Response': async () => new Response('ok', { status: 201 }),
  'a redirect': async (_request, reply) => reply.redirect('/things', 303),
  'status 204': async (_request, reply) => reply.code(204).send()
}

/** The same, gone wrong. */
const failures: Record<string, (request: FastifyRequest, reply: FastifyReply) => unknown> = {
  'a thrown error': async () => { throw new Error('refused') },
  'an error that is thrown at once': () => { throw new Error('refused') },
  'an error that is sent': (_request, reply) => reply.send(new Error('refused')),
  'status 400': async (_request, reply) => reply.code(400).send({ ok: false }),
  'status 404 in a callback': (_request, reply) => { setImmediate(() => { reply.callNotFound() }) },
  'status 500 with a stream': async (_request, reply) => reply.code(500).send(Readable.from(['no'])),
  'a Response with status 409': async () => new Response('no', { status: 409 })
}

/** A store whose bumps wait for the test. */
class SlowStore extends MapStore {
  readonly asked = gate()
  readonly goOn = gate()

  override async bump (names: readonly string[], fresh: string): Promise<void> {
    this.asked.open()
    await this.goOn.opened
    await super.bump(names, fresh)
  }
}

for (const [what, answer] of Object.entries(answers)) {
  t.test(`no part of the response is sent before the version has been bumped: ${what}`, async (t) => {
    const store = new SlowStore()
    let responded = false
    const { request } = await serving(t, { store, timeout: 10_000 }, (app) => {
      app.get('/other', async () => 'ok')
      app.post('/things', { config: { cache: { invalidate: 'things' } } }, answer as never)
      app.server.on('request', ({ method }, response) => {
        if (method !== 'POST') return
        const { writeHead } = response
        response.writeHead = (...args: unknown[]) => {
          responded = true
          return writeHead.apply(response, args as never)
        }
      })
    })
    const responding = request('/things', { method: 'POST' })
    await store.asked.opened
    // What is on its way out anyway is out before another request is answered.
    await request('/other')
    t.equal(responded, false)
    store.goOn.open()
    const { status } = await responding
    t.equal(responded, true)
    t.ok(status < 400)
  })
}

const each = eachStore()

each('however a write sends its response, the next read sees what it wrote', async (t, options) => {
  let value = 0
  const { request } = await serving(t, options, (app) => {
    app.get('/things', { config: { cache: cached } }, async () => ({ value }))
    for (const [index, answer] of Object.values(answers).entries()) {
      app.post(`/things/${index}`, { config: { cache: { invalidate: 'things' } } }, ((request, reply) => {
        value++
        return answer(request, reply)
      }) as typeof answer as never)
    }
  })
  for (const [index, what] of Object.keys(answers).entries()) {
    await request('/things')
    t.equal((await request('/things')).cache, 'HIT', what)
    await request(`/things/${index}`, { method: 'POST' })
    const read = await request('/things')
    t.same([read.cache, JSON.parse(read.text)], ['MISS', { value }], what)
  }
})

each('a failed write invalidates no entry', async (t, options) => {
  const { request } = await serving(t, options, (app) => {
    app.get('/things', { config: { cache: { ...cached, tags: ['thing'] } } }, async () => ({ ok: true }))
    for (const [index, answer] of Object.values(failures).entries()) {
      app.post(`/things/${index}`, { config: { cache: { invalidate: 'things', invalidateTags: ['thing'] } } }, answer as never)
    }
  })
  await request('/things')
  for (const [index, what] of Object.keys(failures).entries()) {
    t.ok((await request(`/things/${index}`, { method: 'POST' })).status >= 400, what)
    t.equal((await request('/things')).cache, 'HIT', what)
  }
})

each('a write that was refused before its handler invalidates no entry', async (t, options) => {
  const { request } = await serving(t, options, (app) => {
    app.get('/things', { config: { cache: cached } }, async () => ({ ok: true }))
    app.post('/guarded', {
      config: { cache: { invalidate: 'things' } },
      preHandler: async (_request, reply) => reply.code(403).send({ ok: false })
    }, async () => ({ ok: true }))
    app.post('/validated', {
      config: { cache: { invalidate: 'things' } },
      schema: { body: { type: 'object', required: ['name'] } }
    }, async () => ({ ok: true }))
  })
  await request('/things')
  t.equal((await request('/guarded', { method: 'POST' })).status, 403)
  t.equal((await request('/validated', { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } })).status, 400)
  t.equal((await request('/things')).cache, 'HIT')
})

each('PUT, PATCH and DELETE invalidate as POST does', async (t, options) => {
  const { request } = await serving(t, options, (app) => {
    app.get('/things', { config: { cache: cached } }, async () => ({ ok: true }))
    app.route({ method: ['PUT', 'PATCH', 'DELETE'], url: '/things', config: { cache: { invalidate: 'things' } }, handler: async () => ({ ok: true }) })
  })
  for (const method of ['PUT', 'PATCH', 'DELETE']) {
    await request('/things')
    t.equal((await request('/things')).cache, 'HIT')
    await request('/things', { method })
    t.equal((await request('/things')).cache, 'MISS', method)
  }
})

each('a write that names several namespaces invalidates all of them, and no other', async (t, options) => {
  const { request } = await serving(t, options, (app) => {
    for (const namespace of ['a', 'b', 'c']) {
      app.get(`/${namespace}`, { config: { cache: { ...cached, namespace } } }, async () => ({ ok: true }))
    }
    app.post('/', { config: { cache: { invalidate: ['a', 'b'] } } }, async () => ({ ok: true }))
  })
  for (const namespace of ['a', 'b', 'c']) await request(`/${namespace}`)
  await request('/', { method: 'POST' })
  t.same([(await request('/a')).cache, (await request('/b')).cache, (await request('/c')).cache], ['MISS', 'MISS', 'HIT'])
})

t.test('functions get the request and the payload before serialization', async (t) => {
  const seen: unknown[] = []
  const { request } = await serving(t, { store: 'memory' }, (app) => {
    const write = {
      invalidate: (request: FastifyRequest, payload: unknown) => {
        seen.push((request.params as { id: string }).id, payload)
        return 'things'
      },
      invalidateTags: (_request: FastifyRequest, payload: unknown) => [`thing-${(payload as { id?: number } | null)?.id}`]
    }
    app.post('/object/:id', { config: { cache: write } }, async () => ({ id: 7 }))
    app.post('/null/:id', { config: { cache: write } }, async () => null)
    app.post('/text/:id', { config: { cache: write } }, async () => 'done')
  })
  await request('/object/1', { method: 'POST' })
  await request('/null/2', { method: 'POST' })
  await request('/text/3', { method: 'POST' })
  t.same(seen, ['1', { id: 7 }, '2', null, '3', 'done'])
})

t.test('a function that returns nothing invalidates nothing, and one that fails invalidates everything', async (t) => {
  const { request } = await serving(t, { store: 'memory' }, (app) => {
    app.get('/things', { config: { cache: cached } }, async () => ({ ok: true }))
    app.post('/none', { config: { cache: { invalidate: () => [] } } }, async () => ({ ok: true }))
    app.post('/wrong', { config: { cache: { invalidate: () => { throw new Error('no such thing') } } } }, async () => ({ ok: true }))
  })
  await request('/things')
  t.equal((await request('/none', { method: 'POST' })).status, 200)
  t.equal((await request('/things')).cache, 'HIT')
  t.equal((await request('/wrong', { method: 'POST' })).status, 200)
  t.equal((await request('/things')).cache, 'MISS')
})

t.test('a response that a handler hijacks is sent without an invalidation, which the handler can call itself', async (t) => {
  const app = Fastify()
  await app.register(apiCache, { store: 'memory' })
  t.teardown(() => app.close())
  app.get('/things', { config: { cache: cached } }, async () => ({ ok: true }))
  app.post('/raw', { config: { cache: { invalidate: 'things' } } }, async (request, reply) => {
    reply.hijack()
    if ((request.query as { asks?: string }).asks !== undefined) await app.apiCache.invalidate('things')
    reply.raw.end('done')
  })
  await app.inject('/things')
  await app.inject({ method: 'POST', url: '/raw' })
  t.equal((await app.inject('/things')).headers['x-api-cache'], 'HIT')
  await app.inject({ method: 'POST', url: '/raw?asks=1' })
  t.equal((await app.inject('/things')).headers['x-api-cache'], 'MISS')
})
