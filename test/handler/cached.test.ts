import { Readable } from 'node:stream'
import compress from '@fastify/compress'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import t from 'tap'
import type { ReadPolicy } from '../../index.js'
import { eachStore } from '../support/each-store.js'
import { gate } from '../support/gate.js'
import { keysOf, serving } from '../support/serving.js'

const test = eachStore()

const policy: ReadPolicy = { namespace: 'inside', expire: 60, scope: 'shared' }
const KEY = { headers: { 'x-key': 'open' } }
const knows = ({ headers }: FastifyRequest): boolean => headers['x-key'] === 'open'

test('a guard in the handler runs before every HIT', async (t, options) => {
  let runs = 0
  const { app, request } = await serving(t, options, (app) => app.get('/', async (request, reply) => {
    if (!knows(request)) return reply.code(403).send({ refused: true })
    return reply.cached(policy, () => ({ run: ++runs }))
  }))
  t.match(await request('/'), { status: 403, cache: null })
  t.match(await request('/', KEY), { status: 200, cache: 'MISS', text: '{"run":1}' })
  await app.apiCache.settled()
  t.match(await request('/'), { status: 403, cache: null, text: '{"refused":true}' })
  const hit = await request('/', KEY)
  t.match(hit, { status: 200, cache: 'HIT', text: '{"run":1}', type: 'application/json; charset=utf-8' })
  t.match(await request('/', { headers: { ...KEY.headers, 'if-none-match': hit.headers.get('etag')! } }), { status: 304, cache: 'HIT' })
  t.match(await request('/', { ...KEY, method: 'HEAD' }), { status: 200, cache: 'HIT' })
  t.match(await request('/', { method: 'HEAD' }), { status: 403 })
  t.equal(runs, 1)
  await app.apiCache.invalidate('inside')
  t.match(await request('/', KEY), { cache: 'MISS', text: '{"run":2}' })
})

const ANSWERS: Record<string, (reply: FastifyReply) => unknown> = {
  'an object': () => ({ any: 'thing' }),
  'a promise of a list': async () => [1, 2],
  'a string': () => 'text',
  bytes: () => Buffer.from([0, 255]),
  'a stream': () => Readable.from(['a', 'b']),
  'a web stream': () => new Response('web').body,
  'a Response': () => new Response('body', { headers: { 'content-type': 'text/x' } }),
  'what it sends itself': (reply) => reply.type('text/x').send('sent'),
  'nothing, as it sends later': (reply) => { setImmediate(() => reply.send({ late: true })); return reply },
  'a header, a status and an object': (reply) => { reply.code(203).header('x-own', 'own'); return { own: true } },
  'no content': (reply) => reply.code(204).send()
}

for (const [what, answer] of Object.entries(ANSWERS)) {
  test(`a handler that caches ${what} answers the same on a HIT`, async (t, options) => {
    const { app, request } = await serving(t, options, (app) => app.get('/', (_request, reply) =>
      reply.cached({ ...policy, statuses: [200, 203, 204] }, () => answer(reply))))
    const miss = await request('/')
    await app.apiCache.settled()
    // The policy is another object for each request.
    const hit = await request('/')
    t.same([miss.cache, hit.cache], ['MISS', 'HIT'])
    t.same([hit.status, hit.type, hit.text, hit.headers.get('x-own')], [miss.status, miss.type, miss.text, miss.headers.get('x-own')])
    t.ok(hit.bytes.equals(miss.bytes))
  })
}

test('headers of hooks, and of the handler before it caches, come fresh on a HIT; those of what is cached are stored', async (t, options) => {
  let count = 0
  const { app, request } = await serving(t, options, (app) => {
    app.addHook('onRequest', async (_request, reply) => { reply.header('x-hook', ++count) })
    app.addHook('onSend', async (_request, reply) => { reply.header('x-late', count) })
    app.get('/', async (_request, reply) => {
      reply.header('x-before', count)
      return await reply.cached(policy, () => { reply.header('x-inside', count); return { count } })
    })
  })
  const seen = async (): Promise<unknown[]> => {
    const { cache, headers, text } = await request('/')
    await app.apiCache.settled()
    return [cache, ...['x-hook', 'x-late', 'x-before', 'x-inside'].map((name) => headers.get(name)), text]
  }
  t.same(await seen(), ['MISS', '1', '1', '1', '1', '{"count":1}'])
  t.same(await seen(), ['HIT', '2', '2', '2', '1', '{"count":1}'])
})

