import { initTRPC } from '@trpc/server'
import { fastifyTRPCPlugin, type CreateFastifyContextOptions, type FastifyTRPCPluginOptions } from '@trpc/server/adapters/fastify'
import type { FastifyReply, FastifyRequest } from 'fastify'
import mercurius from 'mercurius'
import t from 'tap'
import type { ReadPolicy } from '../../index.js'
import { eachStore } from '../support/each-store.js'
import { keysOf, serving } from '../support/serving.js'

const test = eachStore()

const policy: ReadPolicy & { key: () => string } = { namespace: 'values', expire: 60, scope: 'shared', key: () => 'top' }
const asUser = (user: string): RequestInit => ({ headers: { 'x-user': user } })
const userOf = ({ headers }: FastifyRequest): string => String(headers['x-user'])

test('what the handler makes of a cached value, it makes on every HIT', async (t, options) => {
  let runs = 0
  const { app, request } = await serving(t, options, (app) => app.get('/', async (request, reply) => {
    const value = await reply.cachedValue(policy, () => ({ run: ++runs, list: [1, null, 'a'] }))
    return Object.assign(value, { for: userOf(request) })
  }))
  for (const [user, cache] of [['ada', 'MISS'], ['bob', 'HIT'], ['cleo', 'HIT']] as const) {
    const seen = await request('/', asUser(user))
    t.same(JSON.parse(seen.text), { run: 1, list: [1, null, 'a'], for: user })
    t.equal(seen.cache, cache)
    await app.apiCache.settled()
  }
  await app.apiCache.invalidate('values')
  t.match(await request('/', asUser('ada')), { cache: 'MISS', text: /"run":2/ })
})

class Instance { readonly secret = 'kept out' }

const VALUES: Record<string, readonly [value: unknown, isKept: boolean]> = {
  'a text': ['text', true],
  'a number': [1.5, true],
  null: [null, true],
  nothing: [undefined, true],
  'a list': [[1, [true]], true],
  'an object without prototype': [Object.assign(Object.create(null), { a: 1 }), true],
  'a date': [new Date(0), false],
  'an object with a date': [{ at: new Date(0) }, false],
  'an instance of a class': [new Instance(), false],
  'a list of instances': [[new Instance()], false],
  bytes: [Buffer.from('bytes'), false],
  'a number that JSON does not have': [[NaN], false],
  'a negative zero': [[-0], false],
  'a list with a gap': [[undefined], false],
  'a map': [new Map([[1, 2]]), false],
  'a big number': [{ n: 1n }, false]
}

for (const [what, [value, isKept]] of Object.entries(VALUES)) {
  test(`${what} is ${isKept ? 'kept, and equal on a HIT' : 'not kept, as JSON would give back something else'}`, async (t, options) => {
    const seen: unknown[] = []
    const { app, request } = await serving(t, options, (app) => app.get('/', async (_request, reply) => {
      seen.push(await reply.cachedValue(policy, () => value))
      return 'answer'
    }))
    t.match(await request('/'), { status: 200, cache: 'MISS', text: 'answer' })
    await app.apiCache.settled()
    t.match(await request('/'), { status: 200, cache: isKept ? 'HIT' : 'MISS', text: 'answer' })
    t.same(seen[1], value)
    t.equal((await keysOf(app, 'values')).length, isKept ? 1 : 0)
  })
}

const TOUCHES: Record<string, (reply: FastifyReply) => unknown> = {
  'a header': (reply) => reply.header('x-own', 'own'),
  'a status': (reply) => reply.code(203),
  'a cookie': (reply) => reply.header('set-cookie', 'a=1'),
  'a removed header': (reply) => reply.removeHeader('x-hook')
}

for (const [what, touch] of Object.entries(TOUCHES)) {
  test(`a value that comes with ${what} is not kept, as that would be missing on a HIT`, async (t, options) => {
    const { app, request } = await serving(t, options, (app) => {
      app.addHook('onRequest', async (_request, reply) => { reply.header('x-hook', 'hook') })
      app.get('/', async (_request, reply) => reply.cachedValue(policy, () => { touch(reply); return 1 }))
    })
    for (let round = 0; round < 2; round++) {
      t.match(await request('/'), { cache: 'MISS', text: '1' })
      await app.apiCache.settled()
    }
  })
}

test('cookies and Cache-Control that hooks have set do not keep a value from being kept', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => {
    app.addHook('onRequest', async (_request, reply) => { reply.header('set-cookie', 'a=1').header('cache-control', 'no-store') })
    app.get('/', async (_request, reply) => reply.cachedValue(policy, () => 1))
  })
  for (const cache of ['MISS', 'HIT']) {
    t.match(await request('/'), { cache, text: '1' })
    await app.apiCache.settled()
  }
})

test('several values of one response, made at the same time, are kept apart; the route may have a policy, too', async (t, options) => {
  let runs = 0
  const both = async (reply: FastifyReply): Promise<unknown> => Promise.all(['a', 'b'].map((key) =>
    reply.cachedValue({ ...policy, key: () => key }, async () => { await new Promise((resolve) => { setImmediate(resolve) }); return { key, run: ++runs } })))
  const { app, request } = await serving(t, options, (app) => {
    app.get('/', async (_request, reply) => both(reply))
    app.get('/door', { config: { cache: { namespace: 'door', expire: 60 } } }, async (_request, reply) => both(reply))
  })
  const text = '[{"key":"a","run":1},{"key":"b","run":2}]'
  for (const cache of ['MISS', 'HIT']) {
    t.match(await request('/'), { cache, text })
    await app.apiCache.settled()
  }
  for (const cache of ['MISS', 'HIT']) {
    t.match(await request('/door'), { status: 200, cache, text: /"run":4/ })
    await app.apiCache.settled()
  }
})

