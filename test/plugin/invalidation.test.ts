import type { FastifyInstance, HTTPMethods, RouteHandlerMethod } from 'fastify'
import { Readable } from 'node:stream'
import type { Test } from 'tap'
import type { WritePolicy } from '../../index.js'
import { eachStore } from '../support/each-store.js'
import { keysOf, serving, type Serving } from '../support/serving.js'

const test = eachStore()

/** Two cached routes in namespaces of their own, and what `declare` adds. */
async function cached (t: Test, options: object, declare: (app: FastifyInstance) => unknown): Promise<Serving> {
  const serving_ = await serving(t, options, async (app) => {
    app.get('/users', { config: { cache: { namespace: 'user-cache', expire: 60 } } }, async () => ['Ada'])
    app.get('/posts', { config: { cache: { namespace: 'post-cache', expire: 60 } } }, async () => ['Hello'])
    await declare(app)
  })
  await serving_.request('/users')
  await serving_.request('/posts')
  return serving_
}

const state = async ({ request }: Serving): Promise<[users: string | null, posts: string | null]> =>
  [(await request('/users')).cache, (await request('/posts')).cache]

for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'] as HTTPMethods[]) {
  test(`a ${method as string} makes its namespace old and no other`, async (t, options) => {
    const server = await cached(t, options, (app) => app.route({ method, url: '/write', config: { cache: { invalidate: 'user-cache' } }, handler: async () => 'done' }))
    t.match(await server.request('/write', { method: method as string }), { status: 200, text: 'done' })
    t.same(await state(server), ['MISS', 'HIT'])
  })
}

const successes: Record<string, RouteHandlerMethod> = {
  'sends nothing with 204': async (_request, reply) => reply.code(204).send(),
  'answers 201': async (_request, reply) => { reply.code(201); return {} },
  redirects: async (_request, reply) => reply.redirect('/users', 303),
  'answers a callback later': (_request, reply) => { setImmediate(() => { reply.send({}) }) },
  'sends a stream': async (_request, reply) => reply.send(Readable.from(['a', 'b'])),
  'sends a Buffer': async () => Buffer.from('done'),
  'answers a Response': async () => new Response('done', { status: 202 }),
  'returns nothing': async () => {}
}
for (const [how, handler] of Object.entries(successes)) {
  test(`a write that ${how} invalidates`, async (t, options) => {
    const server = await cached(t, options, (app) => app.post('/write', { config: { cache: { invalidate: 'user-cache' } } }, handler))
    t.ok((await server.request('/write', { method: 'POST' })).status < 400)
    t.same(await state(server), ['MISS', 'HIT'])
  })
}

const failures: Record<string, RouteHandlerMethod> = {
  'answers 400': async (_request, reply) => reply.code(400).send({ wrong: true }),
  'answers 404 without a body': async (_request, reply) => reply.code(404).send(),
  'answers 500': async (_request, reply) => reply.code(500).send('no'),
  throws: async () => { throw new Error('no') },
  'sends an error': (_request, reply) => { reply.send(Object.assign(new Error('no'), { statusCode: 409 })) },
  'answers a Response of 422': async () => new Response('no', { status: 422 })
}
for (const [how, handler] of Object.entries(failures)) {
  test(`a write that ${how} invalidates nothing`, async (t, options) => {
    const server = await cached(t, options, (app) => app.post('/write', { config: { cache: { invalidate: 'user-cache' } } }, handler))
    t.ok((await server.request('/write', { method: 'POST' })).status >= 400)
    t.same(await state(server), ['HIT', 'HIT'])
  })
}

test('a write that its schema or a guard refuses invalidates nothing', async (t, options) => {
  const server = await cached(t, options, (app) => {
    const config = { cache: { invalidate: 'user-cache' } }
    app.post('/checked', { config, schema: { querystring: { type: 'object', required: ['id'], properties: { id: { type: 'string' } } } } }, async () => 'done')
    app.post('/guarded', { config, preHandler: async (_request, reply) => reply.code(403).send('no') }, async () => 'done')
  })
  t.equal((await server.request('/checked', { method: 'POST' })).status, 400)
  t.equal((await server.request('/guarded', { method: 'POST' })).status, 403)
  t.same(await state(server), ['HIT', 'HIT'])
})

test('a write can make several namespaces old', async (t, options) => {
  const server = await cached(t, options, (app) => app.post('/write', { config: { cache: { invalidate: ['user-cache', 'post-cache'] } } }, async () => 'done'))
  await server.request('/write', { method: 'POST' })
  t.same(await state(server), ['MISS', 'MISS'])
})

test('a function tells what is old from the request and the payload before it is serialized', async (t, options) => {
  const server = await cached(t, options, (app) => app.post<{ Params: { name: string } }>('/write/:name', {
    config: { cache: { invalidate: ({ params }, payload) => [`${(params as { name: string }).name}-cache`, (payload as { also: string }).also] } }
  }, async () => ({ also: 'nothing-cache' })))
  await server.request('/write/post', { method: 'POST' })
  t.same(await state(server), ['HIT', 'MISS'])
})

