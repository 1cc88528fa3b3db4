import { mkdir, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import autoload from '@fastify/autoload'
import cookie from '@fastify/cookie'
import session from '@fastify/session'
import fastifyStatic from '@fastify/static'
import { TypeBoxValidatorCompiler, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { initTRPC } from '@trpc/server'
import { fastifyTRPCPlugin } from '@trpc/server/adapters/fastify'
import Fastify, { type FastifyInstance, type FastifyPluginCallback, type FastifyReply } from 'fastify'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import t, { type Test } from 'tap'
import { Type } from 'typebox'
import { z } from 'zod'
import apiCache, { type ApiCacheOptions, type ReadPolicy } from '../../index.js'
import { ask } from '../http/ask.js'
import { eachStore } from '../support/each-store.js'
import { loggingTo, type LogLine } from '../support/log.js'
import { listening, type Serving } from '../support/serving.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { socketSays } from '../support/web-socket.js'

const test = eachStore()

/** Plugins whose types would change those of all other tests. */
const untyped = (name: string): FastifyPluginCallback<object> => createRequire(__filename)(name) as FastifyPluginCallback<object>
const acceptsSerializer = untyped('@fastify/accepts-serializer')
const caching = untyped('@fastify/caching')
const sse = untyped('@fastify/sse')
const websocket = untyped('@fastify/websocket')

interface Socket { send (message: string): void }

const cache: ReadPolicy = { namespace: 'neighbours', expire: 60, scope: 'shared' }
const config = { cache }

type Register = (app: FastifyInstance) => unknown

/** An application with the other plugin before ours, or after it. */
async function beside (t: Test, options: ApiCacheOptions, order: string, other: Register, declare: Register): Promise<Serving> {
  const app = Fastify()
  if (order === 'before') await other(app)
  await app.register(apiCache, options)
  if (order === 'after') await other(app)
  return await listening(t, app, declare)
}

const ORDERS = ['before', 'after']

const useSession: Register = async (app) => {
  await app.register(cookie)
  await app.register(session, { secret: 'of the test, and as long as it has to be', cookie: { secure: false } })
}

for (const order of ORDERS) {
  test(`@fastify/session ${order} ours sets its cookie on each HIT, where the policy says that it makes nothing private`, async (t, options) => {
    const { app, request } = await beside(t, options, order, useSession, (app) =>
      app.get('/', { config: { cache: { ...cache, ignoreSetCookie: ['sessionId'] } } }, async () => 'shared'))
    const cookies = new Set<string | null>()
    for (const cache of ['MISS', 'HIT', 'HIT']) {
      const { headers, ...seen } = await request('/')
      t.match(seen, { cache, text: 'shared' })
      cookies.add(headers.get('set-cookie'))
      t.match(headers.get('set-cookie'), /^sessionId=/)
      await app.apiCache.settled()
    }
    t.equal(cookies.size, 3, 'each caller has its own')
  })
}

test('a cookie that is not named forbids storing the response, beside one that is', async (t, options) => {
  const { app, request } = await beside(t, options, 'before', useSession, (app) =>
    app.get('/', { config: { cache: { ...cache, ignoreSetCookie: ['sessionId'] } } }, async (_request, reply) => reply.setCookie('own', '1').send('mine')))
  for (let round = 0; round < 2; round++) {
    t.match(await request('/'), { cache: 'MISS' })
    await app.apiCache.settled()
  }
})

t.test('that cookies keep a route cold is logged once, with their names only', async (t) => {
  const lines: LogLine[] = []
  const app = Fastify(loggingTo(lines))
  await useSession(app)
  await app.register(apiCache, { store: 'memory' })
  const { request } = await listening(t, app, (app) => app.get('/', { config }, async () => 'shared'))
  const values: string[] = []
  for (let round = 0; round < 3; round++) values.push((await request('/')).headers.get('set-cookie')!.split(/[=;]/)[1]!)
  const logged = lines.filter(({ msg }) => msg.includes('as it sets cookies'))
  t.match(logged, [{ route: 'GET /', cookies: ['sessionId'], msg: /name those in ignoreSetCookie/ }])
  t.equal(logged.length, 1)
  for (const value of values) t.notOk(JSON.stringify(lines).includes(value))
})

for (const order of ORDERS) {
  for (const [privacy, isStored, said] of [['public', true, 'public, max-age=300'], ['private', false, 'private, max-age=300'], ['no-cache', false, 'no-cache']] as const) {
    test(`@fastify/caching ${order} ours: its default '${privacy}' leaves, and ${isStored ? 'allows' : 'forbids'} storing`, async (t, options) => {
      const { app, request } = await beside(t, options, order, (app) => app.register(caching, { privacy, expiresIn: 300 } as object), (app) => app.get('/', { config }, async () => 'a'))
      for (const cache of ['MISS', isStored ? 'HIT' : 'MISS']) {
        const seen = await request('/')
        t.match(seen, { cache, text: 'a' })
        t.equal(seen.headers.get('cache-control'), said)
        await app.apiCache.settled()
      }
    })
  }
}

for (const [what, late] of Object.entries({
  'an onSend hook of the instance': (app: FastifyInstance, hook: never) => { app.addHook('onSend', hook) },
  'an onSend hook that onRoute gives the route': (app: FastifyInstance, hook: never) => {
    app.addHook('onRoute', (route) => { route.onSend = [...[route.onSend ?? []].flat(), hook] })
  }
})) {
  test(`a default Cache-Control of ${what} goes before ours; a late no-store counts`, async (t, options) => {
    for (const [said, isStored] of [['max-age=7', true], ['no-store', false]] as const) {
      const hook = async (_request: unknown, reply: { hasHeader(name: string): boolean, header(name: string, value: string): unknown }): Promise<void> => {
        if (!reply.hasHeader('cache-control')) reply.header('cache-control', said)
      }
      const { app, request } = await beside(t, { ...options, prefix: said.slice(0, 2) }, 'after', (app) => late(app, hook as never), (app) => app.get('/', { config }, async () => 'a'))
      for (const cache of ['MISS', isStored ? 'HIT' : 'MISS']) {
        const seen = await request('/')
        t.same([seen.cache, seen.headers.get('cache-control')], [cache, said])
        await app.apiCache.settled()
      }
    }
  })
}

test('a file of reply.sendFile that is not stored is answered as without the cache: whole, in part, or not at all', async (t, options) => {
  const root = await temporaryFolder(t)
  await writeFile(join(root, 'small'), '0123456789')
  await writeFile(join(root, 'large'), Buffer.alloc(300_000, '0123456789'))
  const plain = await listening(t, Fastify().register(fastifyStatic, { root, serve: false }) as unknown as FastifyInstance, (app) =>
    app.get('/:file', (request, reply) => reply.sendFile((request.params as { file: string }).file)))
  for (const file of ['small', 'large']) {
    const { headers: { etag, 'last-modified': date } } = await ask(`${plain.origin}/${file}`)
    const asked: Array<Record<string, string>> = [
      {}, { 'if-none-match': etag! }, { 'if-modified-since': date! }, { range: 'bytes=2-4' }, { range: 'bytes=-3' }, { range: 'bytes=7-' },
      { range: 'bytes=900000-' }, { range: 'bytes=2-4', 'if-none-match': etag! }, { range: 'lines=1-2' }
    ]
    for (const headers of asked) {
      // Its default Cache-Control, max-age=0, forbids storing; the large one is too large as well.
      const { app, origin } = await beside(t, { ...options, maxBytes: 1_000, prefix: String(Math.random()) }, 'before', (app) => app.register(fastifyStatic, { root, serve: false }), (app) =>
        app.get('/:file', { config }, (request, reply) => reply.sendFile((request.params as { file: string }).file)))
      const expected = await ask(`${plain.origin}/${file}`, headers)
      for (let round = 0; round < 3; round++) {
        const seen = await ask(`${origin}/${file}`, headers)
        t.same([seen.status, seen.headers['content-range']], [expected.status, expected.headers['content-range']], `${file} ${JSON.stringify(headers)}`)
        if (seen.status !== 416) t.equal(seen.text, expected.text)
        await app.apiCache.settled()
      }
      await app.close()
    }
  }
})

test('a handler that answers 206 itself is left to do so when it is not stored', async (t, options) => {
  const { app, request } = await beside(t, options, 'before', () => {}, (app) => app.get('/', { config }, async ({ headers }, reply) => {
    reply.header('cache-control', 'no-store').header('etag', '"own"')
    if (headers.range === undefined) return 'whole'
    return reply.code(206).header('content-range', 'bytes 0-1/5').send('wh')
  }))
  for (let round = 0; round < 3; round++) {
    const seen = await request('/', { headers: { range: 'bytes=0-1' } })
    t.match(seen, { status: 206, text: 'wh' })
    t.equal(seen.headers.get('content-range'), 'bytes 0-1/5')
    await app.apiCache.settled()
  }
})

for (const order of ORDERS) {
  test(`@fastify/websocket ${order} ours: sockets open, and HTTP of the same route is cached`, async (t, options) => {
    const { app, origin, request } = await beside(t, options, order, (app) => app.register(websocket), (app) => {
      app.route({ method: 'GET', url: '/both', config, handler: async () => 'http', wsHandler: (socket: Socket) => { socket.send('socket') } } as never)
      app.get('/socket', { config, websocket: true } as never, ((socket: Socket) => { socket.send('socket') }) as never)
      app.get('/http', { config }, async () => 'http')
    })
    for (const cache of ['MISS', 'HIT']) {
      t.match(await request('/both'), { status: 200, cache, text: 'http' })
      t.match(await request('/http'), { status: 200, cache, text: 'http' })
      t.match(await request('/socket'), { status: 404, cache: null })
      await app.apiCache.settled()
      t.same(await socketSays(`${origin}/both`), ['socket', 1005])
      t.same(await socketSays(`${origin}/socket`), ['socket', 1005])
      t.same(await socketSays(`${origin}/http`), [1005])
    }
  })

  test(`@fastify/sse ${order} ours: events go to who asks for them, and the other answer of the route is cached`, async (t, options) => {
    const { app, request } = await beside(t, options, order, (app) => app.register(sse), (app) => app.get('/', { config, sse: 'dual' } as never, async ({ headers }, reply: FastifyReply & { sse?: { send(event: object): Promise<void> } }) => {
      if (headers.accept !== 'text/event-stream') return { json: true }
      await reply.sse!.send({ data: 'event' })
    }))
    for (const cache of ['MISS', 'HIT']) {
      t.match(await request('/', { headers: { accept: 'application/json' } }), { status: 200, cache, text: '{"json":true}' })
      t.match(await request('/', { headers: { accept: 'text/event-stream' } }), { status: 200, type: 'text/event-stream', text: 'data: "event"\n\n' })
      await app.apiCache.settled()
    }
  })
}

test('the policy of a route for several methods holds for GET and HEAD', async (t, options) => {
  let runs = 0
  const answer = (): unknown => ({ run: ++runs })
  const { app, request } = await beside(t, options, 'before', () => {}, (app) => {
    app.all('/all', { config }, async () => answer())
    app.route({ method: ['GET', 'POST'], url: '/two', config: { cache: { ...cache, serveFrom: 'onRequest' } }, handler: async () => answer() })
  })
  for (const path of ['/all', '/two']) {
    runs = 0
    const expected = [['POST', null, 1], ['GET', 'MISS', 2], ['GET', 'HIT', 2], ['POST', null, 3], ['GET', 'HIT', 2]] as const
    for (const [method, cache, run] of expected) {
      t.match(await request(path, { method }), { status: 200, cache, text: `{"run":${run}}` }, `${method} ${path}`)
      await app.apiCache.settled()
    }
    t.match(await request(path, { method: 'HEAD' }), { status: 200, cache: 'HIT' })
  }
})

test('queries of tRPC are cached by a policy on its routes, and its mutations are not', async (t, options) => {
  let runs = 0
  const { procedure, router } = initTRPC.create()
  const routes = router({ read: procedure.query(() => ({ run: ++runs })), write: procedure.mutation(() => ({ run: ++runs })) })
  const app = Fastify()
  // The plugin takes no config for its routes.
  app.addHook('onRoute', (route) => { if (route.url.startsWith('/trpc')) route.config = { ...route.config, cache } })
  await app.register(apiCache, options)
  await app.register(fastifyTRPCPlugin, { prefix: '/trpc', trpcOptions: { router: routes } })
  const { request } = await listening(t, app)
  for (const cache of ['MISS', 'HIT']) {
    t.match(await request('/trpc/read'), { status: 200, cache, text: '{"result":{"data":{"run":1}}}' })
    await app.apiCache.settled()
  }
  for (const run of [2, 3]) t.match(await request('/trpc/write', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }), { status: 200, cache: null, text: `{"result":{"data":{"run":${run}}}}` })
})

const PACKED = { serializers: [{ regex: /^application\/x-packed$/, serializer: (body: unknown) => `packed:${JSON.stringify(body)}` }], default: 'application/json' }

test('@fastify/accepts-serializer: what a hook chose is stored only where the policy says by what', async (t, options) => {
  const { app, request } = await beside(t, options, 'before', (app) => app.register(acceptsSerializer, PACKED), (app) => {
    app.get('/plain', { config }, async () => ({ any: 1 }))
    app.get('/varies', { config: { cache: { ...cache, vary: ['accept'] } } }, async () => ({ any: 1 }))
  })
  for (const cached of ['MISS', 'HIT']) {
    for (const [path, cache] of [['/plain', 'MISS'], ['/varies', cached]] as const) {
      t.match(await request(path, { headers: { accept: 'application/x-packed' } }), { cache, text: 'packed:{"any":1}', type: 'application/x-packed' })
      await app.apiCache.settled()
      t.match(await request(path, { headers: { accept: 'application/json' } }), { text: '{"any":1}', cache: path === '/plain' ? cached : cache })
      await app.apiCache.settled()
    }
  }
})

test('Zod and TypeBox validate, coerce and serialize, and the key is made of what they let through', async (t, options) => {
  const { app, request } = await beside(t, options, 'before', () => {}, async (app) => {
    await app.register(async (child) => {
      const zod = child.withTypeProvider<ZodTypeProvider>()
      zod.setValidatorCompiler(validatorCompiler)
      zod.setSerializerCompiler(serializerCompiler)
      zod.get('/zod', {
        config, schema: { querystring: z.object({ limit: z.coerce.number().default(10) }), response: { 200: z.object({ limit: z.number() }) } }
      }, async ({ query }) => ({ limit: query.limit, secret: true }))
    })
    await app.register(async (child) => {
      const typebox = child.withTypeProvider<TypeBoxTypeProvider>()
      typebox.setValidatorCompiler(TypeBoxValidatorCompiler)
      typebox.get('/typebox', {
        config, schema: { querystring: Type.Object({ limit: Type.String({ default: '10' }) }), response: { 200: Type.Object({ limit: Type.String() }) } }
      }, async ({ query }) => ({ limit: query.limit, secret: true }))
    })
  })
  for (const [path, text] of [['/zod', '{"limit":10}'], ['/typebox', '{"limit":"10"}']] as const) {
    t.match(await request(`${path}?limit=10`), { status: 200, cache: 'MISS', text })
    await app.apiCache.settled()
    t.match(await request(`${path}?limit=10&undeclared=1`), { status: 200, text })
    t.match(await request(`${path}?limit=10`), { status: 200, cache: 'HIT', text })
    t.notMatch(await request(`${path}?limit=11`), { cache: 'HIT' })
  }
  t.match(await request('/zod?limit=ten'), { status: 400, cache: null })
})

test('@fastify/autoload declares routes that are cached', async (t, options) => {
  const folder = await temporaryFolder(t)
  await mkdir(join(folder, 'cats'))
  await writeFile(join(folder, 'cats', 'index.cjs'), `module.exports = async (app) => {
    app.get('/', { config: { cache: ${JSON.stringify(cache)} } }, async () => 'cats')
  }`)
  const { app, request } = await beside(t, options, 'before', () => {}, (app) => app.register(autoload, { dir: folder }))
  for (const cache of ['MISS', 'HIT']) {
    t.match(await request('/cats'), { status: 200, cache, text: 'cats' })
    await app.apiCache.settled()
  }
})

test('in a build() that awaits nothing, the routes of plugins are cached', async (t, options) => {
  function build (): FastifyInstance {
    const app = Fastify()
    app.register(apiCache, options)
    app.register(async (app) => { app.get('/read', { config }, async () => 'read') })
    app.register((app, _options, done) => { app.post('/write', { config: { cache: { invalidate: 'neighbours' } } }, async () => 'written'); done() })
    return app
  }
  const { app, request } = await listening(t, build())
  for (const cache of ['MISS', 'HIT']) {
    t.match(await request('/read'), { status: 200, cache })
    await app.apiCache.settled()
  }
  t.match(await request('/write', { method: 'POST' }), { status: 200 })
  t.match(await request('/read'), { cache: 'MISS' })
})
