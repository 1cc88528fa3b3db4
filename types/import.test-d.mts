import { expectTypeOf } from 'expect-type'
import Fastify from 'fastify'
import apiCache, * as names from 'fastify-api-cache'
import type {
  ApiCache, ApiCacheOptions, CacheStore, Entry, Invalidation, Lookup, MemoryOptions, ReadDefaults, ReadPolicy, Stats,
  WritePolicy
} from 'fastify-api-cache'

// Every name means the same as on what require() gives, which is the default export.
expectTypeOf(names.default).toEqualTypeOf(apiCache)
expectTypeOf(names.apiCache).toEqualTypeOf(apiCache)
expectTypeOf(names.oneDay).toEqualTypeOf(apiCache.oneDay)
expectTypeOf(names.ONE_DAY_IN_SECONDS).toEqualTypeOf(apiCache.ONE_DAY_IN_SECONDS)
expectTypeOf(names.redisFromEnvironment).toEqualTypeOf(apiCache.redisFromEnvironment)
expectTypeOf(names.encodeEntry).toEqualTypeOf(apiCache.encodeEntry)
expectTypeOf(names.decodeEntry).toEqualTypeOf(apiCache.decodeEntry)
expectTypeOf(names.MemoryStore).toEqualTypeOf(apiCache.MemoryStore)
expectTypeOf(names.CLOSED).toEqualTypeOf(apiCache.CLOSED)

expectTypeOf<ApiCache>().toEqualTypeOf<apiCache.ApiCache>()
expectTypeOf<ApiCacheOptions>().toEqualTypeOf<apiCache.ApiCacheOptions>()
expectTypeOf<CacheStore>().toEqualTypeOf<apiCache.CacheStore>()
expectTypeOf<Entry>().toEqualTypeOf<apiCache.Entry>()
expectTypeOf<Invalidation>().toEqualTypeOf<apiCache.Invalidation>()
expectTypeOf<Lookup>().toEqualTypeOf<apiCache.Lookup>()
expectTypeOf<MemoryOptions>().toEqualTypeOf<apiCache.MemoryOptions>()
expectTypeOf<ReadDefaults>().toEqualTypeOf<apiCache.ReadDefaults>()
expectTypeOf<ReadPolicy>().toEqualTypeOf<apiCache.ReadPolicy>()
expectTypeOf<Stats>().toEqualTypeOf<apiCache.Stats>()
expectTypeOf<WritePolicy>().toEqualTypeOf<apiCache.WritePolicy>()

const app = Fastify()
app.register(apiCache, { store: 'memory' })
app.get('/', { config: { cache: names.oneDay({ namespace: 'user-cache' }) } }, async () => ({}))
// @ts-expect-error no such field
app.get('/typo', { config: { cache: names.oneDay({ namespace: 'user-cache', querys: ['skip'] }) } }, async () => ({}))
