import {
  All, BadRequestException, Catch, ClassSerializerInterceptor, Delete, Get, Header, HttpCode, HttpException, Inject, Injectable,
  Param, ParseIntPipe, Post, Query, Redirect, Res, Scope, SerializeOptions, Sse, StreamableFile, UseFilters, UseGuards, UseInterceptors, Version, VersioningType,
  type ArgumentsHost, type CanActivate, type ExceptionFilter, type ExecutionContext, type Type
} from '@nestjs/common'
import { APP_INTERCEPTOR, REQUEST, Reflector } from '@nestjs/core'
import { RouteConfig } from '@nestjs/platform-fastify'
import { Exclude, Expose } from 'class-transformer'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Readable } from 'node:stream'
import { of } from 'rxjs'
import { ApiCacheService, Cached, Invalidates, NoCache, type ApiCacheModuleOptions } from '../../lib/nest/index.js'
import { eachStore } from '../support/each-store.js'
import { controller, nest, type Method, type Started } from './application.js'

const each = eachStore()
const test = (sentence: string, run: (t: Parameters<Parameters<typeof each>[1]>[0], options: ApiCacheModuleOptions) => Promise<void>): void => {
  each(sentence, async (t, options) => { await run(t, options as ApiCacheModuleOptions) })
}

const cached = Cached({ namespace: 'cats', expire: 60, scope: 'shared', statuses: [200, 203, 204, 302] })

/** What a client can tell two responses apart by. */
const shown = ({ status, type, text, headers }: Awaited<ReturnType<Started['request']>>): unknown =>
  [status, type, text, ...['x-own', 'location', 'content-disposition'].map((name) => headers.get(name))]

class Filter implements ExceptionFilter {
  catch (error: HttpException, host: ArgumentsHost): void {
    host.switchToHttp().getResponse<FastifyReply>().code(418).send({ caught: error.message })
  }
}
Catch(HttpException)(Filter)

const ANSWERS: Record<string, Method> = {
  'an object': { decorators: [Get()], run: () => ({ any: 'thing' }) },
  'a text': { decorators: [Get()], run: () => 'text' },
  'a number': { decorators: [Get()], run: () => 7 },
  null: { decorators: [Get()], run: () => null },
  nothing: { decorators: [Get()], run: () => undefined },
  'a promise': { decorators: [Get()], run: async () => [1] },
  'an observable': { decorators: [Get()], run: () => of({ last: false }, { last: true }) },
  'a date': { decorators: [Get()], run: () => ({ at: new Date(0) }) },
  bytes: { decorators: [Get()], run: () => Buffer.from([0, 255]) },
  'a header of @Header': { decorators: [Get(), Header('x-own', 'own')], run: () => 'text' },
  'a status of @HttpCode': { decorators: [Get(), HttpCode(203)], run: () => ({ any: 'thing' }) },
  'no content': { decorators: [Get(), HttpCode(204)], run: () => undefined },
  'a redirect of @Redirect': { decorators: [Get(), Redirect('/elsewhere')], run: () => undefined },
  'a redirect that the method chooses': { decorators: [Get(), Redirect('/elsewhere')], run: () => ({ url: '/chosen', statusCode: 302 }) },
  'a StreamableFile of bytes': { decorators: [Get()], run: () => new StreamableFile(Buffer.from('file'), { type: 'text/x', disposition: 'attachment', length: 4 }) },
  'a StreamableFile of a stream': { decorators: [Get()], run: () => new StreamableFile(Readable.from(['fi', 'le']), { type: 'text/x' }) },
  'what it sends through @Res()': {
    decorators: [Get()], params: [Res()], run: (reply: FastifyReply) => { void reply.header('x-own', 'own').code(203).send({ sent: true }) }
  },
  'a header through @Res({ passthrough: true })': {
    decorators: [Get()], params: [Res({ passthrough: true })], run: (reply: FastifyReply) => { reply.header('x-own', 'own').code(203); return { any: 'thing' } }
  }
}

