import Fastify from 'fastify'
import { Redis } from 'ioredis'
import pino from 'pino'
import { expectTypeOf } from 'expect-type'
import type { Invalidated } from 'fastify-api-cache'
import { createApiCache, InvalidNameError, type ApiCacheClient, type ClientOptions } from 'fastify-api-cache/client'

expectTypeOf(createApiCache).returns.toEqualTypeOf<ApiCacheClient>()
createApiCache()
createApiCache({ redis: new Redis(), prefix: 'api-cache', timeout: 500, logger: pino() })
createApiCache({ redis: { host: '127.0.0.1' }, logger: Fastify().log })
createApiCache({ redis: 'redis://127.0.0.1', logger: console })
// @ts-expect-error a route's option
createApiCache({ expire: 60 })
// @ts-expect-error a number of milliseconds
createApiCache({ timeout: '500ms' } satisfies ClientOptions)

const cache = createApiCache()
expectTypeOf(cache.invalidate).returns.toEqualTypeOf<Promise<Invalidated>>()
expectTypeOf(cache.clear).returns.toEqualTypeOf<Promise<Invalidated>>()
expectTypeOf(cache.writing('user-cache', () => 1)).toEqualTypeOf<Promise<number>>()
expectTypeOf(cache.keys('user-cache')).toExtend<AsyncIterable<string>>()
expectTypeOf(cache.namespaces()).toExtend<AsyncIterable<string>>()
expectTypeOf(cache.close()).toEqualTypeOf<Promise<void>>()
expectTypeOf(new InvalidNameError('invalidate', '1').code).toExtend<string>()
