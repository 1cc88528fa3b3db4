/** `fastify-api-cache/postgres`: a transactional outbox in PostgreSQL, for any driver. */

export { followOutbox } from './follow-outbox.js'
export { outboxSql } from './outbox-sql.js'
export type { FollowOptions, OutboxCache, OutboxFollower, Query } from './follow-outbox.js'
export type { OutboxOptions, RowTags, WatchedTable } from './outbox-sql.js'