for (const [what, method] of Object.entries(ANSWERS)) {
  for (const [where, providers] of [['', []], [', behind another interceptor', [{ provide: APP_INTERCEPTOR, useValue: { intercept: (_: unknown, next: { handle(): unknown }) => next.handle() } }]]] as const) {
    test(`a method that answers with ${what} does so on every HIT${where}`, async (t, options) => {
      const { settled } = await nest(t, options, { controllers: [controller('cats', { read: { ...method, decorators: [...method.decorators, cached] } })], providers: [...providers] })
      const first = await settled('/cats')
      t.equal(first.cache, 'MISS')
      const second = await settled('/cats')
      t.same(shown(second), shown(first))
      t.equal(second.cache, where !== '' && /date|bytes|StreamableFile/.test(what) ? 'MISS' : 'HIT')
    })
  }
}

test('conditions and ranges are answered, and a HEAD is a HIT', async (t, options) => {
  const { settled } = await nest(t, options, { controllers: [controller('cats', { read: { decorators: [Get(), cached], run: () => 'a long text' } })] })
  const etag = (await settled('/cats')).headers.get('etag')!
  t.match(await settled('/cats', { headers: { 'if-none-match': etag } }), { status: 304, cache: 'HIT', text: '' })
  t.match(await settled('/cats', { headers: { range: 'bytes=0-2' } }), { status: 206, cache: 'HIT', text: 'a l' })
  t.match(await settled('/cats', { method: 'HEAD' }), { status: 200, cache: 'HIT' })
  t.match(await settled('/cats', { headers: { 'cache-control': 'only-if-cached' } }), { status: 200, cache: 'HIT' })
  t.match(await settled('/cats?other', { headers: { 'cache-control': 'only-if-cached' } }), { status: 504 })
})

test('what a filter answers is not stored, nor what a pipe refuses', async (t, options) => {
  let fails = true
  const cats = controller('cats', {
    read: {
      decorators: [Get(':id'), UseFilters(Filter), cached],
      params: [Param('id', ParseIntPipe)],
      run: (id: number) => { if (fails) throw new BadRequestException('not yet'); return { id } }
    }
  })
  const { settled } = await nest(t, options, { controllers: [cats] })
  for (let round = 0; round < 2; round++) t.match(await settled('/cats/1'), { status: 418, cache: 'MISS', text: '{"caught":"not yet"}' })
  t.match(await settled('/cats/one'), { status: 418, text: /numeric string/ })
  fails = false
  for (const cache of ['MISS', 'HIT']) t.match(await settled('/cats/1'), { status: 200, cache, text: '{"id":1}' })
})

for (const [type, ask] of [
  [VersioningType.URI, (version: string) => [`/v${version}/cats`, {}]],
  [VersioningType.HEADER, (version: string) => ['/cats', { headers: { 'x-version': version } }]],
  [VersioningType.MEDIA_TYPE, (version: string) => ['/cats', { headers: { accept: `application/json;v=${version}` } }]]
] as const) {
  test(`versions of one path share no entry (${VersioningType[type]})`, async (t, options) => {
    const cats = controller('cats', {
      first: { decorators: [Get(), Version('1'), cached], run: () => 'first' },
      second: { decorators: [Get(), Version('2'), cached], run: () => 'second' }
    })
    const { settled } = await nest(t, options, {
      controllers: [cats], prepare: (app) => app.enableVersioning({ type, header: 'x-version', key: 'v=' } as never)
    })
    for (const cache of ['MISS', 'HIT']) {
      for (const [version, text] of [['1', 'first'], ['2', 'second']] as const) {
        const [path, init] = ask(version) as [string, RequestInit]
        t.match(await settled(path, init), { status: 200, cache, text })
      }
    }
  })
}

class Cat {
  readonly name = 'Tom'
  readonly owner = 'Ada'
  readonly chip = 'secret'
}
Exclude()(Cat.prototype, 'chip')
Expose({ groups: ['vet'] })(Cat.prototype, 'owner')

