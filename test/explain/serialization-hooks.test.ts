import Fastify, { type FastifyInstance, type FastifyRequest, type RouteShorthandOptions } from 'fastify'
import type { Test } from 'tap'
import apiCache, { type ApiCacheOptions, type ReadPolicy } from '../../index.js'
import { anotherFastify } from '../support/another-fastify.js'
import { loggingTo, type LogLine } from '../support/log.js'
import { patientStores } from '../support/patient-stores.js'
import { listening, type Serving } from '../support/serving.js'

const test = patientStores()

interface Logged extends Serving {
  /** What the lines so far report as read. */
  reads (): string[]
  /** The routes that each line at boot names. */
  named (): string[][]
}

async function logged (
  t: Test, options: ApiCacheOptions, declare: (app: FastifyInstance) => unknown, fastify: typeof Fastify = Fastify
): Promise<Logged> {
  const lines: LogLine[] = []
  const app = fastify(loggingTo(lines)) as FastifyInstance
  await app.register(apiCache, options)
  const server = await listening(t, app, declare)
  return {
    ...server,
    reads: () => lines.flatMap(({ reads }) => reads as string[] ?? []),
    named: () => lines.filter(({ msg }) => /^api cache: these routes .* preSerialization hooks/.test(msg)).map(({ routes }) => routes as string[])
  }
}

const policy = (more: Partial<ReadPolicy> = {}): { config: { cache: ReadPolicy } } =>
  ({ config: { cache: { namespace: 'n', expire: 60, scope: 'shared', ...more } } })

const handler = async (): Promise<unknown> => ({ name: 'x', salary: 1 })
const roleOf = (request: FastifyRequest): unknown => request.headers['x-role']
/** A filter by role. */
const filtered = (request: FastifyRequest, payload: unknown): unknown =>
  roleOf(request) === 'admin' ? payload : { ...payload as object, salary: undefined }

interface Declared {
  readonly app: FastifyInstance
  readonly route: (app: FastifyInstance, more?: RouteShorthandOptions) => void
}

/** Where an application has a hook that reads a role. */
const PLACES: Record<string, (declared: Declared) => unknown> = {
  'of the route': ({ app, route }) => { route(app, { preSerialization: async (request, _reply, payload) => filtered(request, payload) }) },
  'of the route, with a callback': ({ app, route }) => {
    route(app, { preSerialization: [(request, _reply, payload, done) => { done(null, filtered(request, payload)) }] })
  },
  "that a later plugin's onRoute adds": ({ app, route }) => {
    app.addHook('onRoute', (options) => {
      options.preSerialization = [options.preSerialization ?? [], async (request: FastifyRequest, _reply: unknown, payload: unknown) => filtered(request, payload)].flat()
    })
    route(app)
  },
  'of the instance': ({ app, route }) => {
    app.addHook('preSerialization', async (request, _reply, payload) => filtered(request, payload))
    route(app)
  },
  'of the instance, with a callback': ({ app, route }) => {
    app.addHook('preSerialization', (request, _reply, payload, done) => { done(null, filtered(request, payload)) })
    route(app)
  },
  'of the instance, added after the route': ({ app, route }) => {
    route(app)
    app.addHook('preSerialization', async (request, _reply, payload) => filtered(request, payload))
  },
  'of a parent of its instance': ({ app, route }) => {
    app.register(async (child) => { route(child) })
    app.addHook('preSerialization', async (request, _reply, payload) => filtered(request, payload))
  },
  'of its own child instance': ({ app, route }) => app.register(async (child) => {
    child.addHook('preSerialization', async (request, _reply, payload) => filtered(request, payload))
    route(child)
  })
}

for (const [place, declare] of Object.entries(PLACES)) {
  const route = (more: Partial<ReadPolicy>, exposed = 'GET /') => (app: FastifyInstance): unknown =>
    declare({ app, route: (app, hooks) => { app.get(exposed.slice(4), { ...policy(more), ...hooks }, handler) } })

  test(`a preSerialization hook ${place} that reads a header is reported once if the key does not hold it`, async (t, options) => {
    const { app, request, reads } = await logged(t, { ...options, explain: true }, route({}))
    for (let i = 0; i < 3; i++) {
      t.same((await request('/')).text, '{"name":"x"}')
      await app.apiCache.invalidate('n')
    }
    t.same(reads(), ['header x-role'])
  })

  test(`a preSerialization hook ${place} that reads a header is not reported if the key holds it`, async (t, options) => {
    const { request, reads } = await logged(t, { ...options, explain: true }, route({ vary: ['x-role'] }))
    t.same((await request('/')).text, '{"name":"x"}')
    t.same((await request('/', { headers: { 'x-role': 'admin' } })).text, '{"name":"x","salary":1}')
    t.same(reads(), [])
  })

  test(`one line at boot names a route with scope: 'shared' and a preSerialization hook ${place}`, async (t, options) => {
    const { named } = await logged(t, options, route({}, 'GET /users/:id'))
    t.same(named(), [['GET /users/:id']])
  })
}

