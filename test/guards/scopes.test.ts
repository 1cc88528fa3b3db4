import type { FastifyRequest } from 'fastify'
import type { ReadPolicy } from '../../index.js'
import { patientStores } from '../support/patient-stores.js'
import { complaints, loggingTo, type LogLine } from '../support/log.js'
import { keysOf, serving } from '../support/serving.js'

const test = patientStores()

const cache = (policy: Partial<ReadPolicy> = {}): { cache: ReadPolicy } => ({ cache: { namespace: 'scoped', expire: 60, ...policy } })
const as = (user: string): RequestInit => ({ headers: { 'x-user': user } })
const userOf = (request: FastifyRequest): unknown => request.headers['x-user']

const CREDENTIALS: Array<Record<string, string>> = [{ authorization: 'Bearer a' }, { cookie: 'session=a' }, { authorization: '' }, { cookie: '' }]

for (const credentials of CREDENTIALS) {
  test(`by default a request with ${JSON.stringify(credentials)} goes to the handler, and its response is not stored`, async (t, options) => {
    let runs = 0
    const { app, request } = await serving(t, options, (app) => app.get('/', { config: cache() }, async () => ({ run: ++runs })))
    t.match(await request('/', { headers: credentials }), { cache: 'MISS', text: '{"run":1}' })
    t.same(await keysOf(app, 'scoped'), [])
    t.match(await request('/'), { cache: 'MISS', text: '{"run":2}' })
    await app.apiCache.settled()
    const again = await request('/', { headers: credentials })
    t.match(again, { cache: 'MISS', text: '{"run":3}' })
    t.match(again.headers.get('cache-status'), /fwd=bypass;detail=credentials$/)
    t.match(await request('/'), { cache: 'HIT', text: '{"run":2}' })
  })
}

test("with scope 'shared' everyone the route lets in shares an entry, with or without credentials", async (t, options) => {
  const { app, request } = await serving(t, options, (app) => app.get('/', { config: cache({ scope: 'shared' }) }, async () => 'all'))
  t.equal((await request('/', { headers: { authorization: 'Bearer a' } })).cache, 'MISS')
  await app.apiCache.settled()
  t.equal((await request('/', { headers: { authorization: 'Bearer b' } })).cache, 'HIT')
  t.equal((await request('/', { headers: { cookie: 'session=c' } })).cache, 'HIT')
  t.equal((await request('/')).cache, 'HIT')
})

for (const directive of ['private', 'private, max-age=600', 'Private="set-cookie"', 'no-store', 'max-age=60, PRIVATE']) {
  test(`a response with Cache-Control: ${directive} is not stored under scope 'shared'`, async (t, options) => {
    const { app, request } = await serving(t, options, (app) => app.get('/', { config: cache({ scope: 'shared' }) }, async (request, reply) => {
      reply.header('cache-control', directive)
      return { user: userOf(request) }
    }))
    for (const user of ['ada', 'bob', 'ada']) t.match(await request('/', as(user)), { cache: 'MISS', text: `{"user":"${user}"}` })
    t.same(await keysOf(app, 'scoped'), [])
  })
}

test('each string that a scope function returns has its own entries', async (t, options) => {
  let runs = 0
  const { app, request } = await serving(t, options, (app) => app.get('/', {
    config: cache({ scope: (request) => userOf(request) as string })
  }, async (request) => ({ user: userOf(request), run: ++runs })))
  const users = ['ada', 'bob', 'ada:bob', 'ada|bob', '*', 'a*', '%2A', 'ada scope=bob', '__proto__', 'undefined', 'null']
  for (const cache of ['MISS', 'HIT']) {
    for (const [index, user] of users.entries()) {
      const { headers, ...seen } = await request('/', as(user))
      t.match(seen, { cache, text: JSON.stringify({ user, run: index + 1 }) })
      t.equal(headers.get('cache-control'), 'private, no-cache')
    }
    await app.apiCache.settled()
  }
  t.equal((await keysOf(app, 'scoped')).length, users.length)
})

const FAULTS: Record<string, () => unknown> = {
  'throws an error': () => { throw new Error('no user') },
  // eslint-disable-next-line no-throw-literal -- what a function of the application may do
  'throws something else': () => { throw undefined },
  'returns undefined': () => undefined,
  'returns null': () => null,
  'returns an empty text': () => '',
  'returns a number': () => 42,
  'returns NaN': () => NaN,
  'returns true': () => true,
  'returns an object': () => ({ toString: () => 'same' }),
  'returns a String object': () => Object('same') as unknown,
  'returns a list': () => ['same'],
  'returns a symbol': () => Symbol('same'),
  'returns a function': () => () => 'same',
  'returns a promise': async () => 'same',
  'returns a promise that rejects': async () => { throw new Error('no user') }
}