const SERIALIZERS: Record<string, { onMethod?: MethodDecorator[], starting: Partial<Parameters<typeof nest>[2]>, keeps: boolean }> = {
  'on the method': { onMethod: [UseInterceptors(ClassSerializerInterceptor)], starting: {}, keeps: true },
  'on the application': { starting: { prepare: (app) => app.useGlobalInterceptors(new ClassSerializerInterceptor(app.get(Reflector))) }, keeps: true },
  'before ours': { starting: { providers: [{ provide: APP_INTERCEPTOR, useClass: ClassSerializerInterceptor }] }, keeps: false }
}

for (const [where, { onMethod = [], starting, keeps }] of Object.entries(SERIALIZERS)) {
  test(`the class serializer ${where} hides what it hides on every ${keeps ? 'HIT' : 'MISS, and instances that it gets are not stored'}`, async (t, options) => {
    const cats = controller('cats', {
      open: { decorators: [Get('open'), ...onMethod, cached], run: () => new Cat() },
      vet: { decorators: [Get('vet'), SerializeOptions({ groups: ['vet'] }), ...onMethod, cached], run: () => [new Cat()] }
    })
    const { settled } = await nest(t, options, { controllers: [cats], ...starting })
    for (const cache of ['MISS', keeps ? 'HIT' : 'MISS']) {
      t.match(await settled('/cats/open'), { cache, text: '{"name":"Tom"}' })
      t.match(await settled('/cats/vet'), { cache, text: '[{"name":"Tom","owner":"Ada"}]' })
    }
  })
}

test('a scope function sees the user that a guard has set', async (t, options) => {
  class Login implements CanActivate {
    canActivate (context: ExecutionContext): boolean {
      const request = context.switchToHttp().getRequest<FastifyRequest & { user?: string }>()
      request.user = request.headers['x-user'] as string
      return true
    }
  }
  const scope = (request: FastifyRequest): string => (request as FastifyRequest & { user: string }).user
  const cats = controller('cats', {
    mine: { decorators: [Get(), UseGuards(Login), Cached({ namespace: 'cats', expire: 60, scope })], params: [], run: () => 'mine' }
  })
  const { settled, fastify } = await nest(t, options, { controllers: [cats] })
  for (const cache of ['MISS', 'HIT']) {
    for (const user of ['ada', 'bob']) t.match(await settled('/cats', { headers: { 'x-user': user } }), { status: 200, cache })
  }
  t.match(await settled('/cats'), { status: 200, cache: 'MISS' })
  t.equal(fastify.apiCache.stats().stored, 2)
})

test('providers that are made for each request are those of the request that fills', async (t, options) => {
  class Visitor {
    readonly name: string
    constructor (request: FastifyRequest) { this.name = request.headers['x-user'] as string }
  }
  Injectable({ scope: Scope.REQUEST })(Visitor)
  Inject(REQUEST)(Visitor, undefined, 0)
  const cats = controller('cats', {
    read: { decorators: [Get(), Cached({ namespace: 'cats', expire: 60, vary: ['x-user'] })], run () { return `for ${(this as unknown as { visitor: Visitor }).visitor.name}` } }
  })
  Inject(Visitor)(cats.prototype as object, 'visitor')
  const { settled } = await nest(t, options, { controllers: [cats], providers: [Visitor] })
  for (const cache of ['MISS', 'HIT']) {
    for (const user of ['ada', 'bob']) t.match(await settled('/cats', { headers: { 'x-user': user } }), { cache, text: `for ${user}` })
  }
})

test('@NoCache leaves a method of a cached class out', async (t, options) => {
  let runs = 0
  const cats = controller('cats', {
    read: { decorators: [Get('cached')], run: () => 'cached' },
    live: { decorators: [Get('live'), NoCache()], run: () => ({ run: ++runs }) },
    write: { decorators: [Post()], run: () => 'written' }
  }, Cached({ namespace: 'cats', expire: 60 }))
  const { settled } = await nest(t, options, { controllers: [cats] })
  for (const [cache, run] of [['MISS', 1], ['HIT', 2]] as const) {
    t.match(await settled('/cats/cached'), { cache })
    t.match(await settled('/cats/live'), { cache: null, text: `{"run":${run}}` })
    t.match(await settled('/cats', { method: 'POST' }), { status: 201, cache: null })
  }
})

