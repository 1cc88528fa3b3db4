import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { type ZodTypeProvider } from 'fastify-type-provider-zod'
import { Cluster, Redis } from 'ioredis'
import { createClient, createCluster } from 'redis'
import { expectTypeOf } from 'expect-type'
import { Type } from 'typebox'
import { z } from 'zod'
import apiCache, {
  type ApiCache, type ApiCacheOptions, type CacheStore, type Credentials, type Entry, type Intents, type Invalidated, type Invalidation,
  type Leases, type ReadDefaults, type ReadPolicy, type Stats, type WritePolicy, type WritingNames, type WritingOptions, oneDay, ONE_DAY_IN_SECONDS, redisFromEnvironment
} from 'fastify-api-cache'

const app = Fastify()
declare const store: CacheStore

// The plugin, by each of its names
expectTypeOf(apiCache.default).toEqualTypeOf(apiCache.apiCache)
expectTypeOf(apiCache).parameter(1).toEqualTypeOf<ApiCacheOptions>()
expectTypeOf(apiCache).returns.toEqualTypeOf<Promise<void>>()

// Options
app.register(apiCache)
app.register(apiCache, {})
app.register(apiCache, { prefix: 'api-cache', responseHeader: 'X-API-Cache', timeout: 500, coalesceTimeout: 5_000 })
app.register(apiCache, { responseHeader: false })
app.register(apiCache, { application: 'shop' })
// @ts-expect-error a name is a text
app.register(apiCache, { application: false })
app.register(apiCache, { redis: new Redis() })
app.register(apiCache, { redis: new Cluster([]) })
app.register(apiCache, { redis: createClient() })
app.register(apiCache, { redis: createClient({ RESP: 3 }).withTypeMapping({ 36: Buffer }) })
app.register(apiCache, { redis: createCluster({ rootNodes: [] }) })
app.register(apiCache, { redis: 'redis://127.0.0.1' })
app.register(apiCache, { redis: { host: '127.0.0.1', port: 6379 } })
app.register(apiCache, { store: 'memory', memory: { maxBytes: 1024, maxEntries: 10 } })
app.register(apiCache, { store: 'redis', redisNamespace: 'cache' })
app.register(apiCache, { store })
app.register(apiCache, { expire: '15m', scope: 'shared', query: ['skip'], ignoreQuery: ['utm_*'], vary: ['accept-language'], host: false, revision: '3f2a1b', maxBytes: 1024, statuses: [200, 404] })
app.register(apiCache, { compress: true, storeCompressed: true })
// @ts-expect-error no such coding
app.register(apiCache, { compress: ['deflate'] })
// @ts-expect-error options of node-redis
app.register(apiCache, { redis: { url: 'redis://127.0.0.1' } })
app.register(apiCache, { enabled: false, bypass: ({ headers }) => headers['x-fresh'] === 'yes' })
// @ts-expect-error a promise is no answer
app.register(apiCache, { bypass: async () => true })
app.register(apiCache, { guards: 'hooks' })
// @ts-expect-error guards are hooks, or the option is left out
app.register(apiCache, { guards: true })
// @ts-expect-error no such option
app.register(apiCache, { prefixes: 'api-cache' })
// @ts-expect-error true names no header
app.register(apiCache, { responseHeader: true })
// @ts-expect-error no such store
app.register(apiCache, { store: 'disk' })
// @ts-expect-error a store lacks its methods
app.register(apiCache, { store: { name: 'mine' } })
declare const { begin, end }: Intents
declare const { take, release, subscribe }: Leases
app.register(apiCache, { store: { ...store, intents: { begin, end }, leases: { take, release, subscribe } } })
// @ts-expect-error an optional part is whole, or not there
app.register(apiCache, { store: { ...store, intents: { begin } } })
// @ts-expect-error an optional part is whole, or not there
app.register(apiCache, { store: { ...store, leases: { take, release } } })
// @ts-expect-error a number of milliseconds
app.register(apiCache, { timeout: '500ms' })
// @ts-expect-error no such bound
app.register(apiCache, { memory: { maxSize: 1024 } })
// @ts-expect-error a namespace is a route's
app.register(apiCache, { namespace: 'user-cache' })