test('one line at boot names all routes that share what preSerialization hooks made, and no others', async (t, options) => {
  const hook = { preSerialization: async (request: FastifyRequest, _reply: unknown, payload: unknown) => filtered(request, payload) }
  const { named } = await logged(t, options, async (app) => {
    app.get('/with', { ...policy(), ...hook }, handler)
    app.get('/without', policy(), handler)
    app.get('/uncached', hook, handler)
    app.get('/anonymous', { ...policy({ scope: 'anonymous' }), ...hook }, handler)
    app.get('/scoped', { ...policy({ scope: ({ ip }) => ip }), ...hook }, handler)
    app.post('/', { config: { cache: { invalidate: 'n' } }, ...hook }, handler)
    await app.register(async (child) => {
      child.addHook('preSerialization', hook.preSerialization)
      child.get('/child', policy(), handler)
    })
    await app.register(async (sibling) => { sibling.get('/sibling', policy(), handler) })
  })
  t.same(named(), [['GET /with', 'GET /child']])
})

test('no line is logged at boot if no route shares what a preSerialization hook made', async (t, options) => {
  const { named } = await logged(t, options, (app) => { app.get('/', policy(), handler) })
  t.same(named(), [])
})

test('a role and a user that preSerialization hooks read are reported, with what the handler read', async (t, options) => {
  const { request, reads } = await logged(t, { ...options, explain: true }, (app) => {
    app.decorateRequest('user', null as never)
    app.decorateRequest('role', null as never)
    app.addHook('preHandler', async (request) => { Object.assign(request, { user: { name: 'ada' }, role: 'admin' }) })
    app.addHook('preSerialization', async (request, _reply, payload) => ({ ...payload as object, role: (request as { role?: unknown }).role }))
    app.get('/', {
      ...policy(),
      preSerialization: async (request: FastifyRequest, _reply: unknown, payload: unknown) => ({ ...payload as object, user: (request as { user?: unknown }).user })
    }, async ({ ip }) => ({ ip }))
  })
  t.match(JSON.parse((await request('/')).text), { role: 'admin', user: { name: 'ada' } })
  t.same(reads(), ['request.ip', 'request.role', 'request.user'])
})

test('a preSerialization hook that names in Vary what it reads, or forbids to store, is not reported', async (t, options) => {
  const { request, reads } = await logged(t, { ...options, explain: true }, (app) => {
    app.addHook('preSerialization', async (request, reply, payload) => {
      if (request.url === '/vary') reply.header('vary', 'X-Role')
      else reply.header('cache-control', 'no-store')
      return filtered(request, payload)
    })
    app.get('/vary', policy({ key: ({ url }) => url }), handler)
    app.get('/no-store', policy(), handler)
  })
  await request('/vary')
  await request('/no-store')
  t.same(reads(), [])
})

test('a preSerialization hook keeps its this and its arguments, and gets the request itself where nothing is filled', async (t, options) => {
  const seen: unknown[] = []
  let received: unknown
  const { app, request } = await logged(t, { ...options, explain: true }, (app) => {
    app.addHook('onRequest', async (request) => { received = request })
    app.addHook('preSerialization', function (given, reply, payload, done) {
      seen.push([this === app, reply.request === received, payload, given === received])
      done()
    })
    app.get('/', policy({ scope: 'anonymous' }), handler)
  })
  const payload = await handler()
  await request('/')
  await app.apiCache.settled()
  t.equal((await request('/')).cache, 'HIT', 'which no preSerialization hook meets')
  await request('/', { headers: { cookie: 'a=b' } })
  t.same(seen, [[true, true, payload, false], [true, true, payload, true]])
})

test('a preSerialization hook that fails under explain answers with its error, and nothing is reported', async (t, options) => {
  const { request, reads } = await logged(t, { ...options, explain: true }, (app) => {
    app.get('/async', { ...policy(), preSerialization: async ({ ip }) => { throw new Error(`refused ${ip}`) } }, handler)
    app.get('/callback', { ...policy(), preSerialization: ({ ip }, _reply, _payload, done) => { done(new Error(`refused ${ip}`)) } }, handler)
  })
  for (const path of ['/async', '/callback']) {
    const { status, text } = await request(path)
    t.equal(status, 500)
    t.match(text, 'refused 127.0.0.1')
  }
  t.same(reads(), [])
})

test('without explain a preSerialization hook gets the request itself', async (t, options) => {
  let given: unknown
  let received: unknown
  const { request } = await logged(t, options, (app) => {
    app.addHook('onRequest', async (request) => { received = request })
    app.get('/', { ...policy(), preSerialization: async (request: FastifyRequest, _reply: unknown, payload: unknown) => { given = request; return payload } }, handler)
  })
  await request('/')
  t.equal(given, received)
})

for (const renamed of [[], ['fastify.context', 'fastify.hooks']]) {
  const isKnown = renamed.length === 0
  test(`with another copy of Fastify ${isKnown ? '' : 'that keeps its hooks elsewhere '}responses are the same`, async (t, options) => {
    const { request, reads, named } = await logged(t, { ...options, explain: true }, (app) => {
      app.addHook('preSerialization', async (request, _reply, payload) => filtered(request, payload))
      app.get('/', { ...policy(), preSerialization: async (_request: FastifyRequest, _reply: unknown, payload: unknown) => payload }, handler)
      app.get('/instance', policy(), handler)
    }, anotherFastify(renamed))
    t.equal((await request('/')).text, '{"name":"x"}')
    t.equal((await request('/instance')).text, '{"name":"x"}')
    t.same(reads(), isKnown ? ['header x-role', 'header x-role'] : [])
    t.same(named(), [isKnown ? ['GET /', 'GET /instance'] : ['GET /']], 'the hooks of a route can always be seen')
  })
}