test('a function that names nothing invalidates nothing', async (t, options) => {
  const server = await cached(t, options, (app) => app.post('/write', { config: { cache: { invalidate: () => [] } } }, async () => 'done'))
  t.equal((await server.request('/write', { method: 'POST' })).status, 200)
  t.same(await state(server), ['HIT', 'HIT'])
})

const faults: Record<string, () => unknown> = {
  throws: () => { throw new Error('no name') },
  'returns nothing': () => undefined,
  'returns an empty text': () => '',
  'returns a list with a number': () => ['user-cache', 1],
  'returns a promise': async () => 'user-cache',
  'returns a promise that rejects': async () => { throw new Error('no name') },
  'returns a list of promises that reject': () => ['a', 'b'].map(async (name) => { throw new Error(name) })
}
for (const field of ['invalidate', 'invalidateTags'] as const) {
  for (const [how, run] of Object.entries(faults)) {
    test(`a write whose ${field} function ${how} is not acknowledged`, async (t, options) => {
      const policy = { [field]: run } as unknown as WritePolicy
      const server = await cached(t, options, (app) => app.post('/write', { config: { cache: policy } }, async () => 'done'))
      t.equal((await server.request('/write', { method: 'POST' })).status, 500)
      t.same(await state(server), ['HIT', 'HIT'])
    })
  }
}

test('a namespace can follow from the request', async (t, options) => {
  const tenant = (request: { headers: Record<string, unknown> }): string => `tenant:${String(request.headers['x-tenant'])}`
  const { app, request } = await serving(t, options, (app) => {
    app.get('/', { config: { cache: { namespace: tenant, expire: 60 } } }, async (request) => tenant(request))
    app.post('/', { config: { cache: { invalidate: tenant } } }, async () => 'done')
  })
  const as = (name: string, method = 'GET') => request('/', { method, headers: { 'x-tenant': name } })
  t.match(await as('a'), { cache: 'MISS', text: 'tenant:a' })
  t.match(await as('b'), { cache: 'MISS', text: 'tenant:b' })
  await as('a', 'POST')
  t.match(await as('a'), { cache: 'MISS', text: 'tenant:a' })
  t.match(await as('b'), { cache: 'HIT', text: 'tenant:b' })
  await app.apiCache.ready()
  t.same(await keysOf(app, 'tenant:b'), ['api-cache|tenant%3Ab:GET /'])
})

test('a namespace whose name begins like another, or looks like a pattern, is left alone', async (t, options) => {
  const names = ['user', 'user-cache', 'user*', '*', 'use?', '[a-z]ser', 'user:x', 'user|x', 'User']
  const { app, request } = await serving(t, options, (app) => {
    for (const [index, namespace] of names.entries()) {
      app.get(`/${index}`, { config: { cache: { namespace, expire: 60 } } }, async () => namespace)
    }
    app.post<{ Querystring: { name: string } }>('/', { config: { cache: { invalidate: ({ query }) => (query as { name: string }).name } } }, async () => 'done')
  })
  for (const invalidated of names) {
    for (const index of names.keys()) await request(`/${index}`)
    await request(`/?name=${encodeURIComponent(invalidated)}`, { method: 'POST' })
    await app.apiCache.ready()
    for (const [index, name] of names.entries()) {
      t.equal((await request(`/${index}`)).cache, name === invalidated ? 'MISS' : 'HIT', `${name} after ${invalidated}`)
    }
  }
})

test('tags make single answers old', async (t, options) => {
  const { request } = await serving(t, options, (app) => {
    app.get<{ Params: { id: string } }>('/users/:id', {
      config: { cache: { namespace: 'user-cache', expire: 60, tags: (_request, payload) => [`user:${(payload as { id: string }).id}`] } }
    }, async ({ params }) => ({ id: params.id }))
    app.get('/users', { config: { cache: { namespace: 'user-cache', expire: 60, tags: ['users'] } } }, async () => [])
    app.put<{ Params: { id: string } }>('/users/:id', {
      config: { cache: { invalidateTags: ({ params }) => `user:${(params as { id: string }).id}` } }
    }, async () => 'done')
    app.post('/users', { config: { cache: { invalidateTags: 'users' } } }, async () => 'done')
  })
  const state = async (): Promise<unknown[]> => [(await request('/users/1')).cache, (await request('/users/2')).cache, (await request('/users')).cache]
  t.same(await state(), ['MISS', 'MISS', 'MISS'])
  t.same(await state(), ['HIT', 'HIT', 'HIT'])
  await request('/users/1', { method: 'PUT' })
  t.same(await state(), ['MISS', 'HIT', 'HIT'])
  await request('/users', { method: 'POST' })
  t.same(await state(), ['HIT', 'HIT', 'MISS'])
})
