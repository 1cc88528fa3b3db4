import { Readable } from 'node:stream'
import cookie from '@fastify/cookie'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import type { Test } from 'tap'
import apiCache, { type ApiCacheOptions, type ReadPolicy } from '../../index.js'
import { patientStores } from '../support/patient-stores.js'
import { loggingTo, type LogLine } from '../support/log.js'
import { keysOf, listening, serving, type Serving } from '../support/serving.js'

const test = patientStores()

interface Explained extends Serving {
  readonly lines: LogLine[]
  /** The newest line that tells a decision. */
  decision (): LogLine | undefined
  /** What the lines so far report that handlers read. */
  reads (): string[]
}

async function explained (t: Test, options: ApiCacheOptions, declare: (app: FastifyInstance) => unknown): Promise<Explained> {
  const lines: LogLine[] = []
  const app = Fastify(loggingTo(lines))
  await app.register(cookie)
  await app.register(apiCache, { explain: true, ...options })
  app.decorateRequest('user', null as never)
  app.decorateRequest('session', null as never)
  app.addHook('preHandler', async (request) => {
    const name = request.headers['x-user']
    if (name !== undefined) Object.assign(request, { user: { name, tenant: 'acme' }, session: { theme: 'dark' } })
  })
  const server = await listening(t, app, declare)
  return {
    ...server,
    lines,
    decision: () => lines.filter(({ msg }) => /^api cache: (HIT|MISS)$/.test(msg)).at(-1),
    reads: () => lines.flatMap(({ msg, reads }) => msg.startsWith('api cache: the handler') ? reads as string[] : [])
  }
}

const policy = (more: Partial<ReadPolicy> = {}): { config: { cache: ReadPolicy } } =>
  ({ config: { cache: { namespace: 'explained', expire: 60, scope: 'shared', ...more } } })

test('for a MISS and a HIT one log line and Cache-Status show the key, its parts, the scope and the decision', async (t, options) => {
  const { app, origin, request, decision, lines } = await explained(t, options, (app) => app.get('/users/:id', policy({ vary: ['accept-language'] }), async () => 'body'))
  const init = { headers: { 'accept-language': 'de' } }

  const miss = await request('/users/7?a=1', init)
  await app.apiCache.settled()
  const [key] = await keysOf(app, 'explained')
  const parts = ['GET /users/7?a=1', origin, /^revision=~[\w-]{8}$/, 'accept-language=de']
  t.equal(key!.replace(/ revision=\S+/, ''), `api-cache|explained:GET /users/7?a=1 ${origin} accept-language=de`)
  t.match(decision(), { level: 30, msg: 'api cache: MISS', route: 'GET /users/:id', decision: 'MISS', fwd: 'uri-miss', stored: true, key, namespace: 'explained', parts, scope: 'shared' })
  t.equal(miss.headers.get('cache-status'), `fastify-api-cache;fwd=uri-miss;stored;key="${key}";detail="scope shared"`)

  const hit = await request('/users/7?a=1', init)
  t.match(decision(), { level: 30, msg: 'api cache: HIT', decision: 'HIT', hit: true, key, namespace: 'explained', parts, scope: 'shared' })
  t.match(hit.headers.get('cache-status'), /^fastify-api-cache;hit;ttl=\d+;key="[^"]+";detail="scope shared"$/)
  t.equal(lines.filter(({ msg }) => msg.startsWith('api cache: ')).length, 2)
})

test('a MISS says why: invalidated, directive of the request, bypassed, refused', async (t, options) => {
  const { app, request, decision } = await explained(t, options, (app) => {
    app.get('/', policy({ scope: 'anonymous' }), async () => 'body')
    app.get('/private', policy(), async (_request, reply) => reply.header('cache-control', 'private').send('body'))
  })
  const status = async (path: string, headers: Record<string, string> = {}): Promise<string | null> =>
    (await request(path, { headers })).headers.get('cache-status')

  t.match(await status('/', { cookie: 'a=b' }), /;fwd=bypass;detail="credentials, scope anonymous"$/)
  t.match(decision(), { decision: 'MISS', fwd: 'bypass', detail: 'credentials', scope: 'anonymous', key: undefined })
  await status('/')
  await app.apiCache.settled()
  t.match(await status('/', { 'cache-control': 'no-cache' }), /;fwd=request;stored;key="api-cache\|explained:GET \/ http:[^"]+";detail="scope anonymous"$/)
  t.match(await status('/', { 'cache-control': 'no-store' }), /;fwd=request;detail="no-store, scope anonymous"$/)
  t.match(await status('/private'), /;fwd=uri-miss;key="api-cache\|explained:GET \/private http:[^"]+";detail="private, scope shared"$/)
  t.match(decision(), { decision: 'MISS', stored: false, detail: 'private' })
})

