import Fastify, { type FastifyInstance, type RouteOptions } from 'fastify'
import t, { type Test } from 'tap'
import apiCache, { ONE_HOUR_IN_SECONDS, oneDay, type ApiCacheOptions, type ReadPolicy } from '../../index.js'
import { serving } from '../support/serving.js'

async function application (t: Test, options: ApiCacheOptions = {}): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(apiCache, { store: 'memory', ...options })
  return app
}

/** What adding the route throws. */
function adding (app: FastifyInstance, method: RouteOptions['method'], cache: unknown): () => void {
  return () => { app.route({ method, url: '/users', config: { cache: cache as ReadPolicy }, handler: async () => 'users' }) }
}

const refused: Array<[sentence: string, method: RouteOptions['method'], cache: unknown, code: string, message: string | RegExp]> = [
  ['a typo in a read policy names the nearest field', 'GET', { namespace: 'users', expires: 60 }, 'UNKNOWN_FIELD', "GET /users has no field 'expires'; did you mean 'expire'?"],
  ['another typo in a read policy names the nearest field', 'GET', { name_space: 'users', expire: 60 }, 'UNKNOWN_FIELD', "GET /users has no field 'name_space'; did you mean 'namespace'?"],
  ['a typo in a write policy names the nearest field', 'POST', { invalidates: 'users' }, 'UNKNOWN_FIELD', "POST /users has no field 'invalidates'; did you mean 'invalidate'?"],
  ['another typo in a write policy names the nearest field', 'DELETE', { invalidateTag: 'users' }, 'UNKNOWN_FIELD', "DELETE /users has no field 'invalidateTag'; did you mean 'invalidateTags'?"],
  ['a field that is near to none of a write policy lists them', 'POST', { invalidate: 'users', async: true }, 'UNKNOWN_FIELD',
    "POST /users has no field 'async'; did you mean one of 'invalidate', 'invalidateTags', 'invalidateOn', 'strict', 'settle'?"],
  ['a field of another cache lists those of a read policy', 'GET', { namespace: 'users', ttl: 60 }, 'UNKNOWN_FIELD', /has no field 'ttl'; did you mean one of 'expire', .*'serveFrom'\?$/],
  ['an option of the plugin is not a field of a route', 'GET', { namespace: 'users', expire: 60, prefix: 'a' }, 'UNKNOWN_FIELD', /has no field 'prefix'/],
  ['a policy without a namespace says how to write one', 'GET', { expire: 60 }, 'MISSING_FIELD', "GET /users: a caching policy needs a namespace, such as { namespace: 'user-cache' }"],
  ['a policy without expire, on a plugin without one, says how to write it', 'GET', { namespace: 'users' }, 'MISSING_FIELD', "GET /users: a caching policy needs expire, such as { expire: '15m' }, on the route or on the plugin"],
  ['a write policy that invalidates nothing says how to write it', 'POST', {}, 'MISSING_FIELD', "POST /users: a policy on a writing method must say what it invalidates, such as { invalidate: 'user-cache' }"],
  ['invalidate on a GET says where it belongs', 'GET', { invalidate: 'users' }, 'WRONG_METHOD', /^GET \/users: invalidate and invalidateTags belong on POST, PUT, PATCH or DELETE; a GET is cached with \{ namespace: 'user-cache'/],
  ['invalidateTags on a HEAD says where it belongs', 'HEAD', { invalidateTags: 'users' }, 'WRONG_METHOD', /belong on POST, PUT, PATCH or DELETE/],
  ['invalidate beside a namespace on a GET says where it belongs', 'GET', { namespace: 'users', expire: 60, invalidate: 'users' }, 'WRONG_METHOD', /belong on POST/],
  ['namespace on a POST says what to write instead', 'POST', { namespace: 'users' }, 'WRONG_METHOD', "POST /users: 'namespace' belongs on GET; a writing method declares { invalidate: 'user-cache' }"],
  ['expire on a PUT says what to write instead', 'PUT', { invalidate: 'users', expire: 60 }, 'WRONG_METHOD', /'expire' belongs on GET/],
  ['tags on a PATCH say what to write instead', 'PATCH', { invalidate: 'users', tags: ['a'] }, 'WRONG_METHOD', /'tags' belongs on GET/],
  ['a route for reading and writing methods that invalidates must be declared twice', ['GET', 'POST'], { invalidate: 'users' }, 'WRONG_METHOD', /GET,POST \/users: invalidate and invalidateTags belong on POST.*declare one route for each kind/],
  ['a policy on OPTIONS is refused', 'OPTIONS', { invalidate: 'users' }, 'WRONG_METHOD', /config\.cache is for GET and HEAD/],
  ['true for a policy says what to write', 'GET', true, 'WRONG_METHOD', "GET /users: config.cache must be an object such as { namespace: 'user-cache', expire: '15m' }, got true"],
  ['null for a policy says what to write', 'GET', null, 'WRONG_METHOD', /config\.cache must be an object/],
  ['a string for a policy says what to write', 'POST', 'users', 'WRONG_METHOD', /config\.cache must be an object.*got 'users'/]
]
for (const [sentence, method, cache, code, message] of refused) {
  t.test(sentence, async (t) => {
    t.throws(adding(await application(t), method, cache), { code: `FST_API_CACHE_${code}`, message })
  })
}

const wrong: Array<[field: string, expected: RegExp, ...values: unknown[]]> = [
  ['namespace', /must be a non-empty string or a function of the request/, '', 1, null, ['users'], {}],
  ['expire', /must be whole seconds from 1 to 31536000 or a duration such as '15m' or '1 day', got /, 0, -1, 0.5, 59.9, 31_536_001, Infinity, NaN, '', '60', '86400000', '1.5s', '0s', '-1h', '366 days', '2 years', 'soon', null, true, {}],
  ['scope', /must be 'anonymous', 'shared' or a function of the request/, 'user', null],
  ['key', /must be a function of the request/, 'users', null],
  ['tags', /must be a list of non-empty strings or a function of the request and the payload/, 'users', [''], [1], null],
  ['when', /must be a function of the request, the reply and the payload/, true, null],
  ['statuses', /must be a list of statuses from 200 to 599 without 206 and 304/, [], [206], 200],
  ['vary', /must be a list of header names/, ['*'], 'accept'],
  ['maxBytes', /must be a number of bytes above 0/, 0, '1 MB'],
  ['serveFrom', /must be 'handler' or 'onRequest'/, 'preHandler', true]
]
for (const [field, expected, ...values] of wrong) {
  t.test(`a wrong value of '${field}' is an error that says what to write`, async (t) => {
    const app = await application(t)
    for (const value of values) {
      t.throws(adding(app, 'GET', { namespace: 'users', expire: 60, [field]: value }), { code: 'FST_API_CACHE_INVALID_FIELD', message: expected }, String(value))
    }
  })
}

for (const field of ['invalidate', 'invalidateTags']) {
  t.test(`a wrong value of '${field}' is an error that says what to write`, async (t) => {
    const app = await application(t)
    t.throws(adding(app, 'POST', { [field]: {} }), {
      code: 'FST_API_CACHE_MISSING_FIELD', message: /invalidate(?:Tags)?: '(?:namespaces|tags)' is required/
    })
    for (const value of ['', [], [''], ['users', ''], 1, null, true]) {
      t.throws(adding(app, 'POST', { [field]: value }), {
        code: 'FST_API_CACHE_INVALID_FIELD', message: /must be a non-empty string, a list of them, a function of the request and the payload, or \{ (?:namespaces|tags): '[\w-]+', soft: '30s' \}/
      }, String(value))
    }
  })
}

t.test('false for a policy leaves a route without a cache, reading or writing', async (t) => {
  let ran = 0
  const { app, request } = await serving(t, { store: 'memory', expire: 60 }, (app) => {
    app.get('/off', { config: { cache: false } }, async () => String(++ran))
    app.post('/off', { config: { cache: false } }, async () => 'written')
    app.options('/off', { config: { cache: false } }, async () => 'options')
    app.get('/inside', { config: { cache: false } }, async (_request, reply) => await reply.cached({ namespace: 'users' }, () => 'inside'))
  })
  for (const text of ['1', '2']) t.match(await request('/off'), { text, cache: null })
  t.match(await request('/off', { method: 'HEAD' }), { status: 200, cache: null })
  t.match(await request('/off', { method: 'POST' }), { text: 'written', cache: null })
  t.match(await request('/off', { method: 'OPTIONS' }), { text: 'options' })
  t.match(app.apiCache.stats(), { hits: 0, misses: 0, bypasses: 0, invalidations: 0 })
  for (const cache of ['MISS', 'HIT']) t.match(await request('/inside'), { text: 'inside', cache }, 'its handler may cache itself')
})

t.test('a route that is refused was not added', async (t) => {
  const app = await application(t)
  t.throws(adding(app, 'GET', {}))
  t.equal(app.hasRoute({ method: 'GET', url: '/users' }), false)
  t.doesNotThrow(adding(app, 'GET', { namespace: 'users', expire: 60 }))
})

t.test('a wrong policy inside a plugin fails its registration', async (t) => {
  const app = await application(t)
  await t.rejects(async () => {
    await app.register(async (child) => { adding(child, 'GET', { namespace: '' })() }, { prefix: '/v1' })
  }, { code: 'FST_API_CACHE_INVALID_FIELD', message: /^GET \/v1\/users: / })
})

t.test('a policy is not modified and may be shared between routes', async (t) => {
  const policy = Object.freeze({ namespace: 'users', expire: 60, query: Object.freeze(['a']), vary: Object.freeze(['Accept']) })
  const { request } = await serving(t, { store: 'memory' }, (app) => {
    for (const path of ['/one', '/two']) app.get(path, { config: Object.freeze({ cache: policy }) }, async () => path)
  })
  for (const cache of ['MISS', 'HIT']) {
    for (const path of ['/one', '/two']) t.match(await request(path), { cache, text: path })
  }
})

t.test('a route\'s own field overrides the plugin\'s default, which overrides the built-in one', async (t) => {
  const { app, request } = await serving(t, { store: 'memory', expire: '1h', statuses: [200, 404] }, (app) => {
    const answer = (status: number) => async (_request: unknown, reply: { code(status: number): unknown }) => { reply.code(status); return 'x' }
    app.get('/default', { config: { cache: { namespace: 'users' } } }, answer(404))
    app.get('/own', { config: { cache: { namespace: 'users', statuses: [200] } } }, answer(404))
    app.get('/undefined', { config: { cache: { namespace: 'users', statuses: undefined } } }, answer(404))
  })
  for (const path of ['/default', '/own', '/undefined']) await request(path)
  t.equal((await request('/default')).cache, 'HIT')
  t.equal((await request('/own')).cache, 'MISS')
  t.equal((await request('/undefined')).cache, 'HIT')
  t.match((await request('/default')).headers.get('cache-status'), /;ttl=(3600|3599)$/)
  t.equal(app.apiCache.stats().stored, 2)
})

t.test('an entry expires after the duration of its policy, whatever it is', async (t) => {
  const durations: Array<[ReadPolicy, seconds: number]> = [
    [{ namespace: 'users', expire: ONE_HOUR_IN_SECONDS }, 3_600],
    [oneDay({ namespace: 'users' }), 86_400],
    [{ namespace: 'users', expire: '15m' }, 900],
    [{ namespace: 'users', expire: '1 day' }, 86_400],
    [{ namespace: 'users', expire: 1 }, 1],
    [{ namespace: 'users', expire: 31_536_000 }, 31_536_000]
  ]
  const { request } = await serving(t, { store: 'memory' }, (app) => {
    for (const [index, [cache]] of durations.entries()) app.get(`/${index}`, { config: { cache } }, async () => 'x')
  })
  for (const [index, [, seconds]] of durations.entries()) {
    await request(`/${index}`)
    const status = (await request(`/${index}`)).headers.get('cache-status')
    if (seconds > 1) t.match(status, new RegExp(`;ttl=(${seconds}|${seconds - 1})$`))
  }
})
