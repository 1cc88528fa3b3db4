import type { FastifyInstance, HTTPMethods, RouteHandlerMethod } from 'fastify'
import { Readable } from 'node:stream'
import type { Test } from 'tap'
import type { WritePolicy } from '../../index.js'
import { eachStore } from '../support/each-store.js'
import { complaints, loggingTo, type LogLine } from '../support/log.js'
import { keysOf, serving, type Serving } from '../support/serving.js'

const test = eachStore()

/** Two cached routes in namespaces of their own, and what `declare` adds. */
async function cached (t: Test, options: object, declare: (app: FastifyInstance) => unknown, lines: LogLine[] = []): Promise<Serving> {
  const serving_ = await serving(t, options, async (app) => {
    app.get('/users', { config: { cache: { namespace: 'user-cache', expire: 60 } } }, async () => ['Ada'])
    app.get('/posts', { config: { cache: { namespace: 'post-cache', expire: 60 } } }, async () => ['Hello'])
    await declare(app)
  }, loggingTo(lines))
  await serving_.request('/users')
  await serving_.request('/posts')
  return serving_
}

const state = async ({ request }: Serving): Promise<[users: string | null, posts: string | null]> =>
  [(await request('/users')).cache, (await request('/posts')).cache]

for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'] as HTTPMethods[]) {
  test(`a ${method as string} invalidates its namespace and no other`, async (t, options) => {
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

test('a write that is refused by its schema or a guard invalidates nothing', async (t, options) => {
  const server = await cached(t, options, (app) => {
    const config = { cache: { invalidate: 'user-cache' } }
    app.post('/checked', { config, schema: { querystring: { type: 'object', required: ['id'], properties: { id: { type: 'string' } } } } }, async () => 'done')
    app.post('/guarded', { config, preHandler: async (_request, reply) => reply.code(403).send('no') }, async () => 'done')
  })
  t.equal((await server.request('/checked', { method: 'POST' })).status, 400)
  t.equal((await server.request('/guarded', { method: 'POST' })).status, 403)
  t.same(await state(server), ['HIT', 'HIT'])
})

test('a write can invalidate several namespaces', async (t, options) => {
  const server = await cached(t, options, (app) => app.post('/write', { config: { cache: { invalidate: ['user-cache', 'post-cache'] } } }, async () => 'done'))
  await server.request('/write', { method: 'POST' })
  t.same(await state(server), ['MISS', 'MISS'])
})

test('a function says what to invalidate, from the request and the payload before serialization', async (t, options) => {
  const server = await cached(t, options, (app) => app.post<{ Params: { name: string } }>('/write/:name', {
    config: { cache: { invalidate: ({ params }, payload) => [`${(params as { name: string }).name}-cache`, (payload as { also: string }).also] } }
  }, async () => ({ also: 'nothing-cache' })))
  await server.request('/write/post', { method: 'POST' })
  t.same(await state(server), ['HIT', 'MISS'])
})

const nothings: Record<string, () => unknown> = {
  'returns nothing': () => {},
  'returns null': () => null,
  'returns an empty list': () => [],
  'returns an empty string': () => '',
  'returns a list without a name': () => ['', null, undefined, 1, {}, ['user-cache']]
}
const faults: Record<string, () => unknown> = {
  throws: () => { throw new Error('no name') },
  'returns a number': () => 1,
  'returns an object': () => ({ 0: 'user-cache', length: 1 }),
  'returns false': () => false,
  'returns a promise': async () => 'user-cache',
  'returns a promise that rejects': async () => { throw new Error('no name') },
  'returns a list of promises that reject': () => ['a', 'b'].map(async (name) => { throw new Error(name) })
}
for (const field of ['invalidate', 'invalidateTags'] as const) {
  for (const [how, run] of Object.entries(nothings)) {
    test(`a write whose ${field} function ${how} invalidates nothing`, async (t, options) => {
      const lines: LogLine[] = []
      const server = await cached(t, options, (app) => app.post('/write', { config: { cache: { [field]: run } as unknown as WritePolicy } }, async () => 'done'), lines)
      t.match(await server.request('/write', { method: 'POST' }), { status: 200, text: 'done' })
      t.same(await state(server), ['HIT', 'HIT'])
      t.same(complaints(lines).filter(({ level }) => level === 50), [])
    })
  }

  for (const [how, run] of Object.entries(faults)) {
    test(`a write whose ${field} function ${how} keeps its response and invalidates everything`, async (t, options) => {
      const lines: LogLine[] = []
      const server = await cached(t, options, (app) => app.post('/write', { config: { cache: { [field]: run } as unknown as WritePolicy } }, async (_request, reply) => {
        reply.code(201).header('x-own', 'own')
        return 'done'
      }), lines)
      for (let round = 0; round < 2; round++) {
        const { status, headers, text } = await server.request('/write', { method: 'POST' })
        t.same([status, headers.get('x-own'), text], [201, 'own', 'done'])
        t.same(await state(server), ['MISS', 'MISS'])
        t.same(await state(server), ['HIT', 'HIT'])
      }
      const errors = complaints(lines).filter(({ level }) => level === 50)
      t.equal(errors.length, 1, 'logged once a minute')
      t.match(errors[0], { route: 'POST /write', msg: /everything is invalidated/ })
    })
  }

  for (const [how, run] of Object.entries(faults)) {
    test(`a strict write whose ${field} function ${how} is refused before it writes`, async (t, options) => {
      let writes = 0
      const cache = { [field]: run, strict: true } as unknown as WritePolicy
      const server = await cached(t, options, (app) => app.post('/write', { config: { cache } }, async () => { writes++ }))
      const { status, text } = await server.request('/write', { method: 'POST' })
      t.equal(status, 500)
      if (how !== 'throws') t.match(JSON.parse(text), { code: 'FST_API_CACHE_INVALID_NAME' })
      t.equal(writes, 0)
      t.same(await state(server), ['HIT', 'HIT'])
    })
  }

  for (const [how, run] of Object.entries(nothings)) {
    test(`a strict write whose ${field} function ${how} invalidates nothing`, async (t, options) => {
      const cache = { [field]: run, strict: true } as unknown as WritePolicy
      const server = await cached(t, options, (app) => app.post('/write', { config: { cache } }, async () => 'done'))
      t.match(await server.request('/write', { method: 'POST' }), { status: 200, text: 'done' })
      t.same(await state(server), ['HIT', 'HIT'])
    })
  }

  test(`a write that fails does not call its ${field} function`, async (t, options) => {
    const lines: LogLine[] = []
    const server = await cached(t, options, (app) => app.post<{ Params: { status: string } }>('/write/:status', { config: { cache: { [field]: faults['throws'] } as unknown as WritePolicy } },
      async ({ params }, reply) => reply.code(Number(params.status)).send('no')), lines)
    for (const status of [400, 409, 500, 503]) t.equal((await server.request(`/write/${status}`, { method: 'POST' })).status, status)
    t.same(await state(server), ['HIT', 'HIT'])
    t.same(complaints(lines).filter(({ level }) => level === 50), [])
  })
}

test('of a list that a client sent the valid names are invalidated, and the others are ignored', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => {
    for (const tag of ['red', 'blue', 'green']) app.get(`/${tag}`, { config: { cache: { namespace: `${tag}-cache`, tags: [tag], expire: 60 } } }, async () => tag)
    app.put<{ Body: { tags: unknown } }>('/', {
      config: { cache: { invalidate: 'green-cache', invalidateTags: ({ body }) => (body as { tags: string[] }).tags } }
    }, async () => ({ written: true }))
  })
  const put = async (body: unknown) => await request('/', { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  const seen = async (): Promise<unknown[]> => {
    const caches: unknown[] = []
    for (const tag of ['red', 'blue', 'green']) caches.push((await request(`/${tag}`)).cache)
    await app.apiCache.settled()
    return caches
  }
  await seen()
  const bodies: Array<[body: unknown, expected: string[]]> = [
    [{ tags: ['red', ''] }, ['MISS', 'HIT', 'MISS']],
    [{ tags: [7, null, { tag: 'red' }, 'blue', ['red']] }, ['HIT', 'MISS', 'MISS']],
    [{}, ['HIT', 'HIT', 'MISS']],
    [{ tags: 'blue' }, ['HIT', 'MISS', 'MISS']],
    [{ tags: { length: 1, 0: 'red' } }, ['MISS', 'MISS', 'MISS']],
    [{ tags: 5 }, ['MISS', 'MISS', 'MISS']],
    [null, ['MISS', 'MISS', 'MISS']]
  ]
  for (const [body, expected] of bodies) {
    t.match(await put(body), { status: 200, text: '{"written":true}' })
    t.same(await seen(), expected, JSON.stringify(body))
    t.same(await seen(), ['HIT', 'HIT', 'HIT'])
  }
})

test('a strict write holds the valid names of a list, and no others', async (t, options) => {
  const cache = { invalidate: () => ['', 'user-cache', 5 as unknown as string], strict: true }
  const server = await cached(t, options, (app) => app.post('/write', { config: { cache } }, async () => await state(server)))
  t.same(JSON.parse((await server.request('/write', { method: 'POST' })).text), ['MISS', 'HIT'])
  t.same(await state(server), ['MISS', 'HIT'])
})

const beside: Array<[failing: 'invalidate' | 'invalidateTags', other: 'invalidate' | 'invalidateTags', name: string]> = [
  ['invalidateTags', 'invalidate', 'user-cache'], ['invalidate', 'invalidateTags', 'user']
]
for (const [failing, other, name] of beside) {
  for (const given of [name, () => name] as const) {
    test(`${other} as a ${typeof given} still counts if ${failing} fails`, async (t, options) => {
      const server = await serving(t, options, (app) => {
        app.get('/users', { config: { cache: { namespace: 'user-cache', tags: ['user'], expire: 60 } } }, async () => ['Ada'])
        app.post('/write', { config: { cache: { [failing]: faults['throws'], [other]: given } as unknown as WritePolicy } }, async () => 'done')
      })
      await server.request('/users')
      t.equal((await server.request('/write', { method: 'POST' })).status, 200)
      t.equal((await server.request('/users')).cache, 'MISS')
      t.equal(server.app.apiCache.stats().invalidations, 2, 'the name, and everything')
    })
  }
}

test('a namespace can depend on the request', async (t, options) => {
  const tenant = (request: { headers: Record<string, unknown> }): string => `tenant:${String(request.headers['x-tenant'])}`
  const { app, origin, request } = await serving(t, options, (app) => {
    app.get('/', { config: { cache: { namespace: tenant, expire: 60 } } }, async (request) => tenant(request))
    app.post('/', { config: { cache: { invalidate: tenant } } }, async () => 'done')
  })
  const as = (name: string, method = 'GET') => request('/', { method, headers: { 'x-tenant': name } })
  t.match(await as('a'), { cache: 'MISS', text: 'tenant:a' })
  t.match(await as('b'), { cache: 'MISS', text: 'tenant:b' })
  await as('a', 'POST')
  t.match(await as('a'), { cache: 'MISS', text: 'tenant:a' })
  t.match(await as('b'), { cache: 'HIT', text: 'tenant:b' })
  await app.apiCache.settled()
  t.same(await keysOf(app, 'tenant:b'), [`api-cache|tenant%3Ab:GET / ${origin}`])
})

test('a namespace whose name begins like another, or looks like a pattern, is not affected', async (t, options) => {
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
    await app.apiCache.settled()
    for (const [index, name] of names.entries()) {
      t.equal((await request(`/${index}`)).cache, name === invalidated ? 'MISS' : 'HIT', `${name} after ${invalidated}`)
    }
  }
})

test('tags invalidate single responses', async (t, options) => {
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
