import { PGlite } from '@electric-sql/pglite'
import type { Test } from 'tap'
import { followOutbox, outboxSql, type OutboxCache, type OutboxFollower } from '../../lib/postgres/index.js'

/** A PostgreSQL of the test's own, with users and prices and their outbox; in `folder` it outlives its process. */
export async function openDatabase (folder?: string): Promise<PGlite> {
  const database = folder === undefined ? await PGlite.create() : await PGlite.create(folder)
  await database.exec(`
    create table if not exists users (id int primary key, team int, name text);
    create table if not exists prices (item text primary key, euros int,
      owner int references users on delete cascade);` +
    outboxSql({
      tables: [
        { table: 'prices', namespaces: 'price-cache' },
        { table: 'users', rows: { tags: { 'user:': 'id', 'team:': 'team' }, otherwise: 'user-cache' } }
      ]
    }))
  return database
}

export interface OutboxRow {
  namespaces: string[]
  tags: string[]
}

/** What the outbox holds, oldest first. */
export async function outboxOf (database: PGlite): Promise<OutboxRow[]> {
  const { rows } = await database.query<OutboxRow>('select namespaces, tags from api_cache.outbox order by id')
  return rows.map(({ namespaces, tags }) => ({ namespaces, tags: tags.sort() }))
}

export interface Following {
  readonly follower: OutboxFollower
  readonly errors: unknown[]
  /** Resolves when the outbox is empty. */
  emptied (): Promise<void>
}

/** Follows the outbox until the test ends. */
export function following (t: Test, database: PGlite, cache: OutboxCache, interval = 20): Following {
  const errors: unknown[] = []
  const follower = followOutbox({
    query: (sql, parameters) => database.query<object>(sql, parameters),
    cache,
    onError: (error) => { errors.push(error) },
    interval
  })
  t.teardown(() => follower.close())
  return {
    follower,
    errors,
    async emptied () { while ((await outboxOf(database)).length > 0) await nextTurn() }
  }
}

export const nextTurn = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve) })