// What a route declares for reading
async function handler (): Promise<object> { return {} }
const read = (cache: ReadPolicy): FastifyInstance => app.get('/', { config: { cache } }, handler)
read({ namespace: 'user-cache' })
read({ namespace: 'user-cache', expire: ONE_DAY_IN_SECONDS })
read({ namespace: 'user-cache', expire: '1 day' })
read({ namespace: 'user-cache', scope: 'anonymous', host: true, revision: '3f2a1b', serveFrom: 'onRequest' })
read({ namespace: 'user-cache', tags: ['one'], when: () => true })
app.get<{ Params: { id: string } }>('/:id', { config: { cache: oneDay({ namespace: 'user-cache' }) } }, handler)
app.get('/', {
  config: {
    cache: {
      namespace: (request) => {
        expectTypeOf(request).toEqualTypeOf<FastifyRequest>()
        return request.ip
      },
      scope: (request) => request.ip,
      key: (request) => request.url,
      tags: (request, payload) => {
        expectTypeOf(request).toEqualTypeOf<FastifyRequest>()
        expectTypeOf(payload).toBeUnknown()
        return [request.id]
      },
      when: (request, reply, payload) => {
        expectTypeOf(reply).toEqualTypeOf<FastifyReply>()
        expectTypeOf(payload).toBeUnknown()
        return reply.statusCode === 200
      }
    }
  }
}, handler)
// @ts-expect-error a namespace is required
app.get('/', { config: { cache: { expire: 60 } } }, handler)
// @ts-expect-error no such field
read({ namespace: 'user-cache', expires: 60 })
// @ts-expect-error no such field
app.get<{ Params: { id: string } }>('/:id', { config: { cache: { namespace: 'user-cache', expires: 60 } } }, handler)
// @ts-expect-error no such field
app.get('/', { config: { cache: { namespace: 'user-cache', ttl: 60 } satisfies ReadPolicy } }, handler)
// @ts-expect-error no such field, in a config that Fastify infers
app.get('/', { config: { cache: { namespace: 'user-cache', ttl: 60 } } }, handler)
// @ts-expect-error no such field, in a config that Fastify infers
app.route({ method: 'GET', url: '/', config: { cache: { namespace: 'user-cache', anything: true } }, handler })
// other plugins' config stands beside ours
app.get('/', { config: { rateLimit: { max: 1 }, cache: { namespace: 'user-cache' } } }, handler)
// @ts-expect-error neither seconds nor a text
app.get('/', { config: { cache: { namespace: 'user-cache', expire: new Date() } } }, handler)
// Lifetimes by status, or of a function
read({ namespace: 'user-cache', expire: { 200: '1h', 404: 30, 410: '1 day' } })
app.get('/', { config: { cache: { namespace: 'user-cache', expire: { 200: '1h', 404: '30s' }, jitter: 0.1 } } }, handler)
app.register(apiCache, { expire: { 200: '1h', 404: '30s' }, jitter: 0.1 })
read({
  namespace: 'user-cache',
  expire: (request, reply, payload) => {
    expectTypeOf(request).toEqualTypeOf<FastifyRequest>()
    expectTypeOf(reply).toEqualTypeOf<FastifyReply>()
    expectTypeOf(payload).toBeUnknown()
    return reply.statusCode === 404 ? 0 : '1h'
  }
})
read({ namespace: 'user-cache', expire: () => 60 })
// @ts-expect-error a promise is no duration
read({ namespace: 'user-cache', expire: async () => 60 })
// @ts-expect-error nothing is no duration
read({ namespace: 'user-cache', expire: () => {} })
// @ts-expect-error not a status
read({ namespace: 'user-cache', expire: { 600: '1h' } })
// @ts-expect-error no whole response
read({ namespace: 'user-cache', expire: { 200: '1h', 206: '1h' } })
// @ts-expect-error not a status
read({ namespace: 'user-cache', expire: { ok: '1h' } })
// @ts-expect-error no duration
read({ namespace: 'user-cache', expire: { 200: true } })
// @ts-expect-error a list is no table
read({ namespace: 'user-cache', expire: ['1h'] })
// @ts-expect-error no whole response
app.register(apiCache, { expire: { 206: '1h' } })
// @ts-expect-error not a status, in a config that Fastify infers
app.get('/', { config: { cache: { namespace: 'user-cache', expire: { 200: '1h', 600: '1h' } } } }, handler)
// @ts-expect-error no duration, in a config that Fastify infers
app.get('/', { config: { cache: { namespace: 'user-cache', expire: { 200: '1h', 404: true } } } }, handler)
// @ts-expect-error a share is a number
read({ namespace: 'user-cache', jitter: '10%' })
// @ts-expect-error no such scope
app.get('/', { config: { cache: { namespace: 'user-cache', scope: 'private' } } }, handler)
// @ts-expect-error no such place
app.get('/', { config: { cache: { namespace: 'user-cache', serveFrom: 'preHandler' } } }, handler)
// @ts-expect-error a revision is a text
read({ namespace: 'user-cache', revision: 1 })
// @ts-expect-error statuses are numbers
app.get('/', { config: { cache: { namespace: 'user-cache', statuses: ['200'] } } }, handler)
// @ts-expect-error reading or writing, not both
app.get('/', { config: { cache: { namespace: 'user-cache', invalidate: 'user-cache' } } }, handler)