test('what identifies a caller is logged as a hash: scopes, credentials in headers and parameters', async (t, options) => {
  const { app, request, lines, decision } = await explained(t, options, (app) => app.get('/', policy({
    scope: (request) => String(request.headers['x-user']), vary: ['authorization', 'x-api-key']
  }), async () => 'body s3cret'))
  const init = { headers: { 'x-user': 'ada s3cret', authorization: 'Bearer s3cret', 'x-api-key': 's3cret' } }
  for (const cache of ['MISS', 'HIT']) {
    const seen = await request('/?access_token=s3cret&page=1', init)
    t.equal(seen.cache, cache)
    t.notMatch(seen.headers.get('cache-status'), 's3cret')
    t.match(seen.headers.get('cache-status'), /key="api-cache\|explained:GET \/\?access_token=~[\w-]{32}&page=1 http:\S+ revision=~[\w-]{8} scope=~[\w-]{8} authorization=~[\w-]{32} x-api-key=~[\w-]{32}"/)
    t.match(decision()!['scope'], /^~[\w-]{8}$/)
    await app.apiCache.settled()
  }
  const told = lines.filter(({ msg }) => msg.startsWith('api cache'))
  t.equal(told.length, 2)
  t.notMatch(JSON.stringify(told), 's3cret')
})

test('a hostile key is shown in one log line and one header, whatever its length', async (t, options) => {
  const { app, request, decision } = await explained(t, options, (app) => app.get('/', policy({ scope: (request) => (request.query as { q: string }).q }), async () => 'body'))
  for (const q of ['"\\"', '\r\nx-injected: 1', '\0', '😀', 'x'.repeat(8_000), '%', '~']) {
    const { headers, status } = await request(`/?q=${encodeURIComponent(q)}`)
    t.equal(status, 200)
    t.equal(headers.get('x-injected'), null)
    t.ok(headers.get('cache-status')!.length < 800)
    t.ok((decision()!['key'] as string).length <= 512)
  }
  await app.apiCache.settled()
})

test('requests that waited for a fill are explained as collapsed', async (t, options) => {
  const { request, lines } = await explained(t, options, (app) => app.get('/', policy(), async () => {
    await new Promise((resolve) => { setTimeout(resolve, 30) })
    return 'body'
  }))
  await Promise.all([request('/'), request('/'), request('/')])
  const decisions = lines.filter(({ decision }) => decision !== undefined)
  t.equal(decisions.length, 3)
  t.equal(decisions.filter(({ decision, collapsed }) => decision === 'HIT' && collapsed === true).length, 2)
})

const themeOf = (request: FastifyRequest): string | undefined => (request as unknown as { session?: { theme: string } }).session?.theme

/** What a handler reads, and what makes it part of the key. */
const READS: Record<string, {
  read: (request: FastifyRequest) => unknown
  reported: string[]
  uncovered?: Partial<ReadPolicy>
  covered: Partial<ReadPolicy>
  path?: string
}> = {
  'a request header': {
    read: ({ headers }) => headers['x-lang'],
    reported: ['header x-lang'],
    covered: { vary: ['X-Lang'] }
  },
  'whether there is a request header': {
    read: ({ headers }) => 'x-lang' in headers,
    reported: ['header x-lang'],
    covered: { vary: ['X-Lang'] }
  },
  'a cookie': {
    read: ({ cookies }) => cookies['theme'],
    reported: ['cookie theme'],
    covered: { scope: (request) => request.cookies['theme'] ?? 'none' }
  },
  'request.user': {
    read: (request) => (request as { user?: { name: string } }).user?.name,
    reported: ['request.user'],
    covered: { scope: (request) => (request as { user?: { name: string } }).user?.name ?? 'nobody' }
  },
  'request.session': {
    read: (request) => themeOf(request),
    reported: ['request.session'],
    covered: { key: (request) => `${request.url} ${themeOf(request)}` }
  },
  'request.ip': {
    read: ({ ip }) => ip,
    reported: ['request.ip'],
    covered: { scope: ({ ip }) => ip }
  },
  'request.host under host: false': {
    read: ({ host }) => host,
    reported: ['request.host'],
    uncovered: { host: false },
    covered: { host: false, vary: ['host'] }
  },
  'the parts of its address under host: false': {
    read: ({ protocol, hostname, port }) => [protocol, hostname, port],
    reported: ['request.protocol', 'request.hostname', 'request.port'],
    uncovered: { host: false },
    covered: {}
  },
  'the Host header under host: false': {
    read: ({ headers }) => headers.host,
    reported: ['header host'],
    uncovered: { host: false },
    covered: {}
  },
  'a parameter that the key leaves out': {
    read: ({ query }) => (query as { page?: string }).page,
    reported: ['parameter page'],
    covered: { query: ['page'], ignoreQuery: [] },
    path: '/?page=2'
  },
  'the whole address': {
    read: ({ url }) => url,
    reported: ['request.url'],
    covered: { key: ({ url }) => url }
  },
  'the whole address as the client sent it': {
    read: ({ originalUrl }) => originalUrl,
    reported: ['request.originalUrl'],
    covered: { key: ({ originalUrl }) => originalUrl }
  },
  'what a method of the request reads': {
    read: (request) => request.getDecorator('user'),
    reported: ['request.user'],
    covered: { scope: (request) => String(request.getDecorator<{ name?: string } | null>('user')?.name) }
  }
}

