import type { FastifySchema } from 'fastify'
import type { ReadPolicy } from '../../index.js'
import { patientStores } from '../support/patient-stores.js'
import { keysOf, serving, type Seen } from '../support/serving.js'

const test = patientStores()

const policy = (more: Partial<ReadPolicy> = {}): { cache: ReadPolicy } => ({ cache: { namespace: 'users', expire: 60, ...more } })

const page: FastifySchema = {
  querystring: {
    type: 'object',
    properties: {
      skip: { type: 'integer', default: 0 },
      limit: { type: 'integer', default: 100 },
      sort: { type: 'string', default: 'name' },
      all: { type: 'boolean' },
      tag: { type: 'array', items: { type: 'string' } }
    },
    additionalProperties: false
  }
}

interface Case { url: string, schema?: FastifySchema, more?: Partial<ReadPolicy>, request?: RequestInit, asked: Record<string, string> }

// By what the route is, what is asked for and which key it has: behind the namespace.
const CASES: Record<string, Case> = {
  'the query of a schema, with its defaults and types': {
    url: '/users',
    schema: page,
    asked: {
      '/users': 'GET /users?limit=100&skip=0&sort=name',
      '/users?skip=00&limit=1e2': 'GET /users?limit=100&skip=0&sort=name',
      '/users?undeclared=1&limit=5': 'GET /users?limit=5&skip=0&sort=name',
      '/users?sort=2024&all=true': 'GET /users?all=true&limit=100&skip=0&sort=2024',
      '/users?tag=a&tag=1': 'GET /users?limit=100&skip=0&sort=name&tag=a&tag=1'
    }
  },
  'the query without a schema': {
    url: '/users',
    asked: {
      '/users': 'GET /users',
      '/users?': 'GET /users',
      '/users?b=2&a=1': 'GET /users?a=1&b=2',
      '/users?a=1&a=2': 'GET /users?a=1&a=2',
      '/users?a=2&b=x&a=1': 'GET /users?a=2&a=1&b=x',
      '/users?a': 'GET /users?a=',
      '/users?=x': 'GET /users?=x',
      '/users?q=a%20b%7C%2A': 'GET /users?q=a%20b%7C%2A',
      '/users?__proto__=1': 'GET /users?__proto__=1'
    }
  },
  'a path with its parameters': {
    url: '/users/:id/posts/:post',
    asked: {
      '/users/7/posts/9': 'GET /users/7/posts/9',
      '/users/a%2Fb/posts/%7C': 'GET /users/a%2Fb/posts/%7C',
      '/users//posts/x': 'GET /users//posts/x'
    }
  },
  'a path whose parameter is a number': {
    url: '/users/:id',
    schema: { params: { type: 'object', properties: { id: { type: 'integer' } } } },
    asked: { '/users/7': 'GET /users/7', '/users/07': 'GET /users/7' }
  },
  'a path whose parameter is a text': {
    url: '/users/:id',
    schema: { params: { type: 'object', properties: { id: { type: 'string' } } } },
    asked: { '/users/7': 'GET /users/7', '/users/07': 'GET /users/07' }
  },
  'a path with an optional parameter': {
    url: '/users/:id?',
    asked: { '/users': 'GET /users', '/users/': 'GET /users/', '/users/7': 'GET /users/7' }
  },
  'a path with a wildcard': {
    url: '/files/*',
    asked: { '/files/a/b': 'GET /files/a/b', '/files/a//b%3F': 'GET /files/a//b%3F', '/files/': 'GET /files/' }
  },
  'a path with a regular expression': {
    url: '/users/:id(^\\d+$)',
    asked: { '/users/7': 'GET /users/:id(%5E%5Cd+$) params:id=7' }
  },
  'only the parameters that query lists': {
    url: '/users',
    more: { query: ['page', 'a*b'] },
    asked: { '/users?page=1&utm_source=x': 'GET /users?page=1', '/users?a%2Ab=1&axb=2': 'GET /users?a%2Ab=1', '/users?x=1': 'GET /users' }
  },
  'the parameters that ignoreQuery leaves': {
    url: '/users',
    more: { ignoreQuery: ['utm_*', 'fbclid', '*[x]*z', '_'] },
    asked: {
      '/users?utm_source=1&utm_=2&fbclid=3&_=4': 'GET /users',
      '/users?Utm_source=1&xutm_a=2&fbclid2=3': 'GET /users?Utm_source=1&fbclid2=3&xutm_a=2',
      '/users?a%5Bx%5Dz=1&%5Bx%5D%0Az=2&axz=3&%5Bx%5D=4': 'GET /users?%5Bx%5D=4&axz=3'
    }
  },
  both: {
    url: '/users',
    more: { query: ['page', 'utm_page'], ignoreQuery: ['utm_*'] },
    asked: { '/users?page=1&utm_page=2&x=3': 'GET /users?page=1' }
  },
  'the headers of vary': {
    url: '/users',
    more: { vary: ['X-Requested-With', 'accept'] },
    request: { headers: { 'x-requested-with': 'de|*', accept: 'a/b' } },
    asked: { '/users?a=1': 'GET /users?a=1 revision=~… accept=a%2Fb x-requested-with=de%7C%2A' }
  },
  'what a key function and a scope function return': {
    url: '/users',
    more: { key: () => 'mine|*', scope: () => 'user 7' },
    asked: { '/users?a=1': 'mine%7C%2A revision=~… scope=user%207' }
  },
  'before validation, with serveFrom onRequest': {
    url: '/users/:id',
    schema: { ...page, params: { type: 'object', properties: { id: { type: 'integer' } } } },
    more: { serveFrom: 'onRequest' },
    asked: { '/users/07': 'GET /users/07', '/users/07?limit=5&x=y': 'GET /users/07?limit=5&x=y' }
  }
}