test('events of a method of a cached class are sent as without the cache', async (t, options) => {
  let runs = 0
  const cats = controller('cats', {
    read: { decorators: [Get()], run: () => 'cats' },
    events: { decorators: [Sse('events')], run: () => of({ data: `run ${++runs}` }, { data: 'end' }) }
  }, Cached({ namespace: 'cats', expire: 60, scope: 'shared' }))
  const { settled } = await nest(t, options, { controllers: [cats] })
  let asked = 0
  for (const cache of ['MISS', 'HIT']) {
    t.match(await settled('/cats'), { status: 200, cache })
    for (const accept of ['*/*', 'text/event-stream']) {
      const seen = await settled('/cats/events', { headers: { accept } })
      t.match(seen, { status: 200, cache: null, type: 'text/event-stream' })
      t.match(seen.text, new RegExp(`data: run ${++asked}\\n\\n[^]*data: end\\n\\n`))
    }
  }
})

class Refusing implements CanActivate {
  canActivate (context: ExecutionContext): boolean {
    return context.switchToHttp().getRequest<FastifyRequest>().headers['x-key'] === 'open'
  }
}

const KEY = { headers: { 'x-key': 'open' } }

const WRITES: Record<string, { onMethod?: MethodDecorator[], onClass?: ClassDecorator[] }> = {
  'a method with @Invalidates': { onMethod: [Invalidates('cats')] },
  'a method with @Invalidates and a list': { onMethod: [Invalidates(['cats', 'dogs'])] },
  'a method with @Invalidates and a function of the payload': { onMethod: [Invalidates((_request, payload) => (payload as { written: string }).written)] },
  'a method with @Invalidates and soft': { onMethod: [Invalidates({ namespaces: 'cats', soft: '30s' })] },
  'a strict method': { onMethod: [Invalidates({ invalidate: 'cats', strict: true })] },
  'a method with @RouteConfig, too': { onMethod: [RouteConfig({ own: true }), Invalidates('cats')] },
  'a class with @Invalidates': { onClass: [Invalidates('cats')] },
  'a class that is cached, too': { onClass: [Cached({ namespace: 'cats', expire: 60 }), Invalidates('cats')] }
}

for (const [what, { onMethod = [], onClass = [] }] of Object.entries(WRITES)) {
  test(`${what} invalidates if it succeeds, but not if a guard refuses it`, async (t, options) => {
    const cats = controller('cats', {
      read: { decorators: [Get(), cached], run: () => 'cats' },
      write: { decorators: [Post(), UseGuards(Refusing), ...onMethod], run: () => ({ written: 'cats' }) }
    }, ...onClass)
    const { settled } = await nest(t, options, { controllers: [cats] })
    for (const cache of ['MISS', 'HIT']) t.match(await settled('/cats'), { cache })
    t.match(await settled('/cats', { method: 'POST' }), { status: 403 })
    t.match(await settled('/cats'), { cache: 'HIT' })
    t.match(await settled('/cats', { ...KEY, method: 'POST' }), { status: 201 })
    t.match(await settled('/cats'), { cache: 'MISS' })
  })
}

test('the service does for providers what fastify.apiCache does for routes', async (t, options) => {
  class Cats {
    readonly cache: ApiCacheService
    constructor (cache: ApiCacheService) { this.cache = cache }
  }
  Injectable()(Cats)
  Inject(ApiCacheService)(Cats, undefined, 0)
  const { app, settled } = await nest(t, options, { controllers: [controller('cats', { read: { decorators: [Get(), cached], run: () => 'cats' } })], providers: [Cats] })
  const { cache } = app.get(Cats)
  for (const seen of ['MISS', 'HIT']) t.match(await settled('/cats'), { cache: seen })
  t.match(await cache.invalidate('cats'), { delivered: true })
  t.match(await settled('/cats'), { cache: 'MISS' })
  t.equal(await cache.writing('cats', () => 'done'), 'done')
  t.match(await settled('/cats'), { cache: 'MISS' })
  t.match((await cache.keys('cats').next()).value, /cats:GET \/cats/)
  t.match((await cache.namespaces().next()).value, 'cats')
  t.match(await cache.invalidateTags('none'), { delivered: true })
  t.match(await cache.clear(), { delivered: true })
  await cache.settled()
  t.match(await settled('/cats'), { cache: 'MISS' })
  t.match(cache.stats(), { hits: 1 })
})