test('a number is a scope like its text, and another than any other', async (t, options) => {
  const ids: Record<string, string | number> = { ada: 7, same: '7', bob: 8, zero: 0 }
  const { app, request } = await serving(t, options, (app) => app.get('/', {
    config: cache({ scope: (request) => ids[String(userOf(request))] })
  }, async (request) => ({ user: userOf(request) })))
  for (const [user, cache, text] of [
    ['ada', 'MISS', 'ada'], ['bob', 'MISS', 'bob'], ['zero', 'MISS', 'zero'], ['same', 'HIT', 'ada'], ['ada', 'HIT', 'ada'], ['bob', 'HIT', 'bob'], ['zero', 'HIT', 'zero']
  ] as const) {
    t.match(await request('/', as(user)), { cache, text: `{"user":"${text}"}` }, user)
    await app.apiCache.settled()
  }
})

for (const field of ['scope', 'key', 'namespace', 'tags'] as const) {
  for (const [fault, run] of Object.entries(FAULTS)) {
    if (field === 'tags' && fault === 'returns a list') continue
    if (field === 'scope' && fault === 'returns a number') continue
    test(`if the ${field} function ${fault}, the request bypasses the cache, which is logged once a minute`, async (t, options) => {
      const lines: LogLine[] = []
      const known = field === 'tags' ? ['known'] : 'known'
      const faulty = (request: FastifyRequest): unknown => userOf(request) === 'known' ? known : run()
      const policy = { [field]: faulty }
      const { app, request } = await serving(t, options, (app) => app.get('/', {
        config: cache({ scope: 'shared', ...policy })
      }, async (request) => ({ user: userOf(request) })), loggingTo(lines))

      t.equal((await request('/', as('known'))).cache, 'MISS')
      await app.apiCache.settled()
      for (const user of ['ada', 'bob', 'ada']) {
        const seen = await request('/', as(user))
        t.match(seen, { status: 200, cache: 'MISS', text: `{"user":"${user}"}` })
        t.match(seen.headers.get('cache-status'), /fwd=bypass;detail=policy$/)
      }
      t.match(await request('/', as('known')), { cache: 'HIT', text: '{"user":"known"}' })
      const [complaint, ...others] = complaints(lines)
      t.match(complaint, { level: 40, route: 'GET /', msg: /function of the route's policy failed/ })
      t.same(others, [])
      t.equal(app.apiCache.stats().stored, 1)
    })
  }
}

test('a warning is repeated after a minute', async (t, options) => {
  const lines: LogLine[] = []
  const { request } = await serving(t, options, (app) => app.get('/', {
    config: cache({ scope: () => undefined as unknown as string })
  }, async () => 'answer'), loggingTo(lines))
  const { now } = performance
  t.teardown(() => { performance.now = now })
  await request('/')
  await request('/')
  t.equal(complaints(lines).length, 1)
  performance.now = () => now.call(performance) + 60_000
  await request('/')
  t.equal(complaints(lines).length, 2)
})

for (const [fault, run] of Object.entries(FAULTS).filter(([fault]) => fault !== 'returns true')) {
  test(`if the when function ${fault}, the response is not stored`, async (t, options) => {
    const lines: LogLine[] = []
    const { app, request } = await serving(t, options, (app) => app.get('/', {
      config: cache({ when: run as () => boolean })
    }, async () => 'answer'), loggingTo(lines))
    for (let i = 0; i < 2; i++) t.match(await request('/'), { status: 200, cache: 'MISS', text: 'answer' })
    t.equal(app.apiCache.stats().stored, 0)
    t.equal(complaints(lines).length, 1)
  })
}

test('when decides from request, reply and payload', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => app.get('/', {
    config: cache({ scope: 'shared', when: (request, reply, payload) => userOf(request) === 'ada' && reply.statusCode === 200 && (payload as { n: number }).n === 1 })
  }, async () => ({ n: 1 })))
  t.equal((await request('/', as('bob'))).cache, 'MISS')
  t.equal((await request('/', as('ada'))).cache, 'MISS')
  await app.apiCache.settled()
  t.equal((await request('/', as('bob'))).cache, 'HIT')
})
