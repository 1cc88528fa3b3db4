import { mkdir, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import autoload from '@fastify/autoload'
import cookie from '@fastify/cookie'
import session from '@fastify/session'
import fastifyStatic from '@fastify/static'
import swagger from '@fastify/swagger'
import { TypeBoxValidatorCompiler, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { initTRPC, TRPCError } from '@trpc/server'
import { fastifyTRPCPlugin } from '@trpc/server/adapters/fastify'
import Fastify, { type FastifyInstance, type FastifyPluginCallback, type FastifyReply } from 'fastify'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import type { Test } from 'tap'
import { Type } from 'typebox'
import { z } from 'zod'
import apiCache, { type ApiCacheOptions, type ReadPolicy } from '../../index.js'
import { ask, cached, type Answered } from '../http/ask.js'
import { patientStores } from '../support/patient-stores.js'
import { listening } from '../support/serving.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { socketSays } from '../support/web-socket.js'

/*
 * Other plugins as their READMEs register them. Each application is asked the same as one without our
 * plugin, several times, and has to answer the same.
 */

const test = patientStores()

/** Plugins whose types would change those of all other tests. */
const untyped = (name: string): FastifyPluginCallback<Record<string, unknown>> => createRequire(__filename)(name) as FastifyPluginCallback<Record<string, unknown>>

type Config = { cache?: ReadPolicy }

interface Asked {
  readonly path: string
  readonly method?: string
  readonly headers?: Record<string, string>
}

interface Neighbour {
  /** Registers the other plugin. */
  use? (app: FastifyInstance, config: Config, folder: string): unknown
  declare (app: FastifyInstance, config: Config): unknown
  /** In this order, each three times. */
  readonly asked: readonly Asked[]
  /** What clients of a WebSocket ask. */
  readonly sockets?: readonly string[]
  readonly policy?: Partial<ReadPolicy>
  /** In which orders it may stand to ours; default: both. */
  readonly orders?: readonly string[]
  /** Whether nothing of it can be stored. */
  readonly isCold?: true
}

const paths = (...paths: string[]): Asked[] => paths.flatMap((path) => [{ path }, { path, method: 'HEAD' }])
const accepting = (path: string, ...accepts: string[]): Asked[] => accepts.map((accept) => ({ path, headers: { accept } }))

const TOMORROW = new Date(Date.now() + 86_400_000).toUTCString()
const CONDITIONS: Array<Record<string, string>> = [
  {}, { 'if-none-match': '*' }, { 'if-none-match': '"other"' }, { 'if-modified-since': TOMORROW }, { 'if-match': '"other"' },
  { 'if-unmodified-since': new Date(0).toUTCString() }, { range: 'bytes=2-4' }, { range: 'bytes=-3' }, { range: 'bytes=7-' },
  { range: 'bytes=900000-' }, { range: 'lines=1-2' }, { range: 'bytes=0-1,3-4' }, { range: 'bytes=0-1', 'if-range': '"other"' },
  { range: 'bytes=0-1', 'if-range': TOMORROW }, { range: 'bytes=0-1', 'if-none-match': '*' }
]
const conditions = (...paths: string[]): Asked[] =>
  paths.flatMap((path) => ['GET', 'HEAD'].flatMap((method) => CONDITIONS.map((headers) => ({ path, method, headers }))))

const query = z.object({ limit: z.coerce.number().default(10), tags: z.array(z.string()).optional() })

const NEIGHBOURS: Record<string, Neighbour> = {
  '@fastify/session': {
    async use (app) {
      await app.register(cookie)
      await app.register(session, { secret: 'of the test, and as long as it has to be', cookie: { secure: false } })
    },
    declare: (app, config) => app.get('/', { config }, async () => 'a'),
    policy: { ignoreSetCookie: ['sessionId'] },
    asked: paths('/')
  },
  '@fastify/session, whose cookies are not named': {
    async use (app) {
      await app.register(cookie)
      await app.register(session, { secret: 'of the test, and as long as it has to be', cookie: { secure: false } })
    },
    declare: (app, config) => app.get('/', { config }, async () => 'a'),
    asked: paths('/'),
    isCold: true
  },
  '@fastify/caching': {
    use: (app) => app.register(untyped('@fastify/caching')),
    declare (app, config) {
      app.get('/', { config }, async () => 'a')
      app.get('/tagged', { config }, async (_request, reply) => { (reply as FastifyReply & { etag (tag: string): void }).etag('"own"'); return 'a' })
      app.get('/old', { config }, async (_request, reply) => { (reply as FastifyReply & { expires (date: Date): void }).expires(new Date(0)); return 'a' })
    },
    asked: [...paths('/', '/tagged', '/old'), { path: '/tagged', headers: { 'if-none-match': '"own"' } }]
  },
  '@fastify/caching with a default for clients': {
    use: (app) => app.register(untyped('@fastify/caching'), { privacy: 'public', expiresIn: 300 }),
    declare: (app, config) => app.get('/', { config }, async () => 'a'),
    asked: paths('/')
  },
  '@fastify/static': {
    use: (app, _config, root) => app.register(fastifyStatic, { root, serve: false }),
    declare: (app, config) => app.get<{ Params: { file: string } }>('/:file', { config }, ({ params }, reply) => reply.sendFile(params.file)),
    asked: conditions('/small.txt', '/large.bin', '/empty.txt', '/missing', '/cats'),
    isCold: true
  },
  '@fastify/static without Cache-Control': {
    use: (app, _config, root) => app.register(fastifyStatic, { root, serve: false, cacheControl: false }),
    declare: (app, config) => app.get<{ Params: { file: string } }>('/:file', { config }, ({ params }, reply) => reply.download(params.file)),
    asked: paths('/small.txt', '/large.bin', '/empty.txt', '/missing')
  },
  '@fastify/websocket': {
    use: (app) => app.register(untyped('@fastify/websocket')),
    declare (app, config) {
      const wsHandler = (socket: { send (message: string): void }): void => { socket.send('socket') }
      app.route({ method: 'GET', url: '/both', config, handler: async () => 'http', wsHandler } as never)
      app.get('/socket', { config, websocket: true } as never, wsHandler as never)
      app.get('/http', { config }, async () => 'http')
    },
    asked: [...paths('/both', '/socket', '/http'), { path: '/both', method: 'POST' }],
    sockets: ['/both', '/socket', '/http', '/missing']
  },
  'a route for all methods': {
    declare (app, config) {
      app.all('/all', { config }, async ({ method }) => method === 'HEAD' ? 'GET' : method)
      app.route({ method: ['GET', 'PUT'], url: '/two', config, handler: async ({ method }) => method === 'HEAD' ? 'GET' : method })
    },
    asked: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'GET'].flatMap((method) => ['/all', '/two'].map((path) => ({ path, method })))
  },
  tRPC: {
    // It takes no config for its routes.
    async use (app, config) {
      app.addHook('onRoute', (route) => { if (config.cache !== undefined) route.config = { ...route.config, cache: config.cache } })
    },
    async declare (app) {
      const { procedure, router } = initTRPC.create({ isDev: false })
      await app.register(fastifyTRPCPlugin, {
        prefix: '/trpc',
        trpcOptions: {
          router: router({
            read: procedure.input(z.object({ a: z.number() }).optional()).query(({ input }) => ({ input })),
            refused: procedure.query(() => { throw new TRPCError({ code: 'FORBIDDEN' }) }),
            write: procedure.mutation(() => 1)
          }),
          onError: () => {}
        }
      } as never)
    },
    // It answers a HEAD with 204. Ours has the fields of a GET.
    asked: [
      ...['read', 'read?input=%7B%22a%22%3A1%7D', 'read?input=no', 'missing', 'refused', 'write', 'read,write?batch=1',
        'read,read?batch=1&input=%7B%220%22%3A%7B%22a%22%3A1%7D%7D'].map((path) => ({ path: `/trpc/${path}` })),
      { path: '/trpc/read', headers: { 'trpc-accept': 'application/jsonl' } },
      { path: '/trpc/write', method: 'POST' }, { path: '/trpc/read', method: 'POST' }
    ],
    orders: ['before']
  },
  '@fastify/accepts-serializer': {
    use: (app) => app.register(untyped('@fastify/accepts-serializer'), {
      serializers: [{ regex: /^application\/x-packed$/, serializer: (body: unknown) => `packed:${JSON.stringify(body)}` }], default: 'application/json'
    }),
    declare (app, config) {
      app.get('/', { config }, async () => ({ any: 1 }))
      app.get('/text', { config }, async () => 'text')
      app.get('/schema', { config, schema: { response: { 200: { type: 'object', properties: { any: { type: 'integer' } } } } } }, async () => ({ any: 1, secret: 2 }))
    },
    asked: ['/', '/text', '/schema'].flatMap((path) => [
      { path }, ...accepting(path, 'application/x-packed', 'application/json', '*/*', 'text/html', 'text/html, application/x-packed;q=0.1')
    ])
  },
  '@fastify/sse': {
    use: (app) => app.register(untyped('@fastify/sse')),
    declare (app, config) {
      for (const sse of [true, 'dual', 'only']) {
        app.get(`/${sse}`, { config, sse } as never, async (_request, reply: FastifyReply & { sse?: { send (event: object): Promise<void> } }) => {
          if (reply.sse === undefined) return { json: true }
          await reply.sse.send({ data: 'event' })
        })
      }
    },
    asked: ['/true', '/dual', '/only'].flatMap((path) => accepting(path,
      'application/json', 'text/event-stream', 'Text/Event-Stream', 'application/json, text/event-stream', 'text/event-stream;q=0, */*', '*/*'))
  },
  '@fastify/swagger': {
    use: (app) => app.register(swagger, { openapi: { info: { title: 'API', version: '1' } } }),
    declare (app, config) {
      app.get('/openapi.json', { config }, async () => app.swagger())
      app.get('/openapi.yaml', { config }, async (_request, reply) => await reply.type('application/yaml').send(app.swagger({ yaml: true })))
    },
    asked: paths('/openapi.json', '/openapi.yaml')
  },
  'fastify-type-provider-zod': {
    use (app) {
      app.setValidatorCompiler(validatorCompiler)
      app.setSerializerCompiler(serializerCompiler)
    },
    declare (app, config) {
      const zod = app.withTypeProvider<ZodTypeProvider>()
      zod.get('/', { config, schema: { querystring: query, response: { 200: z.object({ limit: z.number(), tags: z.number() }) } } }, async ({ query: { limit, tags } }) => ({ limit, tags: tags?.length ?? 0, secret: true }))
      zod.get('/wrong', { config, schema: { response: { 200: z.object({ limit: z.number() }) } } }, async () => ({ limit: 'no' }) as never)
      zod.get('/:id', { config, schema: { params: z.object({ id: z.coerce.bigint() }) } }, async ({ params }) => String(params.id))
    },
    asked: paths('/', '/?limit=10', '/?limit=ten', '/?tags=a&tags=b', '/wrong', '/12', '/twelve')
  },
  '@fastify/type-provider-typebox': {
    use: (app) => app.setValidatorCompiler(TypeBoxValidatorCompiler),
    declare: (app, config) => app.withTypeProvider<TypeBoxTypeProvider>().get('/', {
      config, schema: { querystring: Type.Object({ limit: Type.String({ default: '10' }) }), response: { 200: Type.Object({ limit: Type.String() }) } }
    }, async ({ query }) => ({ limit: query.limit, secret: true })),
    asked: paths('/', '/?limit=10', '/?limit=11')
  },
  '@fastify/autoload': {
    use: () => {},
    declare: (app, config) => app.register(autoload, { dir: join(app.folder, 'routes'), options: config }),
    asked: paths('/dogs', '/dogs/rex', '/missing')
  }
}

declare module 'fastify' {
  interface FastifyInstance {
    folder: string
  }
}

async function folderOf (t: Test): Promise<string> {
  const folder = await temporaryFolder(t)
  await mkdir(join(folder, 'cats'))
  await mkdir(join(folder, 'routes', 'dogs'), { recursive: true })
  await writeFile(join(folder, 'small.txt'), '0123456789')
  await writeFile(join(folder, 'large.bin'), Buffer.alloc(300_000, '0123456789'))
  await writeFile(join(folder, 'empty.txt'), '')
  await writeFile(join(folder, 'routes', 'dogs', 'index.cjs'), `module.exports = async (app, { cache }) => {
    app.get('/', { config: { cache } }, async () => 'dogs')
    app.get('/:name', { config: { cache } }, async ({ params }) => params)
  }`)
  return folder
}

interface Standing { readonly folder: string, readonly order: string, readonly options?: ApiCacheOptions }

/** The application of a neighbour; without `options` it has not our plugin. */
async function standing (t: Test, { use, declare, policy }: Neighbour, { folder, order, options }: Standing): Promise<{ app: FastifyInstance, origin: string }> {
  const config: Config = options === undefined ? {} : { cache: { namespace: 'neighbours', expire: 60, scope: 'shared', ...policy } }
  const app = Fastify()
  app.decorate('folder', folder)
  if (order === 'before') await use?.(app, config, folder)
  if (options !== undefined) await app.register(apiCache, options)
  if (order === 'after') await use?.(app, config, folder)
  return await listening(t, app, (app) => declare(app, config))
}

/** What the cache says of itself, and what Node says of each message. */
const OURS = new Set(['age', 'date', 'cache-status', 'x-api-cache', 'connection', 'keep-alive', 'transfer-encoding'])
/** What the cache adds where nobody else has said it. */
const ADDED = new Set(['etag', 'cache-control', 'content-length'])

/** What a client sees, as far as it may not be the cache's own. */
function shown ({ status, headers, bytes }: Answered, expected: Answered): unknown {
  const fields = Object.entries(headers).filter(([name]) => !OURS.has(name) && !(ADDED.has(name) && expected.headers[name] === undefined))
  // Each session has its own.
  const named = fields.map(([name, value]) => [name, name === 'set-cookie' ? String(value).split('=')[0] : value])
  return { status, headers: Object.fromEntries(named), body: bytes.toString('latin1') }
}

for (const [name, neighbour] of Object.entries(NEIGHBOURS)) {
  const { asked, sockets = [], orders = ['before', 'after'], isCold = false } = neighbour
  for (const order of orders) {
    test(`${name}, ${order} ours, answers as without ours`, async (t, options) => {
      const folder = await folderOf(t)
      const plain = await standing(t, neighbour, { folder, order })
      const { app, origin } = await standing(t, neighbour, { folder, order, options })
      let hits = 0
      for (const { path, headers, method } of asked) {
        for (let round = 1; round <= 3; round++) {
          const expected = await ask(plain.origin + path, headers, method)
          const seen = await ask(origin + path, headers, method)
          t.same(shown(seen, expected), shown(expected, expected), `${method ?? 'GET'} ${path} ${JSON.stringify(headers ?? {})}, ${round}`)
          if (cached(seen.headers) === 'HIT') hits++
          await app.apiCache.settled()
        }
      }
      t.equal(hits > 0, !isCold, `${hits} HITs`)
      for (const path of sockets) t.same(await socketSays(origin + path), await socketSays(plain.origin + path), path)
    })
  }
}