// What a route declares for writing
const write = (cache: WritePolicy): FastifyInstance => app.post('/', { config: { cache } }, handler)
write({ invalidate: 'user-cache' })
write({ invalidate: ['user-cache', 'post-cache'] })
write({ invalidate: (request, payload) => [request.id, String(payload)], invalidateTags: (request) => request.id })
write({ invalidateTags: ['user:1'], invalidateOn: 'settled' })
write({ invalidate: { namespaces: ['user-cache'], soft: '30s' }, invalidateTags: { tags: (request) => request.id, soft: 60 } })
// @ts-expect-error a soft write says for how long
write({ invalidate: { namespaces: 'user-cache' } })
// @ts-expect-error tags belong to invalidateTags
write({ invalidate: { tags: 'user:1', soft: '30s' } })
// @ts-expect-error no such choice
write({ invalidate: 'user-cache', invalidateOn: 'always' })
write({ invalidate: (request) => request.id === '' ? undefined : [request.id], invalidateTags: () => null })
// @ts-expect-error a promise is no list
write({ invalidate: async () => 'user-cache' })
// @ts-expect-error a name is a text
write({ invalidateTags: () => [1] })
// @ts-expect-error says nothing
app.post('/', { config: { cache: {} } }, handler)
// @ts-expect-error no such field
app.post('/', { config: { cache: { invalidates: 'user-cache' } } }, handler)
// @ts-expect-error a name is a text
app.post('/', { config: { cache: { invalidate: 1 } } }, handler)

// No policy
app.get('/', { config: { cache: false } }, handler)
app.post('/', { config: { cache: false } }, handler)
const isCached: boolean = Math.random() < 0.5
app.get('/', { config: { cache: isCached && oneDay({ namespace: 'user-cache' }) } }, handler)
// @ts-expect-error what would it be?
app.get('/', { config: { cache: true } }, handler)

app.get('/policy', async (request) => {
  expectTypeOf(request.routeOptions.config.cache).toExtend<ReadPolicy | WritePolicy | false | undefined>()
  return {}
})

// Durations
expectTypeOf(ONE_DAY_IN_SECONDS).toExtend<number>()
expectTypeOf(oneDay({ namespace: 'user-cache' })).toEqualTypeOf<ReadPolicy>()
// @ts-expect-error oneDay is the expire
oneDay({ namespace: 'user-cache', expire: 60 })
// @ts-expect-error a namespace is required
oneDay({})
// @ts-expect-error no such field
oneDay({ namespace: 'user-cache', querys: ['skip'] })

