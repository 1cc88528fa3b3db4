import { Controller, Get, Injectable, Post, Module, type Type } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import apiCache, { type ApiCacheOptions } from '../../index.js'
import { ApiCacheModule, Cached, Invalidates, NoCache } from '../../lib/nest/index.js'
import { root } from '../support/packed.js'
import { controller, listening } from './application.js'

const cached = Cached({ namespace: 'cats', expire: 60 })

t.test('forRootAsync takes the options from other providers', async (t) => {
  class Settings { readonly prefix = 'of-settings' }
  Injectable()(Settings)
  class SettingsModule {}
  Module({ providers: [Settings], exports: [Settings] })(SettingsModule)
  const { settled, fastify } = await listening(t, {
    controllers: [controller('cats', { read: { decorators: [Get(), cached], run: () => 'cats' } })],
    imports: [ApiCacheModule.forRootAsync({
      imports: [SettingsModule],
      inject: [Settings],
      useFactory: async ({ prefix }: Settings) => ({ store: 'memory', prefix })
    })]
  })
  for (const cache of ['MISS', 'HIT']) t.match(await settled('/cats'), { cache })
  t.match((await fastify.apiCache.keys('cats').next()).value, /^of-settings\|cats:/)
})

t.test('the module serves an application that is initialized and does not listen', async (t) => {
  class Application {}
  Module({
    controllers: [controller('cats', { read: { decorators: [Get(), cached], run: () => 'cats' } })],
    imports: [ApiCacheModule.forRoot({ store: 'memory' })]
  })(Application)
  const app = await NestFactory.create<NestFastifyApplication>(Application, new FastifyAdapter(), { logger: false })
  t.teardown(() => app.close())
  await app.init()
  for (const cache of ['MISS', 'HIT']) t.match((await app.inject('/cats')).headers, { 'x-api-cache': cache })
})

t.test('a wrong option is refused at boot', async (t) => {
  await t.rejects(listening(t, { imports: [ApiCacheModule.forRoot({ prefixes: 'a' } as never)] }), { code: 'FST_API_CACHE_UNKNOWN_FIELD' })
})

t.test('the module is refused at boot if it is imported twice, or if the plugin is registered beside it', async (t) => {
  const cats = controller('cats', { read: { decorators: [Get(), cached], run: () => 'cats' } })
  const imports = [ApiCacheModule.forRoot({ store: 'memory' }), ApiCacheModule.forRoot({ store: 'memory', prefix: 'other' })]
  await t.rejects(listening(t, { controllers: [cats], imports }), {
    code: 'FST_API_CACHE_ALREADY_REGISTERED', message: 'ApiCacheModule is imported twice; import it once, in the root module'
  })
  await t.rejects(listening(t, { controllers: [cats], imports: imports.slice(0, 1) }, async (app) => {
    await app.register(apiCache as never, { store: 'memory' } satisfies ApiCacheOptions as never)
  }), { code: 'FST_API_CACHE_ALREADY_REGISTERED' })
})

t.test('a program without a server, or on another adapter, is told what to use instead', async (t) => {
  const module = new ApiCacheModule({ httpAdapter: { getType: () => 'express' } } as never, new Map() as never, {})
  await t.rejects(module.configure(), { code: 'FST_API_CACHE_NEST_ADAPTER', message: /new FastifyAdapter\(\)/ })
})

for (const [what, decorators] of [
  ['@Cached', [Get(), cached]], ['@Cached on a path with a parameter', [Get(':id'), cached]]
] as const) {
  t.test(`without the module ${what} is refused at boot by the plugin`, async (t) => {
    await t.rejects(listening(t, { controllers: [controller('cats', { read: { decorators, run: () => 'cats' } })] }, async (app) => {
      await app.register(apiCache as never, { store: 'memory' } satisfies ApiCacheOptions as never)
    }), { code: 'FST_API_CACHE_NEST_ROUTE', message: /ApiCacheModule/ })
  })
}

class Base { read (): string { return 'cats' } }
Get()(Base.prototype, 'read', Object.getOwnPropertyDescriptor(Base.prototype, 'read')!)
class Inheriting extends Base {}
cached(Inheriting)
Controller('cats')(Inheriting)

const onClass: Record<string, Type> = {
  '@Cached on a class': controller('cats', { read: { decorators: [Get()], run: () => 'cats' } }, cached),
  '@Cached on a class with fields on its methods': controller('cats', { read: { decorators: [Get(':id'), Cached({ expire: 5 })], run: () => 'cats' } }, cached),
  '@Cached on a class with inherited methods': Inheriting,
  '@Invalidates on a class': controller('cats', { write: { decorators: [Post()], run: () => 'cats' } }, Invalidates('cats'))
}

for (const [what, cats] of Object.entries(onClass)) {
  for (const guards of [{}, { guards: 'hooks' }] as const) {
    t.test(`without the module ${what} is refused at boot by the plugin${guards.guards === undefined ? '' : ', also if guards are hooks'}`, async (t) => {
      await t.rejects(listening(t, { controllers: [cats] }, async (app) => {
        await app.register(apiCache as never, { store: 'memory', ...guards } satisfies ApiCacheOptions as never)
      }), { code: 'FST_API_CACHE_NEST_CLASS', message: /^(GET|POST) \/cats.* need ApiCacheModule/ })
    })
  }
}

t.test('with the module classes with inherited methods are cached, and without a decorator they are not', async (t) => {
  class Plain extends Base {}
  Controller('dogs')(Plain)
  const { settled } = await listening(t, { controllers: [Inheriting, Plain], imports: [ApiCacheModule.forRoot({ store: 'memory' })] })
  for (const cache of ['MISS', 'HIT']) t.match(await settled('/cats'), { status: 200, cache })
  for (const cache of [null, null]) t.match(await settled('/dogs'), { status: 200, cache })
})

t.test('a class of which no method is cached needs no module', async (t) => {
  const cats = controller('cats', { read: { decorators: [Get(), NoCache()], run: () => 'cats' } }, cached)
  const { settled } = await listening(t, { controllers: [cats] }, async (app) => {
    await app.register(apiCache as never, { store: 'memory' } satisfies ApiCacheOptions as never)
  })
  t.match(await settled('/cats'), { status: 200, cache: null })
})

t.test('without the module @Invalidates works as @RouteConfig does', async (t) => {
  const { settled, fastify } = await listening(t, {
    controllers: [controller('cats', { write: { decorators: [Post(), Invalidates('cats')], run: () => 'cats' } })]
  }, async (app) => { await app.register(apiCache as never, { store: 'memory' } satisfies ApiCacheOptions as never) })
  t.match(await settled('/cats', { method: 'POST' }), { status: 201 })
  t.match(fastify.apiCache.stats(), { invalidations: 1 })
})

t.test('the package loads without NestJS, and its other entry points do not load it', async (t) => {
  const program = `
    require('fastify-api-cache'); require('fastify-api-cache/client'); require('fastify-api-cache/postgres')
    console.log(Object.keys(require.cache).filter((file) => /@nestjs|rxjs|reflect-metadata/.test(file)).length)`
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', program], { cwd: root })
  t.equal(stdout.trim(), '0')
})
