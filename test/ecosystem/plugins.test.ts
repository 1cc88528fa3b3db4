import auth from '@fastify/auth'
import cookie from '@fastify/cookie'
import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import jwt from '@fastify/jwt'
import rateLimit from '@fastify/rate-limit'
import session from '@fastify/session'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import apiCache, { type ApiCacheOptions, type ReadPolicy } from '../../index.js'
import { patientStores } from '../support/patient-stores.js'
import { listening, type Seen } from '../support/serving.js'

const test = patientStores()

declare module 'fastify' {
  interface Session { user?: string }
}

const USERS = ['ada', 'bob', 'cleo', 'dan']
const ROUNDS = 25

type Client = (init?: RequestInit & { path?: string }) => Promise<Seen>

interface Neighbour {
  /** Registers the other plugin. */
  register: (app: FastifyInstance) => unknown
  /** What makes an answer a user's own; shared where there is nothing. */
  policy?: Partial<ReadPolicy>
  /** Hooks of the route, such as guards. */
  guard?: (app: FastifyInstance) => object
  /** What the handler answers. */
  answer: (request: FastifyRequest) => unknown
  /** How a user asks; the default is without anything. */
  init?: (user: string, client: Client) => Promise<RequestInit> | RequestInit
  /** What a user must read. */
  own: (user: string) => unknown
  /** A header that no two responses may share, or that is each user's own. */
  fresh?: (seen: Seen) => string | null
  perUser?: (seen: Seen, user: string) => boolean
  /** Requests that must be refused although the answer is stored. */
  refused?: RequestInit[]
}

const nameOf = (request: FastifyRequest): string => (request.user as { name: string }).name

const NEIGHBOURS: Record<string, Neighbour> = {
  '@fastify/cors': {
    register: (app) => app.register(cors, { origin: true, credentials: true, exposedHeaders: ['x-api-cache'] }),
    policy: { scope: 'shared' },
    answer: () => 'shared',
    own: () => 'shared',
    init: (user) => ({ headers: { origin: `http://${user}.example` } }),
    perUser: ({ headers }, user) => headers.get('access-control-allow-origin') === `http://${user}.example` && headers.get('vary') === 'Origin'
  },
  '@fastify/helmet': {
    register: (app) => app.register(helmet, { enableCSPNonces: true, contentSecurityPolicy: { directives: { defaultSrc: ["'self'"] } } }),
    policy: { scope: 'shared' },
    answer: () => 'shared',
    own: () => 'shared',
    fresh: ({ headers }) => /'nonce-(\w+)'/.exec(headers.get('content-security-policy') ?? '')?.[1] ?? null
  },
  '@fastify/rate-limit': {
    register: (app) => app.register(rateLimit, { max: 1 + 2 * ROUNDS, timeWindow: '1 hour', keyGenerator: ({ headers }) => String(headers['x-user']) }),
    policy: { scope: 'shared' },
    answer: () => 'shared',
    own: () => 'shared',
    init: (user) => ({ headers: { 'x-user': user } }),
    fresh: ({ headers }) => headers.get('x-ratelimit-remaining')
  },
  '@fastify/cookie': {
    register: (app) => app.register(cookie, { secret: 'of the test, at least so long' }),
    policy: { scope: ({ cookies }) => cookies['user']! },
    answer: ({ cookies }) => cookies['user'],
    own: (user) => user,
    init: (user) => ({ headers: { cookie: `user=${user}` } })
  },
  '@fastify/session': {
    register: async (app) => {
      await app.register(cookie)
      await app.register(session, { secret: 'of the test, and as long as it has to be', cookie: { secure: false }, saveUninitialized: false, rolling: false })
    },
    policy: { scope: ({ session }) => session.user! },
    answer: ({ session }) => session.user,
    own: (user) => user,
    init: async (user, client) => {
      const { headers } = await client({ path: `/login/${user}` })
      return { headers: { cookie: headers.get('set-cookie')!.split(';', 1)[0]! } }
    }
  },
  '@fastify/jwt': {
    register: (app) => app.register(jwt, { secret: 'of the test' }),
    policy: { scope: nameOf },
    guard: () => ({ onRequest: async (request: FastifyRequest) => { await request.jwtVerify() } }),
    answer: nameOf,
    own: (user) => user,
    init: async (user, client) => ({ headers: { authorization: `Bearer ${(await client({ path: `/token/${user}` })).text}` } }),
    refused: [{}, { headers: { authorization: 'Bearer forged' } }]
  },
  '@fastify/auth': {
    register: (app) => app.register(auth),
    policy: { scope: nameOf },
    guard: (app) => ({
      preHandler: app.auth([
        async () => { throw new Error('not this way') },
        async (request: FastifyRequest) => {
          if (!USERS.includes(String(request.headers['x-user']))) throw Object.assign(new Error('who?'), { statusCode: 401 })
          Object.assign(request, { user: { name: request.headers['x-user'] } })
        }
      ], { relation: 'or' })
    }),
    answer: nameOf,
    own: (user) => user,
    init: (user) => ({ headers: { 'x-user': user } }),
    refused: [{}, { headers: { 'x-user': 'eve' } }]
  }
}

const rows: string[] = []

for (const [name, neighbour] of Object.entries(NEIGHBOURS)) {
  for (const order of ['before', 'after'] as const) {
    test(`with ${name}, registered ${order} the plugin, each user gets its own response and each header is fresh`, async (t, options) => {
      rows.push(`${name} | ${order} | ${options.store ?? 'redis'} | ${await beside(t, options, neighbour, order)}`)
    })
  }
}

