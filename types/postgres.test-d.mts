import { expectTypeOf } from 'expect-type'
import type { ApiCache } from 'fastify-api-cache'
import { followOutbox, outboxSql, type OutboxCache, type OutboxFollower } from 'fastify-api-cache/postgres'
import postgres = require('fastify-api-cache/postgres')

// fastify.apiCache is what a follower needs, and both kinds of import mean the same.
expectTypeOf<ApiCache>().toExtend<OutboxCache>()
expectTypeOf(postgres.followOutbox).toEqualTypeOf(followOutbox)
expectTypeOf(followOutbox).returns.toEqualTypeOf<OutboxFollower>()
expectTypeOf(outboxSql({ tables: [{ table: 'prices', namespaces: 'price-cache' }] })).toBeString()
// @ts-expect-error a table that is truncated does not say which rows it had
outboxSql({ tables: [{ table: 'users', rows: { tags: { 'user:': 'id' } } }] })