const method = (decorators: MethodDecorator[]): Record<string, Method> => ({ read: { decorators, run: () => 'cats' } })

const REFUSED: Record<string, { cats: () => Type, error: { code: string, message?: string | RegExp } }> = {
  'a policy with an unknown field': {
    cats: () => controller('cats', method([Get(), Cached({ namespace: 'cats', expires: 60 } as never)])),
    error: { code: 'FST_API_CACHE_UNKNOWN_FIELD', message: "Cats.read: @Cached has no field 'expires'; did you mean 'expire'?" }
  },
  'a policy without a namespace': {
    cats: () => controller('cats', method([Get(), Cached({ expire: 60 })])), error: { code: 'FST_API_CACHE_MISSING_FIELD', message: /Cats\.read: @Cached: .*needs a namespace/ }
  },
  '@Cached on a method that writes': {
    cats: () => controller('cats', method([Post(), cached])), error: { code: 'FST_API_CACHE_WRONG_METHOD', message: /Cats\.read: @Cached is for GET/ }
  },
  '@Cached on a method that sends events': {
    cats: () => controller('cats', method([Sse('events'), cached])), error: { code: 'FST_API_CACHE_WRONG_METHOD', message: /not for @Sse/ }
  },
  '@Invalidates on a method that reads': {
    cats: () => controller('cats', method([Get(), Invalidates('cats')])), error: { code: 'FST_API_CACHE_WRONG_METHOD', message: /@Invalidates is for POST/ }
  },
  '@Invalidates on a method for all methods': {
    cats: () => controller('cats', method([All(), Invalidates('cats')])), error: { code: 'FST_API_CACHE_WRONG_METHOD', message: /declare one method for each/ }
  },
  '@Invalidates with a wrong field': {
    cats: () => controller('cats', method([Delete(), Invalidates({ invalidates: 'cats' } as never)])), error: { code: 'FST_API_CACHE_UNKNOWN_FIELD', message: /did you mean 'invalidate'/ }
  },
  'a policy in @RouteConfig': {
    cats: () => controller('cats', method([Get(), RouteConfig({ cache: { namespace: 'cats', expire: 60 } })])),
    error: { code: 'FST_API_CACHE_NEST_ROUTE', message: /cache it with @Cached/ }
  },
  'two policies of a write': {
    cats: () => controller('cats', method([Post(), Invalidates('cats'), RouteConfig({ cache: { invalidate: 'dogs' } })])), error: { code: 'FST_API_CACHE_WRONG_METHOD', message: /say it once/ }
  }
}

for (const [what, { cats, error }] of Object.entries(REFUSED)) {
  test(`${what} is refused at boot`, async (t, options) => {
    await t.rejects(nest(t, options, { controllers: [cats()] }), error)
  })
}

test('query and path parameters are part of the key, as for any route', async (t, options) => {
  const cats = controller('cats', { read: { decorators: [Get(':id'), cached], params: [Param('id'), Query('q')], run: (id: string, q: string) => ({ id, q }) } })
  const { settled } = await nest(t, options, { controllers: [cats] })
  for (const cache of ['MISS', 'HIT']) {
    for (const [path, text] of [['/cats/1?q=a', '{"id":"1","q":"a"}'], ['/cats/1?q=b', '{"id":"1","q":"b"}'], ['/cats/2?q=a', '{"id":"2","q":"a"}']] as const) {
      t.match(await settled(path), { cache, text })
    }
  }
})