test('preSerialization hooks and response schemas make what is stored, and @fastify/compress encodes each HIT', async (t, options) => {
  let serialized = 0
  const { app, request } = await serving(t, options, async (app) => {
    await app.register(compress, { threshold: 0 })
    app.addHook('preSerialization', async (_request, _reply, payload) => ({ ...payload as object, serialized: ++serialized }))
    app.get('/', {
      schema: { response: { 200: { type: 'object', properties: { kept: { type: 'string' }, serialized: { type: 'integer' } } } } }
    }, async (_request, reply) => reply.cached(policy, () => ({ kept: 'yes', secret: 'no' })))
  })
  for (const cache of ['MISS', 'HIT']) {
    const seen = await request('/', { headers: { 'accept-encoding': 'gzip' } })
    t.match(seen, { cache, text: '{"kept":"yes","serialized":1}' })
    t.equal(seen.headers.get('content-encoding'), 'gzip')
    await app.apiCache.settled()
  }
})

test('concurrent requests share one run', async (t, options) => {
  const began = gate()
  const opened = gate()
  let runs = 0
  const { app, request } = await serving(t, options, (app) => app.get('/', async (_request, reply) => reply.cached(policy, async () => {
    runs++
    began.open()
    await opened.opened
    return { runs }
  })))
  const asked = Array.from({ length: 5 }, () => request('/'))
  await began.opened
  opened.open()
  for (const { text } of await Promise.all(asked)) t.equal(text, '{"runs":1}')
  t.equal(runs, 1)
  await app.apiCache.settled()
})

test('the scope sees what the handler has found out before', async (t, options) => {
  const scope = ({ headers }: FastifyRequest): string => headers['x-user'] as string
  const { app, request } = await serving(t, options, (app) => app.get('/', async (request, reply) =>
    reply.cached({ ...policy, scope }, () => `of ${String(request.headers['x-user'])}`)))
  for (const cache of ['MISS', 'HIT']) {
    for (const user of ['ada', 'bob']) {
      t.match(await request('/', { headers: { 'x-user': user } }), { cache, text: `of ${user}` })
      await app.apiCache.settled()
    }
  }
})

test('without a scope of its own a request with credentials runs the handler', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => app.get('/', async (_request, reply) =>
    reply.cached({ namespace: 'inside', expire: 60 }, () => 'answer')))
  for (let round = 0; round < 2; round++) {
    t.match(await request('/', { headers: { authorization: 'Bearer of-ada' } }), { cache: 'MISS', text: 'answer' })
    await app.apiCache.settled()
  }
  t.same(await keysOf(app, 'inside'), [])
})

const CHANGES: Record<string, (answer: { name: string }) => unknown> = {
  'another object': (answer) => ({ ...answer, by: 'me' }),
  'the object, after it has changed it': (answer) => Object.assign(answer, { by: 'me' }),
  'a text': ({ name }) => name
}

for (const [what, change] of Object.entries(CHANGES)) {
  test(`the response is not stored if the handler returns ${what} instead of what it cached`, async (t, options) => {
    const { app, request } = await serving(t, options, (app) => app.get('/', async (_request, reply) =>
      change(await reply.cached(policy, () => ({ name: 'Ada' })))))
    const first = await request('/')
    t.match(first.headers.get('cache-status'), /detail=changed/)
    await app.apiCache.settled()
    t.match(await request('/'), { cache: 'MISS', text: first.text })
    t.same(await keysOf(app, 'inside'), [])
  })
}

test('an error that the handler throws after it has cached is not stored', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => app.get('/', async (_request, reply) => {
    await reply.cached(policy, () => ({ any: 'thing' }))
    throw new Error('no')
  }))
  for (let round = 0; round < 2; round++) {
    t.match(await request('/'), { status: 500, cache: 'MISS' })
    await app.apiCache.settled()
  }
})