// fastify.apiCache
expectTypeOf(app.apiCache).toEqualTypeOf<ApiCache>()
expectTypeOf(app.apiCache.invalidate).parameter(0).toEqualTypeOf<string | readonly string[]>()
expectTypeOf(app.apiCache.invalidate).returns.toEqualTypeOf<Promise<Invalidated>>()
expectTypeOf(app.apiCache.invalidate).parameter(1).exclude(undefined).toHaveProperty('soft')
expectTypeOf(app.apiCache.invalidateTags).returns.toEqualTypeOf<Promise<Invalidated>>()
expectTypeOf(app.apiCache.clear).returns.toEqualTypeOf<Promise<Invalidated>>()
expectTypeOf(app.apiCache.writing('user-cache', async () => 1)).toEqualTypeOf<Promise<number>>()
expectTypeOf(app.apiCache.writing({ tags: ['a'] }, () => 'text', { unrecorded: 'run' })).toEqualTypeOf<Promise<string>>()
expectTypeOf(app.apiCache.writing).parameter(0).toEqualTypeOf<WritingNames>()
expectTypeOf(app.apiCache.writing).parameter(2).toEqualTypeOf<WritingOptions | undefined>()
// @ts-expect-error no such choice
app.apiCache.writing('user-cache', () => 1, { unrecorded: 'wait' })
expectTypeOf<Invalidated>().toEqualTypeOf<{ readonly delivered: boolean, readonly swept: Promise<number> }>()
expectTypeOf(app.apiCache.keys('user-cache')).toExtend<AsyncIterable<string>>()
expectTypeOf(app.apiCache.stats()).toEqualTypeOf<Stats>()
expectTypeOf(app.apiCache.settled()).toEqualTypeOf<Promise<void>>()
// @ts-expect-error a name is a text
app.apiCache.invalidate(1)

// The rest of the names
expectTypeOf(redisFromEnvironment()).toExtend<ApiCacheOptions['redis']>()
expectTypeOf<ApiCacheOptions>().toExtend<ReadDefaults>()
expectTypeOf<'user-cache'>().toExtend<Invalidation>()
expectTypeOf(apiCache.decodeEntry).returns.toExtend<Entry | undefined>()
expectTypeOf(new apiCache.MemoryStore({ maxBytes: 1024 })).toExtend<CacheStore>()

// A scope may be what a user's id is, or nothing
app.get('/scope', { config: { cache: { namespace: 'a', expire: 1, scope: (): number | undefined => undefined } } }, async () => 1)
app.get('/scope', { config: { cache: { namespace: 'a', expire: 1, scope: (): string | null => null } } }, async () => 1)
// @ts-expect-error true is no scope
app.get('/scope', { config: { cache: { namespace: 'a', expire: 1, scope: () => true } } }, async () => 1)

// Inside a handler
app.get('/inside', async (_request, reply) => {
  expectTypeOf(reply.cached({ namespace: 'a', expire: 1 }, () => 1)).toEqualTypeOf<Promise<number>>()
  expectTypeOf(reply.cachedValue({ namespace: 'a', expire: 1, key: () => 'a' }, async () => 'a')).toEqualTypeOf<Promise<string>>()
  // @ts-expect-error all hooks have run
  return reply.cached({ namespace: 'a', expire: 1, serveFrom: 'onRequest' }, () => 1)
})