async function beside (t: Test, options: ApiCacheOptions, neighbour: Neighbour, order: 'before' | 'after'): Promise<string> {
  const { register, policy, guard, answer, own, init = () => ({}), fresh, perUser, refused = [] } = neighbour
  let runs = 0
  const app = Fastify()
  if (order === 'before') await register(app)
  await app.register(apiCache, options)
  if (order === 'after') await register(app)
  const { request } = await listening(t, app, (app) => {
    if (app.hasDecorator('jwt')) app.get('/token/:user', async ({ params }) => app.jwt.sign({ name: (params as { user: string }).user }))
    app.get('/login/:user', async (request) => {
      request.session.user = (request.params as { user: string }).user
      return 'in'
    })
    app.get('/', { ...guard?.(app), config: { cache: { namespace: 'beside', expire: 60, ...policy } } }, async (request) => {
      runs++
      return { answer: answer(request) }
    })
  })
  const client: Client = ({ path = '/', ...init } = {}) => request(path, init)
  const callers = await Promise.all(USERS.map(async (user) => ({ user, init: await init(user, client), seen: new Set<string>() })))
  let owned = 0
  let hits = 0
  let refusals = 0
  let freshHeaders = 0
  let cookies = 0
  const seen = new Set<string>()
  for (let round = 0; round < ROUNDS; round++) {
    for (const caller of callers) {
      const got = await request('/', caller.init)
      if (got.text === JSON.stringify({ answer: own(caller.user) })) owned++
      if (got.cache === 'HIT') hits++
      if (got.headers.get('set-cookie') !== null) cookies++
      const header = fresh?.(got)
      if (header != null && !caller.seen.has(header)) freshHeaders++
      if (header != null) caller.seen.add(header)
      if (header != null) seen.add(header)
      if (perUser?.(got, caller.user)) freshHeaders++
      await app.apiCache.settled()
    }
    for (const stranger of refused) if ((await request('/', stranger)).status === 401) refusals++
  }
  const requests = ROUNDS * USERS.length
  t.equal(owned, requests, 'own answers')
  t.equal(hits, requests - runs, 'all but the fills were HITs')
  t.equal(runs, typeof policy?.scope === 'function' ? USERS.length : 1, 'a fill for each scope')
  t.equal(cookies, 0, 'no Set-Cookie came from the cache')
  t.equal(refusals, ROUNDS * refused.length, 'strangers were refused')
  if (fresh !== undefined || perUser !== undefined) t.equal(freshHeaders, requests, 'fresh headers')
  return `${requests} | ${owned} | ${hits} | ${fresh ?? perUser ? freshHeaders : '-'} | ${refused.length > 0 ? refusals : '-'}`
}

test('a rate limit counts HITs and refuses those above it', async (t, options) => {
  for (const order of ['before', 'after']) {
    const app = Fastify()
    const limit = (): unknown => app.register(rateLimit, { max: 5, timeWindow: '1 hour' })
    if (order === 'before') await limit()
    await app.register(apiCache, options)
    if (order === 'after') await limit()
    const { request } = await listening(t, app, (app) => app.get('/', { config: { cache: { namespace: 'limited', expire: 60 } } }, async () => 'body'))
    await app.apiCache.invalidate('limited')
    const statuses: number[] = []
    for (let i = 0; i < 7; i++) {
      statuses.push((await request('/')).status)
      await app.apiCache.settled()
    }
    t.same(statuses, [200, 200, 200, 200, 200, 429, 429])
    t.equal(app.apiCache.stats().hits, 4)
  }
})

test('an expired token is refused although the response is stored', async (t, options) => {
  const app = Fastify()
  await app.register(apiCache, options)
  await app.register(jwt, { secret: 'of the test' })
  const { request } = await listening(t, app, (app) => app.get('/', {
    onRequest: async (request) => { await request.jwtVerify() },
    config: { cache: { namespace: 'expiring', expire: 60, scope: nameOf } }
  }, async (request) => nameOf(request)))
  const bearer = (iat: number): RequestInit => ({ headers: { authorization: `Bearer ${app.jwt.sign({ name: 'ada', iat }, { expiresIn: '1 minute' })}` } })
  const now = Math.floor(Date.now() / 1000)
  t.match(await request('/', bearer(now)), { status: 200, text: 'ada' })
  await app.apiCache.settled()
  t.match(await request('/', bearer(now)), { status: 200, cache: 'HIT' })
  t.match(await request('/', bearer(now - 3_600)), { status: 401, cache: null })
})

test('a response is not stored if the handler changes the session', async (t, options) => {
  const app = Fastify()
  await app.register(apiCache, options)
  await app.register(cookie)
  await app.register(session, { secret: 'of the test, and as long as it has to be', cookie: { secure: false }, saveUninitialized: false })
  const { request } = await listening(t, app, (app) => app.get('/:user', { config: { cache: { namespace: 'sessions', expire: 60, scope: 'shared', key: () => 'one' } } }, async (request) => {
    request.session.user = (request.params as { user: string }).user
    return request.session.user
  }))
  const cookies = new Set<string | null>()
  for (const user of USERS) {
    const seen = await request(`/${user}`)
    t.match(seen, { cache: 'MISS', text: user })
    cookies.add(seen.headers.get('set-cookie'))
  }
  t.equal(cookies.size, USERS.length)
  t.equal(app.apiCache.stats().stored, 0)
})

t.teardown(() => {
  t.comment('plugin | registered | store | requests | own answers | HITs | fresh headers | strangers refused')
  for (const row of rows) t.comment(row)
})
