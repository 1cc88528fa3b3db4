import {
  Get, Injectable, Scope, UnauthorizedException, UseGuards, UseInterceptors,
  type CallHandler, type CanActivate, type ExecutionContext, type NestInterceptor, type Provider, type Type
} from '@nestjs/common'
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core'
import { ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler'
import type { FastifyRequest } from 'fastify'
import { from, map, type Observable } from 'rxjs'
import type { Test } from 'tap'
import type { ApiCacheModuleOptions } from '../../lib/nest/index.js'
import { Cached } from '../../lib/nest/index.js'
import { eachStore } from '../support/each-store.js'
import { controller, nest, type Starting } from './application.js'

const test = eachStore()

const KEY: RequestInit = { headers: { 'x-key': 'open' } }
const requestOf = (context: ExecutionContext): FastifyRequest => context.switchToHttp().getRequest<FastifyRequest>()
const knows = (context: ExecutionContext): boolean => requestOf(context).headers['x-key'] === 'open'

/** What lets in who has the key, in each of the ways in which applications write it. */
const GUARDS: Record<string, Type<CanActivate>> = {
  'returns false': class { canActivate (context: ExecutionContext): boolean { return knows(context) } },
  'returns a promise': class { async canActivate (context: ExecutionContext): Promise<boolean> { return knows(context) } },
  'returns an observable': class { canActivate (context: ExecutionContext): Observable<boolean> { return from([knows(context)]) } },
  throws: class {
    canActivate (context: ExecutionContext): boolean {
      if (!knows(context)) throw new UnauthorizedException()
      return true
    }
  }
}

/** The same as interceptors: before the handler, and after it. */
const INTERCEPTORS: Record<string, Type<NestInterceptor>> = {
  'throws before the handler': class {
    intercept (context: ExecutionContext, next: CallHandler): Observable<unknown> {
      if (!knows(context)) throw new UnauthorizedException()
      return next.handle()
    }
  },
  'throws after the handler': class {
    intercept (context: ExecutionContext, next: CallHandler): Observable<unknown> {
      return next.handle().pipe(map((value) => {
        if (!knows(context)) throw new UnauthorizedException()
        return value
      }))
    }
  },
  'hides fields of the answer': class {
    intercept (context: ExecutionContext, next: CallHandler): Observable<unknown> {
      return next.handle().pipe(map((value) => knows(context) ? value : {}))
    }
  }
}

interface Placed extends Omit<Starting, 'controllers'> {
  readonly onClass?: ClassDecorator[]
  readonly onMethod?: MethodDecorator[]
}

const global = (token: string, useClass: Type): Provider => ({ provide: token, useClass })

const PLACES: Record<string, (guard: Type<CanActivate>) => Placed> = {
  'on the method': (guard) => ({ onMethod: [UseGuards(guard)] }),
  'on the method, as an instance': (Guard) => ({ onMethod: [UseGuards(new Guard())] }),
  'on the class': (guard) => ({ onClass: [UseGuards(guard)] }),
  'on the application': (Guard) => ({ prepare: (app) => app.useGlobalGuards(new Guard()) }),
  'as APP_GUARD': (guard) => ({ providers: [global(APP_GUARD, guard)] }),
  'as APP_GUARD, made for each request': (useClass) => ({ providers: [{ provide: APP_GUARD, useClass, scope: Scope.REQUEST }] })
}

/** Where the policy stands. */
const DECORATED: Record<string, { onClass?: ClassDecorator[], onMethod?: MethodDecorator[], scope?: Scope }> = {
  '@Cached on the method': { onMethod: [Cached({ namespace: 'cats', expire: 60, scope: 'shared' })] },
  '@Cached on the class': { onClass: [Cached({ namespace: 'cats', expire: 60, scope: 'shared' })] },
  '@Cached on both': { onClass: [Cached({ namespace: 'cats', scope: 'shared' })], onMethod: [Cached({ expire: 60 })] },
  '@Cached on a controller that is made for each request': {
    onMethod: [Cached({ namespace: 'cats', expire: 60, scope: 'shared' })], scope: Scope.REQUEST
  }
}

/** How requests come. */
const MODES: Record<string, ApiCacheModuleOptions> = {
  alone: {},
  'in the fleet': { coalesce: 'fleet' },
  'with explanations': { explain: true }
}

interface Cell {
  readonly placed: Placed
  readonly decorated?: typeof DECORATED[string]
  readonly options: ApiCacheModuleOptions
  /** What a stranger gets. */
  readonly refused: (status: number, text: string) => boolean
  /** Whether the handler runs for a stranger, and only the answer is refused. */
  readonly runsForStrangers?: boolean
}

/** The secret reaches the guarded caller, on a MISS and a HIT, and nobody else. */
async function holds (t: Test, { placed, decorated = DECORATED['@Cached on the method']!, options, refused, runsForStrangers = false }: Cell): Promise<void> {
  let runs = 0
  const { onClass = [], onMethod = [], ...starting } = placed
  const cats = controller({ path: 'cats', scope: decorated.scope ?? Scope.DEFAULT } as never, {
    read: {
      decorators: [Get(':id'), ...onMethod, ...decorated.onMethod ?? []],
      run: () => ({ secret: ++runs })
    }
  }, ...onClass, ...decorated.onClass ?? [])
  const { settled, request } = await nest(t, options, { ...starting, controllers: [cats] })
  const stranger = async (): Promise<void> => {
    const { status, text } = await settled('/cats/1')
    t.ok(refused(status, text), `a stranger is refused: ${status} ${text}`)
    t.notMatch(text, 'secret')
  }
  await stranger()
  t.match(await settled('/cats/1', KEY), { status: 200, cache: runsForStrangers ? 'HIT' : 'MISS', text: '{"secret":1}' })
  await stranger()
  t.match(await settled('/cats/1', KEY), { status: 200, cache: 'HIT', text: '{"secret":1}' })
  await stranger()
  const [, open, ...rest] = await Promise.all([request('/cats/1'), request('/cats/1', KEY), request('/cats/1'), request('/cats/1')])
  t.match(open, { status: 200, cache: 'HIT' })
  for (const { status, text } of rest) t.ok(refused(status, text))
  t.equal(runs, 1)
}

/** The same for an entry that a soft write made old: nobody but the guarded caller gets it, and its refresh passes the guard. */
async function holdsForStale (t: Test, { onClass = [], onMethod = [], ...starting }: Placed, options: ApiCacheModuleOptions): Promise<void> {
  let runs = 0
  const cats = controller('cats', {
    read: {
      decorators: [Get(), ...onMethod, Cached({ namespace: 'cats', expire: 60, scope: 'shared', staleWhileRevalidate: 60 })], run: () => ({ secret: ++runs })
    }
  }, ...onClass)
  const { settled, fastify } = await nest(t, options, { ...starting, controllers: [cats] })
  const stranger = async (): Promise<void> => {
    const { status, text } = await settled('/cats')
    t.ok(forbidden(status), `a stranger is refused: ${status} ${text}`)
  }
  t.match(await settled('/cats', KEY), { status: 200, cache: 'MISS' })
  await fastify.apiCache.invalidate('cats', { soft: '30s' })
  await stranger()
  t.equal(runs, 1)
  t.match(await settled('/cats', KEY), { status: 200, cache: 'HIT', text: '{"secret":1}' })
  t.equal(runs, 2, 'it is refreshed')
  await stranger()
  t.match(await settled('/cats', KEY), { status: 200, cache: 'HIT', text: '{"secret":2}' })
}

const forbidden = (status: number): boolean => status === 401 || status === 403

for (const [style, guard] of Object.entries(GUARDS)) {
  Injectable()(guard)
  for (const [where, place] of Object.entries(PLACES)) {
    for (const [which, decorated] of Object.entries(DECORATED)) {
      test(`a guard that ${style}, ${where}, runs before a HIT, with ${which}`, async (t, options) => {
        await holds(t, { placed: place(guard), decorated, options: options as ApiCacheModuleOptions, refused: forbidden })
      })
    }
    test(`a guard that ${style}, ${where}, runs before a stale HIT`, async (t, options) => {
      await holdsForStale(t, place(guard), options as ApiCacheModuleOptions)
    })
    for (const [mode, extra] of Object.entries(MODES).slice(1)) {
      test(`a guard that ${style}, ${where}, runs before a HIT, ${mode}`, async (t, options) => {
        await holds(t, { placed: place(guard), options: { ...options as ApiCacheModuleOptions, ...extra }, refused: forbidden })
      })
    }
  }
}

for (const [style, interceptor] of Object.entries(INTERCEPTORS)) {
  Injectable()(interceptor)
  test(`an interceptor before ours that ${style} does so on a HIT`, async (t, options) => {
    await holds(t, {
      placed: { providers: [global(APP_INTERCEPTOR, interceptor)] },
      options: options as ApiCacheModuleOptions,
      refused: (status, text) => forbidden(status) || text === '{}',
      runsForStrangers: !style.includes('before')
    })
  })
}

// NestJS runs them after all others, wherever they stand.
const LATE: Record<string, (useClass: Type) => Provider> = {
  'for each request': (useClass) => ({ provide: APP_INTERCEPTOR, useClass, scope: Scope.REQUEST }),
  'for each user of it': (useClass) => ({ provide: APP_INTERCEPTOR, useClass, scope: Scope.TRANSIENT }),
  'by a factory for each request': (Interceptor) => ({ provide: APP_INTERCEPTOR, useFactory: () => new Interceptor() as object, scope: Scope.REQUEST })
}

for (const [made, provide] of Object.entries(LATE)) {
  for (const [which, { onClass = [], onMethod = [] }] of Object.entries(DECORATED)) {
    test(`an interceptor of the application that is made ${made} is refused at boot, as a HIT would skip it, with ${which}`, async (t, options) => {
      class Late { intercept (_context: ExecutionContext, next: CallHandler): Observable<unknown> { return next.handle() } }
      const cats = controller('cats', { read: { decorators: [Get(), ...onMethod], run: () => 'cats' } }, ...onClass)
      await t.rejects(nest(t, options as ApiCacheModuleOptions, { providers: [provide(Late)], controllers: [cats] }), {
        code: 'FST_API_CACHE_NEST_INTERCEPTOR', message: /^Cats\.read has @Cached, but NestJS runs .+ after the cache/
      })
    })
  }
}

test('an interceptor that is made for each request may stand on a class or a method, or beside methods that are not cached', async (t, options) => {
  class Late implements NestInterceptor {
    intercept (_context: ExecutionContext, next: CallHandler): Observable<unknown> { return next.handle().pipe(map((value) => ({ value }))) }
  }
  Injectable({ scope: Scope.REQUEST })(Late)
  const cats = controller('cats', { read: { decorators: [Get(), UseInterceptors(Late), Cached({ namespace: 'cats', expire: 60 })], run: () => 'cats' } })
  const cached = await nest(t, options as ApiCacheModuleOptions, { controllers: [cats] })
  for (const cache of ['MISS', 'HIT']) t.match(await cached.settled('/cats'), { status: 200, cache, text: '{"value":"cats"}' })
  const dogs = controller('dogs', { read: { decorators: [Get()], run: () => 'dogs' } })
  const plain = await nest(t, { ...options as ApiCacheModuleOptions, prefix: 'other' }, { providers: [global(APP_INTERCEPTOR, Late)], controllers: [dogs] })
  t.match(await plain.settled('/dogs'), { status: 200, cache: null, text: '{"value":"dogs"}' })
})

test('the throttler counts and refuses HITs', async (t, options) => {
  const cats = controller('cats', {
    read: { decorators: [Get(), Cached({ namespace: 'cats', expire: 60 })], run: () => 'cats' }
  })
  const { settled } = await nest(t, options as ApiCacheModuleOptions, {
    imports: [ThrottlerModule.forRoot([{ ttl: 60_000, limit: 3 }])],
    providers: [global(APP_GUARD, ThrottlerGuard)],
    controllers: [cats]
  })
  for (const [index, cache] of ['MISS', 'HIT', 'HIT'].entries()) {
    const seen = await settled('/cats')
    t.match(seen, { status: 200, cache })
    t.equal(seen.headers.get('x-ratelimit-remaining'), String(2 - index))
  }
  t.match(await settled('/cats'), { status: 429, cache: null })
})

test('a route guard of one method does not stand before another method of the class', async (t, options) => {
  const cats = controller('cats', {
    open: { decorators: [Get('open'), Cached({ namespace: 'cats', expire: 60 })], run: () => 'open' },
    shut: { decorators: [Get('shut'), UseGuards(GUARDS['throws']!), Cached({ namespace: 'cats', expire: 60, scope: 'shared' })], run: () => 'shut' }
  })
  const { settled } = await nest(t, options as ApiCacheModuleOptions, { controllers: [cats] })
  for (const cache of ['MISS', 'HIT']) {
    t.match(await settled('/cats/open'), { status: 200, cache, text: 'open' })
    t.match(await settled('/cats/shut', KEY), { status: 200, cache, text: 'shut' })
    t.match(await settled('/cats/shut'), { status: 401 })
  }
})

test('the interceptor of a class or a method after ours is part of what is cached', async (t, options) => {
  let calls = 0
  class Counting implements NestInterceptor {
    intercept (_context: ExecutionContext, next: CallHandler): Observable<unknown> {
      return next.handle().pipe(map((value) => ({ value, calls: ++calls })))
    }
  }
  const cats = controller('cats', {
    read: { decorators: [Get(), UseInterceptors(Counting), Cached({ namespace: 'cats', expire: 60 })], run: () => 'cats' }
  })
  const { settled } = await nest(t, options as ApiCacheModuleOptions, { controllers: [cats] })
  for (const cache of ['MISS', 'HIT']) t.match(await settled('/cats'), { cache, text: '{"value":"cats","calls":1}' })
})