for (const [what, { url, schema, more, request: init, asked }] of Object.entries(CASES)) {
  test(`a key says: ${what}`, async (t, options) => {
    const { app, request } = await serving(t, { ...options, host: false }, (app) => app.get(url, { schema, config: policy(more) }, async () => 'answer'))
    for (const [path, key] of Object.entries(asked)) {
      await app.apiCache.invalidate('users')
      t.match(await request(path, init), { status: 200, cache: 'MISS' } satisfies Partial<Seen>, path)
      await app.apiCache.settled()
      const keys = await keysOf(app, 'users')
      t.same(keys.map((key) => key.replace(/ revision=~[\w-]{8}/, ' revision=~…')), [`api-cache|users:${key}`])
      t.equal((await request(path, init)).cache, 'HIT', path)
    }
  })
}

test('a long key keeps its beginning and ends in a hash, in 512 bytes', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => app.get('/users', { config: policy() }, async ({ query }) => query))
  const long = 'x'.repeat(1_000)
  for (const q of [`${long}1`, `${long}2`]) t.same(JSON.parse((await request(`/users?q=${q}`)).text), { q })
  await app.apiCache.settled()
  for (const q of [`${long}1`, `${long}2`]) t.match(await request(`/users?q=${q}`), { cache: 'HIT', text: JSON.stringify({ q }) })
  const keys = await keysOf(app, 'users')
  t.equal(keys.length, 2)
  for (const key of keys) t.match(key, /^api-cache\|users:GET \/users\?q=x{439}~[\w-]{43}$/)
  // Who has seen such a key cannot ask in a way that spells it out.
  const forged = keys[0]!.slice(keys[0]!.indexOf('=') + 1)
  t.match(await request(`/users?q=${forged}`), { cache: 'MISS', text: JSON.stringify({ q: forged }) })
})

const LONG: Record<string, { policy: Partial<ReadPolicy>, ask: (text: string) => [path: string, headers?: Record<string, string>] }> = {
  'a parameter': { policy: {}, ask: (text) => [`/?q=${text}`] },
  'the name of a parameter': { policy: {}, ask: (text) => [`/?${text}`] },
  'a path': { policy: {}, ask: (text) => [`/${text}/x`] },
  'a header': { policy: { vary: ['x-long'] }, ask: (text) => ['/', { 'x-long': text }] },
  'a namespace': { policy: { namespace: (request) => request.headers['x-long'] as string }, ask: (text) => ['/', { 'x-long': text }] },
  'a scope': { policy: { scope: (request) => request.headers['x-long'] as string }, ask: (text) => ['/', { 'x-long': text }] },
  'a key function': { policy: { key: (request) => request.headers['x-long'] as string }, ask: (text) => ['/', { 'x-long': text }] }
}

for (const [what, { policy: more, ask }] of Object.entries(LONG)) {
  test(`long strings in ${what} that differ anywhere have separate entries`, async (t, options) => {
    const { request } = await serving(t, options, (app) => app.get('/*', { config: policy(more) }, async ({ url, headers }) => `${url} ${headers['x-long']}`))
    const texts = [511, 512, 513, 2_000].flatMap((length) => [`${'x'.repeat(length - 1)}y`, `y${'x'.repeat(length - 1)}`, 'x'.repeat(length)])
    for (const cache of ['MISS', 'HIT']) {
      for (const text of texts) {
        const [path, headers = {}] = ask(text)
        t.match(await request(path, { headers }), { cache, text: `${path} ${headers['x-long']}` })
      }
    }
  })
}

test('long strings of a key function that differ in lone surrogates have separate entries', async (t, options) => {
  const texts = ['\ud800', '\ud801', '\ufffd'].map((last) => `${'x'.repeat(1_000)}${last}`)
  const { app, request } = await serving(t, options, (app) => app.get('/:index', {
    config: policy({ key: (request) => texts[Number((request.params as { index: string }).index)]! })
  }, async ({ url }) => url))
  for (const cache of ['MISS', 'HIT']) {
    for (const index of texts.keys()) t.match(await request(`/${index}`), { cache, text: `/${index}` })
    await app.apiCache.settled()
  }
})

test('credentials are in a key as hashes', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => app.get('/', {
    config: policy({ scope: 'shared', vary: ['authorization', 'cookie'] })
  }, async ({ headers }) => [headers.authorization, headers.cookie]))
  const callers = [['Bearer s3cret', 'a=s3cret'], ['Bearer s3cret2', 'a=s3cret'], ['Bearer s3cret', 'a=s3cret2']] as const
  for (const cache of ['MISS', 'HIT']) {
    for (const caller of callers) {
      t.match(await request('/', { headers: { authorization: caller[0], cookie: caller[1] } }), { cache, text: JSON.stringify(caller) })
    }
    await app.apiCache.settled()
  }
  for (const key of await keysOf(app, 'users')) t.match(key, /^api-cache\|users:GET \/ http:\S+ revision=~[\w-]{8} authorization=~[\w-]{32} cookie=~[\w-]{32}$/)
})
