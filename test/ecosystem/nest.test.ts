import 'reflect-metadata'
import {
  Controller, Get, HttpException, Module, Param, Post, Scope, UseGuards, VersioningType, type CanActivate, type ExecutionContext
} from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter, RouteConfig, type NestFastifyApplication } from '@nestjs/platform-fastify'
import Fastify, { type FastifyInstance, type FastifyRequest, type RouteHandlerMethod } from 'fastify'
import t, { type Test } from 'tap'
import apiCache, { type ApiCacheOptions, type ReadPolicy, type WritePolicy } from '../../index.js'
import { patientStores } from '../support/patient-stores.js'
import { see, type Seen } from '../support/serving.js'

const test = patientStores()

const cache: ReadPolicy = { namespace: 'nest', expire: 60, scope: 'shared' }
const KEY: RequestInit = { headers: { 'x-key': 'open' } }

const knows = ({ headers }: FastifyRequest): boolean => headers['x-key'] === 'open'

/** A guard of NestJS. */
class Guard implements CanActivate {
  canActivate (context: ExecutionContext): boolean {
    return knows(context.switchToHttp().getRequest<FastifyRequest>())
  }
}

interface Declared {
  readonly path?: string
  readonly read?: ReadPolicy | undefined
  readonly write?: WritePolicy | undefined
  readonly version?: string
  readonly scope?: Scope
}

/** A module with a controller for reading and writing, both guarded. Its decorators are applied by hand: nothing compiles them. */
function moduleOf ({ path = '', read, write, version, scope }: Declared): { module: new () => object, runs: () => number } {
  let runs = 0
  class Cats {
    read (id: string | undefined): { id: string | undefined, run: number } {
      return { id, run: ++runs }
    }

    write (id: string): { written: string } {
      if (id === 'failing') throw new HttpException('no', 500)
      return { written: id }
    }
  }
  class Application {}
  const method = (name: 'read' | 'write', ...decorators: MethodDecorator[]): void => {
    Param('id')(Cats.prototype, name, 0)
    for (const decorate of decorators) decorate(Cats.prototype, name, Object.getOwnPropertyDescriptor(Cats.prototype, name)!)
  }
  method('read', Get(path), UseGuards(Guard), ...(read === undefined ? [] : [RouteConfig({ cache: read })]))
  method('write', Post(':id'), UseGuards(Guard), ...(write === undefined ? [] : [RouteConfig({ cache: write })]))
  Controller({ path: 'cats', ...(version !== undefined && { version }), ...(scope !== undefined && { scope }) })(Cats)
  Module({ controllers: [Cats], providers: [Guard] })(Application)
  return { module: Application, runs: () => runs }
}

interface Starting {
  readonly adapter?: FastifyAdapter
  /** What comes before the plugin. */
  readonly before?: (app: NestFastifyApplication, fastify: FastifyInstance) => unknown
  /** What comes after it, before routes are declared. */
  readonly after?: (app: NestFastifyApplication, fastify: FastifyInstance) => unknown
}

interface Started {
  readonly fastify: FastifyInstance
  readonly runs: () => number
  request (path: string, init?: RequestInit): Promise<Seen>
}

async function starting (t: Test, options: ApiCacheOptions, declared: Declared, { adapter = new FastifyAdapter(), before, after }: Starting = {}): Promise<Started> {
  const { module, runs } = moduleOf(declared)
  const app = await NestFactory.create<NestFastifyApplication>(module, adapter, { logger: false, abortOnError: false })
  t.teardown(() => app.close())
  const fastify = app.getHttpAdapter().getInstance() as unknown as FastifyInstance
  await before?.(app, fastify)
  await app.register(apiCache as never, options as never)
  await after?.(app, fastify)
  await app.listen(0, '127.0.0.1')
  const origin = await app.getUrl()
  return { fastify, runs, request: (path, init) => see(origin + path, init) }
}

const memory: ApiCacheOptions = { store: 'memory' }

/** As plugins do that measure or guard by wrapping handlers. */
function wrapHandlers (_app: NestFastifyApplication, fastify: FastifyInstance): void {
  fastify.addHook('onRoute', (route) => {
    const { handler } = route
    route.handler = function (request, reply) { return handler.call(this, request, reply) }
  })
}

class OwnAdapter extends FastifyAdapter {}

const REFUSED: Record<string, { declared: Declared, start?: Starting, route: string }> = {
  'a route': { declared: {}, route: 'GET /cats' },
  'a route with a parameter': { declared: { path: ':id' }, route: 'GET /cats/:id' },
  'a route whose handler another plugin wrapped': { declared: {}, start: { before: wrapHandlers }, route: 'GET /cats' },
  'a route with a parameter whose handler another plugin wrapped': { declared: { path: ':id' }, start: { before: wrapHandlers }, route: 'GET /cats/:id' },
  'a route whose controller is made for each request': { declared: { scope: Scope.REQUEST }, route: 'GET /cats' },
  'a route of a version in the path': {
    declared: { version: '1' }, start: { before: (app) => app.enableVersioning({ type: VersioningType.URI }) }, route: 'GET /v1/cats'
  },
  'a route of a version in a header': {
    declared: { version: '1' }, start: { before: (app) => app.enableVersioning({ type: VersioningType.HEADER, header: 'x-version' }) }, route: 'GET /cats'
  },
  'a route below a global prefix': { declared: {}, start: { before: (app) => app.setGlobalPrefix('api') }, route: 'GET /api/cats' },
  'a route of an adapter around an instance of the application\'s own': { declared: {}, start: { adapter: new FastifyAdapter(Fastify() as never) }, route: 'GET /cats' },
  'a route of an adapter that extends the adapter': { declared: { path: ':id' }, start: { adapter: new OwnAdapter() }, route: 'GET /cats/:id' }
}

