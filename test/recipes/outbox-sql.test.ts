import { PGlite } from '@electric-sql/pglite'
import t from 'tap'
import { outboxSql, type OutboxOptions } from '../../lib/postgres/index.js'
import { openDatabase, outboxOf } from './database.js'

t.test('what triggers write', async (t) => {
  const database = await openDatabase()
  t.teardown(() => database.close())
  t.beforeEach(async () => { await database.exec('truncate users cascade; delete from api_cache.outbox') })

  t.test('a statement writes the names of the rows that it changes, once', async (t) => {
    await database.exec("insert into users values (1, 10, 'a'), (2, 10, 'b')")
    t.same(await outboxOf(database), [{ namespaces: [], tags: ['team:10', 'user:1', 'user:2'] }])
  })

  t.test('a row that is moved is stale where it was and where it is', async (t) => {
    await database.exec("insert into users values (1, 10, 'a'); delete from api_cache.outbox; update users set team = 11, id = 3")
    t.same(await outboxOf(database), [{ namespaces: [], tags: ['team:10', 'team:11', 'user:1', 'user:3'] }])
  })

  t.test('a deleted row, and what is deleted with it, is stale', async (t) => {
    await database.exec("insert into users values (1, 10, 'a'); insert into prices values ('tea', 3, 1); delete from api_cache.outbox")
    await database.exec('delete from users')
    t.same((await outboxOf(database)).sort((a, b) => a.tags.length - b.tags.length), [
      { namespaces: ['price-cache'], tags: [] }, { namespaces: [], tags: ['team:10', 'user:1'] }])
  })

  t.test('a statement that changes no row writes nothing', async (t) => {
    await database.exec("update users set name = 'z'; delete from prices; insert into prices select 'tea', 3, null where false")
    t.same(await outboxOf(database), [])
  })

  t.test('a column that is null has no tag', async (t) => {
    await database.exec("insert into users values (1, null, 'a')")
    t.same(await outboxOf(database), [{ namespaces: [], tags: ['user:1'] }])
  })

  t.test('a transaction that is rolled back leaves nothing, and a savepoint only what is kept', async (t) => {
    await database.exec("begin; insert into prices values ('tea', 3, null); rollback")
    t.same(await outboxOf(database), [])
    await database.exec("begin; insert into users values (1, 1, 'a'); savepoint s; insert into users values (2, 2, 'b'); rollback to s; commit")
    t.same(await outboxOf(database), [{ namespaces: [], tags: ['team:1', 'user:1'] }])
  })

  t.test('a statement on 100,000 rows writes one row with the names for all of them', async (t) => {
    await database.exec("insert into users select n, 1, 'a' from generate_series(1, 100000) n")
    t.same(await outboxOf(database), [{ namespaces: ['user-cache'], tags: [] }])
  })

  t.test('1,000 tags are written one by one', async (t) => {
    await database.exec("insert into users select n, 1, 'a' from generate_series(1, 999) n")
    t.equal((await outboxOf(database))[0]?.tags.length, 1_000)
  })

  t.test('TRUNCATE writes the names for all rows, in each table that it empties', async (t) => {
    await database.exec('truncate users cascade')
    t.same((await outboxOf(database)).map(({ namespaces }) => namespaces).sort(), [['price-cache'], ['user-cache']])
  })

  t.test('who may write to the table needs no right to write to the outbox', async (t) => {
    await database.exec("create role clerk; grant all on prices to clerk; set role clerk; insert into prices values ('tea', 3, null); reset role")
    t.same(await outboxOf(database), [{ namespaces: ['price-cache'], tags: [] }])
  })

  t.test('a name that no follower could deliver is refused by the table', async (t) => {
    for (const names of ['{*}', '{""}', '{NULL}']) {
      await t.rejects(database.query('insert into api_cache.outbox (namespaces) values ($1::text::text[])', [names]), /check constraint/)
    }
  })
})

t.test('names are quoted wherever they stand', async (t) => {
  const database = await PGlite.create()
  t.teardown(() => database.close())
  const odd = 'it\'s "odd" \\ $writer$ $$'
  const quoted = `"${odd.replaceAll('"', '""')}"`
  await database.exec(`create schema ${quoted}; create table ${quoted}.t (${quoted} text, changed int, tags text)`)
  const sql = outboxSql({
    outbox: odd, tables: [{ schema: odd, table: 't', namespaces: odd, rows: { tags: { [odd]: odd }, otherwise: odd } }]
  })
  await database.exec(sql)
  await database.exec('set standard_conforming_strings = off')
  await database.exec(sql)
  await database.query(`insert into ${quoted}.t values ($1)`, [odd])

  t.same((await database.query(`select namespaces, tags from ${quoted}.outbox`)).rows, [{ namespaces: [odd], tags: [odd + odd] }])
})

t.test('dropping the schema of the outbox removes its triggers, too', async (t) => {
  const database = await openDatabase()
  t.teardown(() => database.close())
  await database.exec("drop schema api_cache cascade; insert into prices values ('tea', 3, null)")
  t.same((await database.query("select tgname from pg_trigger where tgname like 'api_cache%'")).rows, [])
})

const refused: Array<[sentence: string, options: OutboxOptions, code: string]> = [
  ['no tables', {} as never, 'MISSING_FIELD'],
  ['a table without a name', { tables: [{ namespaces: 'a' } as never] }, 'MISSING_FIELD'],
  ['a table that invalidates nothing', { tables: [{ table: 'a' }] }, 'MISSING_FIELD'],
  ['an unknown field', { tables: [{ table: 'a', namespace: 'a' } as never] }, 'UNKNOWN_FIELD'],
  ['a name that PostgreSQL would shorten', { tables: [{ table: 'a'.repeat(57), namespaces: 'a' }] }, 'INVALID_FIELD'],
  ['an outbox with a long name', { outbox: 'a'.repeat(51), tables: [] }, 'INVALID_FIELD'],
  ['tags without names for all rows', { tables: [{ table: 'a', rows: { tags: { a: 'id' } } as never }] }, 'MISSING_FIELD'],
  ['an empty list of names for all rows', { tables: [{ table: 'a', rows: { tags: { a: 'id' }, otherwise: [] } }] }, 'INVALID_FIELD'],
  ['no tags', { tables: [{ table: 'a', rows: { tags: {}, otherwise: 'a' } }] }, 'INVALID_FIELD'],
  ['a tag without a beginning', { tables: [{ table: 'a', rows: { tags: { '': 'id' }, otherwise: 'a' } }] }, 'INVALID_FIELD'],
  ['a pattern', { tables: [{ table: 'a', namespaces: '*' }] }, 'PATTERN_NAME'],
  ['an empty name', { tables: [{ table: 'a', namespaces: '' }] }, 'INVALID_NAME']
]

for (const [sentence, options, code] of refused) {
  t.test(`outboxSql refuses ${sentence}`, async (t) => {
    t.throws(() => outboxSql(options), { code: `FST_API_CACHE_${code}` })
  })
}