for (const [what, { read, reported, uncovered, covered, path = '/' }] of Object.entries(READS)) {
  test(`a handler that reads ${what} is reported once if the key does not cover it`, async (t, options) => {
    const { app, request, reads, lines } = await explained(t, options, (app) => app.get('/', policy({ ignoreQuery: ['page'], ...uncovered }), async (request) => ({ read: read(request) })))
    for (let i = 0; i < 3; i++) {
      await request(path, { headers: { 'x-user': 'ada' } })
      await app.apiCache.invalidate('explained')
    }
    t.same(reads(), reported)
    t.match(lines.find(({ reads }) => reads !== undefined), { level: 40, route: 'GET /' })
  })

  test(`a handler that reads ${what} is not reported if the key covers it`, async (t, options) => {
    const { request, reads } = await explained(t, options, (app) => app.get('/', policy({ ignoreQuery: ['page'], ...covered }), async (request) => ({ read: read(request) })))
    t.equal((await request(path, { headers: { 'x-user': 'ada' } })).status, 200)
    t.same(reads(), [])
  })
}

test('a handler that sets Vary for what it reads, or Cache-Control: private, is not reported', async (t, options) => {
  const { request, reads } = await explained(t, options, (app) => {
    app.get('/vary', policy(), async (request, reply) => reply.header('vary', 'X-Lang').send(request.headers['x-lang'] ?? 'none'))
    app.get('/private', policy(), async (request, reply) => reply.header('cache-control', 'private').send({ ip: request.ip }))
  })
  await request('/vary')
  await request('/private')
  t.same(reads(), [])
})

test('a handler that reads missing credentials of an anonymous request is not reported', async (t, options) => {
  const { request, reads } = await explained(t, options, (app) => app.get('/', policy({ scope: 'anonymous' }), async (request) => [
    request.headers.authorization, request.cookies['a'], (request as { user?: unknown }).user, (request as { session?: unknown }).session
  ]))
  await request('/')
  t.same(reads(), [])
  // Somebody whom a hook knows by something else than Authorization or Cookie.
  await request('/?again', { headers: { 'x-user': 'ada' } })
  t.same(reads(), ['request.user'])
})

test('what a tags function reads does not become part of the key', async (t, options) => {
  const name = (request: FastifyRequest): string => String((request as { user?: { name: string } }).user?.name)
  const { request, reads } = await explained(t, options, (app) => app.get('/', policy({ tags: (request) => [name(request)] }), async (request) => name(request)))
  await request('/')
  t.same(reads(), ['request.user'])
})

test('what is read while a stream runs is reported, too', async (t, options) => {
  const { request, reads } = await explained(t, options, (app) => app.get('/', policy(), async (request) => Readable.from((async function * () {
    yield 'a'
    await new Promise((resolve) => { setImmediate(resolve) })
    yield request.ip
  })())))
  await request('/')
  t.same(reads(), ['request.ip'])
})

test('a handler can write to the request that it is given', async (t, options) => {
  const { request } = await explained(t, options, (app) => app.get('/', {
    ...policy(),
    onSend: async (request, _reply, payload) => `${String(payload)} ${JSON.stringify((request as { user?: unknown }).user)}`
  }, async (request) => {
    Object.assign(request, { user: 'set by the handler' })
    return 'body'
  }))
  t.equal((await request('/')).text, 'body "set by the handler"')
})

test('without explain nothing is logged or reported, and the handler gets the request itself', async (t, options) => {
  const lines: LogLine[] = []
  let seen: unknown
  let given: unknown
  const { app, request } = await serving(t, options, (app) => {
    app.addHook('preHandler', async (request) => { seen = request })
    app.get('/', policy(), async (request) => {
      given = request
      return { ip: request.ip }
    })
  }, loggingTo(lines))
  t.equal((await request('/')).headers.get('cache-status'), 'fastify-api-cache;fwd=uri-miss;stored')
  t.equal(given, seen)
  await app.apiCache.settled()
  t.match((await request('/')).headers.get('cache-status'), /^fastify-api-cache;hit;ttl=\d+$/)
  t.same(lines.filter(({ msg }) => /api cache: (HIT|MISS|the handler)/.test(msg)), [])
})