test('methods other than GET and HEAD only run what they cache, and may invalidate', async (t, options) => {
  let runs = 0
  const { app, request } = await serving(t, options, (app) => app.all('/', async (_request, reply) => reply.cached(policy, () => ({ run: ++runs }))))
  for (let run = 1; run <= 2; run++) t.match(await request('/', { method: 'POST' }), { status: 200, cache: null, text: `{"run":${run}}` })
  t.match(await request('/'), { cache: 'MISS', text: '{"run":3}' })
  await app.apiCache.settled()
  t.match(await request('/'), { cache: 'HIT', text: '{"run":3}' })
  t.match(await request('/', { method: 'POST' }), { cache: null, text: '{"run":4}' })
})

test('two routes with one path and other constraints share no entry', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => {
    for (const version of ['1.0.0', '2.0.0']) {
      app.get('/', { constraints: { version } }, async (_request, reply) => reply.cached(policy, () => version))
    }
  })
  for (const cache of ['MISS', 'HIT']) {
    for (const version of ['1.0.0', '2.0.0']) {
      t.match(await request('/', { headers: { 'accept-version': version } }), { cache, text: version })
      await app.apiCache.settled()
    }
  }
})

test('a handler for unknown paths only runs what it caches', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => app.setNotFoundHandler(async ({ url }, reply) =>
    reply.cached({ ...policy, statuses: [200, 404] }, () => url)))
  for (const path of ['/one', '/two']) {
    t.match(await request(path), { cache: null, text: path })
    await app.apiCache.settled()
  }
})

const refusals: Record<string, { declare: (app: FastifyInstance) => unknown, expected: object }> = {
  'a second call for one response': {
    declare: (app) => app.get('/', async (_request, reply) => {
      await reply.cached(policy, () => 1)
      return reply.cached(policy, () => 2)
    }),
    expected: { code: 'FST_API_CACHE_ALREADY_CACHED' }
  },
  'a call on a route that has a policy': {
    declare: (app) => app.get('/', { config: { cache: policy } }, async (_request, reply) => reply.cached(policy, () => 1)),
    expected: { code: 'FST_API_CACHE_ALREADY_CACHED' }
  },
  'a policy without a namespace': {
    declare: (app) => app.get('/', async (_request, reply) => reply.cached({ expire: 60 } as never, () => 1)),
    expected: { code: 'FST_API_CACHE_MISSING_FIELD', message: /GET \/: reply\.cached: a caching policy needs a namespace/ }
  },
  'a policy with an unknown field': {
    declare: (app) => app.get('/', async (_request, reply) => reply.cached({ ...policy, expires: 60 } as never, () => 1)),
    expected: { code: 'FST_API_CACHE_UNKNOWN_FIELD', message: /did you mean 'expire'/ }
  },
  'a policy that serves before the handler': {
    declare: (app) => app.get('/', async (_request, reply) => reply.cached({ ...policy, serveFrom: 'onRequest' } as never, () => 1)),
    expected: { code: 'FST_API_CACHE_INVALID_FIELD', message: /'serveFrom' must be left out inside a handler/ }
  },
  'a policy that is no object': {
    declare: (app) => app.get('/', async (_request, reply) => reply.cached('inside' as never, () => 1)),
    expected: { code: 'FST_API_CACHE_WRONG_METHOD', message: /its policy must be an object such as/ }
  }
}

for (const [what, { declare, expected }] of Object.entries(refusals)) {
  t.test(`${what} is an error that says what to write`, async (t) => {
    const { request } = await serving(t, { store: 'memory' }, declare)
    const { status, text } = await request('/')
    t.equal(status, 500)
    t.match(JSON.parse(text), expected)
  })
}

test('only-if-cached is answered with 504 where there is no entry', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => app.get('/', async (_request, reply) => reply.cached(policy, () => 'answer')))
  const only = { headers: { 'cache-control': 'only-if-cached' } }
  t.match(await request('/', only), { status: 504 })
  await request('/')
  await app.apiCache.settled()
  t.match(await request('/', only), { status: 200, cache: 'HIT' })
})