// Functions of a policy inside a handler get the route's own request
app.get<{ Params: { id: string }, Querystring: { lives?: number } }>('/inside/:id', async (request, reply) => {
  expectTypeOf(reply.cached({
    namespace: ({ params }) => params.id,
    expire: ({ query }) => query.lives ?? 1,
    scope: ({ query }) => query.lives,
    key: ({ params }) => params.id.trim(),
    tags: ({ params }, payload) => {
      expectTypeOf(payload).toBeUnknown()
      return [params.id]
    },
    when: (given, reply, payload) => {
      expectTypeOf(given).toEqualTypeOf(request)
      expectTypeOf(reply).toEqualTypeOf<FastifyReply>()
      expectTypeOf(payload).toBeUnknown()
      return true
    }
  }, () => 1)).toEqualTypeOf<Promise<number>>()
  // @ts-expect-error no such parameter
  await reply.cached({ namespace: 'a', expire: 1, key: ({ params }) => params.name }, () => 1)
  // @ts-expect-error a key is a text
  await reply.cached({ namespace: 'a', expire: 1, key: ({ query }) => query.lives }, () => 1)
  // @ts-expect-error no such field
  await reply.cached({ namespace: 'a', expires: 1 }, () => 1)
  return await reply.cachedValue({ namespace: 'a', expire: 1, key: ({ params }) => params.id, tags: ['a'] }, () => 1)
})
app.withTypeProvider<TypeBoxTypeProvider>().get('/inside/:id', { schema: { params: Type.Object({ id: Type.Integer() }) } }, async (_request, reply) => {
  return await reply.cached({ namespace: 'a', expire: 1, key: ({ params }) => params.id.toFixed() }, () => 1)
})
app.withTypeProvider<ZodTypeProvider>().get('/inside/:id', { schema: { params: z.object({ id: z.coerce.number() }) } }, async (_request, reply) => {
  return await reply.cached({ namespace: 'a', expire: 1, tags: ({ params }) => [params.id.toFixed()] }, () => 1)
})
// A policy that is a constant, and one for any route
const constant = { namespace: 'a', expire: '15m', scope: 'shared' } as const
const forAny: Omit<ReadPolicy, 'serveFrom'> = { namespace: 'a', expire: 1, key: ({ url }) => url }
app.get<{ Params: { id: string } }>('/inside/:id', async (_request, reply) => await reply.cached(constant, () => 1))
app.get<{ Params: { id: string } }>('/inside/:id', async (_request, reply) => await reply.cached(forAny, () => 1))
async function inside (reply: FastifyReply): Promise<number> { return await reply.cached(forAny, () => 1) }
app.get<{ Params: { id: string } }>('/inside/:id', async (_request, reply) => await inside(reply))

// Functions of a policy may declare what requests of the route are
interface Cat { Params: { id: string }, Querystring: { lives?: number } }
app.get<Cat>('/:id', {
  config: {
    cache: {
      namespace: ({ params }: FastifyRequest<Cat>) => params.id,
      expire: 1,
      key: ({ params, query }: FastifyRequest<Cat>) => `${params.id.trim()} ${query.lives?.toFixed() ?? ''}`,
      scope: ({ query }: FastifyRequest<Cat>) => query.lives,
      tags: ({ params }: FastifyRequest<Cat>, payload) => {
        expectTypeOf(payload).toBeUnknown()
        return [params.id]
      },
      when: ({ params }: FastifyRequest<Cat>, reply, payload) => {
        expectTypeOf(reply).toEqualTypeOf<FastifyReply>()
        expectTypeOf(payload).toBeUnknown()
        return params.id !== ''
      }
    }
  }
}, async (request) => request.params.id)
app.get<Cat>('/:id', { config: { cache: oneDay({ namespace: 'a', key: ({ params }: FastifyRequest<Cat>) => params.id }) } }, handler)
app.put<Cat>('/:id', { config: { cache: { invalidate: ({ params }: FastifyRequest<Cat>) => params.id, invalidateTags: ({ params }: FastifyRequest<Cat>) => [params.id] } } }, handler)
app.get('/inside/:id', async (request, reply) => await reply.cached({ namespace: 'a', expire: 1, key: ({ params }: FastifyRequest<Cat>) => params.id }, () => 1))
// @ts-expect-error no such parameter
app.get<Cat>('/:id', { config: { cache: { namespace: 'a', expire: 1, key: ({ params }: FastifyRequest<Cat>) => params.name } } }, handler)
// @ts-expect-error a request, not a reply
app.get('/', { config: { cache: { namespace: 'a', expire: 1, key: (reply: FastifyReply) => String(reply.statusCode) } } }, handler)
// @ts-expect-error a key is a text
app.get('/', { config: { cache: { namespace: 'a', expire: 1, key: ({ query }: FastifyRequest<Cat>) => query.lives } } }, handler)
// A config of the application's own beside ours
app.get('/', { config: { own: 1, cache: { namespace: 'a', expire: 1, key: ({ url }) => url } } }, async ({ routeOptions }) => routeOptions.config.own.toFixed())

// What makes a request somebody's
app.register(apiCache, { credentials: { headers: ['x-api-key'], cookies: ['session', 'sb-*'] } })
read({ namespace: 'user-cache', credentials: { cookies: [] } })
// @ts-expect-error no such field
read({ namespace: 'user-cache', credentials: { cookie: ['session'] } })
expectTypeOf<Credentials>().toEqualTypeOf<{ headers?: readonly string[], cookies?: readonly string[] }>()
