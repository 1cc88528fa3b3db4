import { expectTypeOf } from 'expect-type'
import Fastify from 'fastify'
import apiCache, * as names from 'fastify-api-cache'
import type {
  ApiCache, ApiCacheOptions, BodyKind, CacheStore, Decision, Duration, Entry, FillEvent, Intents, Invalidation,
  InvalidationEvent, Leases, LocalOptions, Lookup, MaybePromise, MemoryOptions, ReadDefaults, ReadPolicy, SoftenedAt,
  SoftNamespaces, SoftTags, SoftWrites, Stats, StoredHeaders, StoreEvent, SweepEvent, WritePolicy
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
expectTypeOf<BodyKind>().toEqualTypeOf<apiCache.BodyKind>()
expectTypeOf<CacheStore>().toEqualTypeOf<apiCache.CacheStore>()
expectTypeOf<Decision>().toEqualTypeOf<apiCache.Decision>()
expectTypeOf<Duration>().toEqualTypeOf<apiCache.Duration>()
expectTypeOf<Entry>().toEqualTypeOf<apiCache.Entry>()
expectTypeOf<FillEvent>().toEqualTypeOf<apiCache.FillEvent>()
expectTypeOf<Intents>().toEqualTypeOf<apiCache.Intents>()
expectTypeOf<Invalidation>().toEqualTypeOf<apiCache.Invalidation>()
expectTypeOf<InvalidationEvent>().toEqualTypeOf<apiCache.InvalidationEvent>()
expectTypeOf<Leases>().toEqualTypeOf<apiCache.Leases>()
expectTypeOf<LocalOptions>().toEqualTypeOf<apiCache.LocalOptions>()
expectTypeOf<Lookup>().toEqualTypeOf<apiCache.Lookup>()
expectTypeOf<MaybePromise<1>>().toEqualTypeOf<apiCache.MaybePromise<1>>()
expectTypeOf<MemoryOptions>().toEqualTypeOf<apiCache.MemoryOptions>()
expectTypeOf<ReadDefaults>().toEqualTypeOf<apiCache.ReadDefaults>()
expectTypeOf<ReadPolicy>().toEqualTypeOf<apiCache.ReadPolicy>()
expectTypeOf<SoftenedAt>().toEqualTypeOf<apiCache.SoftenedAt>()
expectTypeOf<SoftNamespaces>().toEqualTypeOf<apiCache.SoftNamespaces>()
expectTypeOf<SoftTags>().toEqualTypeOf<apiCache.SoftTags>()
expectTypeOf<SoftWrites>().toEqualTypeOf<apiCache.SoftWrites>()
expectTypeOf<Stats>().toEqualTypeOf<apiCache.Stats>()
expectTypeOf<StoredHeaders>().toEqualTypeOf<apiCache.StoredHeaders>()
expectTypeOf<StoreEvent>().toEqualTypeOf<apiCache.StoreEvent>()
expectTypeOf<SweepEvent>().toEqualTypeOf<apiCache.SweepEvent>()
expectTypeOf<WritePolicy>().toEqualTypeOf<apiCache.WritePolicy>()

const app = Fastify()
app.register(apiCache, { store: 'memory' })
app.get('/', { config: { cache: names.oneDay({ namespace: 'user-cache' }) } }, async () => ({}))
// @ts-expect-error no such field
app.get('/typo', { config: { cache: names.oneDay({ namespace: 'user-cache', querys: ['skip'] }) } }, async () => ({}))