for (const [what, { declared, start, route }] of Object.entries(REFUSED)) {
  t.test(`a read policy on ${what} is refused at boot, with an error that says why`, async (t) => {
    await t.rejects(starting(t, memory, { ...declared, read: cache }, start), {
      code: 'FST_API_CACHE_NEST_ROUTE',
      message: `${route} is a route of NestJS, whose guards run inside its handler, where a HIT would skip them; cache it with @Cached, and the plugin with ApiCacheModule, both of fastify-api-cache/nest; or guard it with Fastify hooks and register the plugin with guards: 'hooks', or give its policy serveFrom: 'onRequest' if it is open to all`
    })
  })
}

t.test('a handler made by NestJS is recognized, whatever code declares its route', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(apiCache, memory)
  const handler: RouteHandlerMethod = async () => 'answer'
  Reflect.defineMetadata('__fastify_route_config__', {}, handler)
  t.throws(() => app.get('/', { config: { cache } }, handler), { code: 'FST_API_CACHE_NEST_ROUTE' })
})

t.test('looking for NestJS leaves the settings of stack traces as they are', async (t) => {
  const settings = (): unknown[] => [Error.stackTraceLimit, Error.prepareStackTrace]
  const { stackTraceLimit, prepareStackTrace } = Error
  const mine = { stackTraceLimit: 0, prepareStackTrace: () => 'mine' }
  Object.assign(Error, mine)
  const failure = await starting(t, memory, { path: ':id', read: cache }).catch((error: unknown) => error)
  const after = settings()
  Object.assign(Error, { stackTraceLimit, prepareStackTrace })
  t.match(failure, { code: 'FST_API_CACHE_NEST_ROUTE' })
  t.strictSame(after, [mine.stackTraceLimit, mine.prepareStackTrace])
})

test('Fastify routes of a NestJS application are cached', async (t, options) => {
  const { fastify, request } = await starting(t, options, {}, {
    async after (app, fastify) {
      fastify.get('/plain/:id', { config: { cache } }, async ({ params }) => (params as { id: string }).id)
      await app.register((async (instance: FastifyInstance) => {
        instance.get('/plugin', { config: { cache } }, async () => 'plugin')
      }) as never)
    }
  })
  for (const path of ['/plain/7', '/plugin']) {
    t.match(await request(path), { status: 200, cache: 'MISS' })
    await fastify.apiCache.settled()
    t.match(await request(path), { status: 200, cache: 'HIT' })
  }
  t.match(await request('/cats'), { status: 403, cache: null })
  t.match(await request('/cats', KEY), { status: 200, cache: null })
})

test("with guards: 'hooks' a route of NestJS is cached, and a hook guards each HIT", async (t, options) => {
  const { fastify, request, runs } = await starting(t, { ...options, guards: 'hooks' }, { path: ':id', read: cache, write: { invalidate: 'nest' } }, {
    after: (_app, fastify) => fastify.addHook('preHandler', async (request, reply) => {
      if (!knows(request)) return reply.code(401).send({ refused: true })
    })
  })
  t.match(await request('/cats/7'), { status: 401 })
  for (const [cache, run] of [['MISS', 1], ['HIT', 1]] as const) {
    const seen = await request('/cats/7', KEY)
    t.match(seen, { status: 200, cache, type: /^application\/json/ })
    t.same(JSON.parse(seen.text), { id: '7', run })
    await fastify.apiCache.settled()
  }
  t.match(await request('/cats/7'), { status: 401, cache: null })
  t.equal(runs(), 1)
  t.match(await request('/cats/7', { ...KEY, method: 'POST' }), { status: 201 })
  t.equal((await request('/cats/7', KEY)).cache, 'MISS')
})

test("a route of NestJS with serveFrom: 'onRequest' is cached, because that means that it is open to everyone", async (t, options) => {
  const { fastify, request } = await starting(t, options, { read: { ...cache, serveFrom: 'onRequest' } })
  t.match(await request('/cats'), { status: 403, cache: 'MISS' })
  t.match(await request('/cats', KEY), { status: 200, cache: 'MISS' })
  await fastify.apiCache.settled()
  t.match(await request('/cats'), { status: 200, cache: 'HIT' })
})

const WRITES: Record<string, WritePolicy> = {
  'a write': { invalidate: 'nest' },
  'a write whose names a function tells': { invalidate: (_request, payload) => payload === undefined ? 'unknown' : 'nest' },
  'a strict write': { invalidate: 'nest', strict: true }
}

for (const [what, write] of Object.entries(WRITES)) {
  test(`${what} of NestJS invalidates if it succeeds, but not if its guard refuses it; strict ones also if they fail`, async (t, options) => {
    const { fastify, request } = await starting(t, options, { write }, {
      after: (_app, fastify) => fastify.get('/plain', { config: { cache } }, async () => 'plain')
    })
    t.equal((await request('/plain')).cache, 'MISS')
    await fastify.apiCache.settled()
    t.match(await request('/cats/7', { method: 'POST' }), { status: 403 })
    await fastify.apiCache.settled()
    t.equal((await request('/plain')).cache, 'HIT')
    t.match(await request('/cats/failing', { ...KEY, method: 'POST' }), { status: 500 })
    await fastify.apiCache.settled()
    t.equal((await request('/plain')).cache, 'strict' in write ? 'MISS' : 'HIT')
    await fastify.apiCache.settled()
    t.match(await request('/cats/7', { ...KEY, method: 'POST' }), { status: 201, text: '{"written":"7"}' })
    t.equal((await request('/plain')).cache, 'MISS')
  })
}