test('an error of the function is not kept', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => app.get('/', async (_request, reply) =>
    reply.cachedValue(policy, () => { throw new Error('no') })))
  for (let round = 0; round < 2; round++) {
    t.match(await request('/'), { status: 500, cache: 'MISS' })
    await app.apiCache.settled()
  }
})

t.test('a policy without a key is an error', async (t) => {
  const { request } = await serving(t, { store: 'memory' }, (app) => app.get('/', async (_request, reply) =>
    reply.cachedValue({ namespace: 'values', expire: 60 }, () => 1)))
  t.match(JSON.parse((await request('/')).text), { code: 'FST_API_CACHE_MISSING_FIELD', message: /needs a key that tells the value from others/ })
})

test('procedures of tRPC cache their results behind their middleware, also in a batch and for POST', async (t, options) => {
  let runs = 0
  const trpc = initTRPC.context<CreateFastifyContextOptions>().create()
  const guarded = trpc.procedure.use(({ ctx, next }) => {
    if (ctx.req.headers['x-user'] === undefined) throw new Error('nobody')
    return next()
  })
  const router = trpc.router({
    users: guarded.query(({ ctx }) => ctx.res.cachedValue({ ...policy, key: () => 'users' }, () => ({ run: ++runs }))),
    posts: guarded.query(({ ctx }) => ctx.res.cachedValue({ ...policy, key: () => 'posts' }, () => ({ run: ++runs }))),
    open: trpc.procedure.query(() => 'open')
  })
  const { app, request } = await serving(t, options, (app) => app.register(fastifyTRPCPlugin, {
    prefix: '/trpc',
    trpcOptions: { router, createContext: (given: CreateFastifyContextOptions) => given } satisfies FastifyTRPCPluginOptions<typeof router>['trpcOptions']
  }))
  const ask = async (path: string, init?: RequestInit): Promise<unknown> => {
    const { text } = await request(path, init)
    await app.apiCache.settled()
    return JSON.parse(text)
  }
  const first = { result: { data: { run: 1 } } }
  t.same(await ask('/trpc/users', asUser('ada')), first)
  t.match(await ask('/trpc/users'), { error: { message: 'nobody' } })
  t.same(await ask('/trpc/users', asUser('bob')), first)
  const second = { result: { data: { run: 2 } } }
  const batch = '/trpc/users,open,posts?batch=1'
  t.same(await ask(batch, asUser('bob')), [first, { result: { data: 'open' } }, second])
  t.same(await ask(batch, asUser('ada')), [first, { result: { data: 'open' } }, second])
  t.match(await ask(batch), [{ error: {} }, { result: { data: 'open' } }, { error: {} }])
  t.equal(runs, 2)
})

test('resolvers of GraphQL cache their results, for each caller what it asked for', async (t, options) => {
  let runs = 0
  const { app, request } = await serving(t, options, (app) => app.register(mercurius, {
    schema: 'type User { id: Int, name: String } type Query { users: [User], me: String }',
    context: (request, reply) => ({ request, reply }),
    resolvers: {
      Query: {
        users: async (_root, _args, { reply }) => reply.cachedValue(policy, () => [{ id: ++runs, name: 'Ada' }]),
        me: (_root, _args, { reply }) => userOf(reply.request)
      }
    }
  }))
  const ask = async (query: string, user: string): Promise<unknown> => {
    const { text } = await request('/graphql', {
      method: 'POST', headers: { 'content-type': 'application/json', 'x-user': user }, body: JSON.stringify({ query })
    })
    await app.apiCache.settled()
    return JSON.parse(text)
  }
  t.same(await ask('{ users { id } me }', 'ada'), { data: { users: [{ id: 1 }], me: 'ada' } })
  t.same(await ask('{ users { name } me }', 'bob'), { data: { users: [{ name: 'Ada' }], me: 'bob' } })
  t.equal(runs, 1)
})

t.test('fields for stale entries are refused for a value, and those of the plugin have no effect on it', async (t) => {
  const base = { namespace: 'values', key: () => 'value', expire: 1 }
  for (const [field, value] of Object.entries({
    earlyRefresh: true, staleWhileRevalidate: '1h', staleIfError: '1h', softTimeout: 10, refreshWith: 'inject'
  } as const)) {
    const { request } = await serving(t, { store: 'memory' }, (app) => {
      app.get('/', async (_request, reply) => await reply.cachedValue({ ...base, [field]: value }, () => 'made'))
    })
    t.match(await request('/'), { status: 500, text: new RegExp(`'${field}' must be left out, as a value is made anew`) })
  }
  let runs = 0
  const { app, request } = await serving(t, { store: 'memory', staleWhileRevalidate: '1h', staleIfError: '1h' }, (app) => {
    app.get('/', async (_request, reply) => await reply.cachedValue(base, () => ({ run: ++runs })))
  })
  await request('/')
  await app.apiCache.settled()
  await new Promise((resolve) => { setTimeout(resolve, 1_050) })
  t.match(await request('/'), { cache: 'MISS', text: '{"run":2}' })
})
