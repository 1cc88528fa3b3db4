import { once } from 'node:events'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { followOutbox, type OutboxCache } from '../../lib/postgres/index.js'
import { startChild } from '../support/child-process.js'
import { fileRedis } from '../support/each-store.js'
import { gate } from '../support/gate.js'
import { startRedis } from '../support/redis-server.js'
import { serving, type Serving } from '../support/serving.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { following, nextTurn, openDatabase, outboxOf } from './database.js'
import type { PGlite } from '@electric-sql/pglite'

const redis = fileRedis()

async function pricesServed (t: Test, database: () => PGlite, url = redis().url, timeout = 10_000): Promise<Serving> {
  return await serving(t, { redis: url, host: false, expire: '1 hour', timeout, prefix: t.name.replace(/\W/g, '-').slice(0, 60) }, (app) => {
    app.get('/prices', { config: { cache: { namespace: 'price-cache' } } }, async () =>
      (await database().query('select item, euros from prices order by item')).rows)
    app.get('/users/1', { config: { cache: { namespace: 'user-cache', tags: ['user:1'] } } }, async () =>
      (await database().query('select name from users where id = 1')).rows)
  })
}

/** Asks until the answer is in the cache, and returns it. */
async function cached ({ app, request }: Serving, path: string): Promise<string> {
  for (;;) {
    const { cache, text } = await request(path)
    if (cache === 'HIT') return text
    await app.apiCache.settled()
  }
}

async function pglite (t: Test, folder?: string): Promise<PGlite> {
  const database = await openDatabase(folder)
  t.teardown(() => database.close())
  return database
}

/** A cache that says what it was told, and confirms what the test lets it confirm. */
function listener (confirms: () => boolean | Promise<boolean> = () => true): { cache: OutboxCache, told: string[] } {
  const told: string[] = []
  const take = async (names: readonly string[]): Promise<{ delivered: boolean }> => {
    told.push(...names)
    return { delivered: await confirms() }
  }
  return { told, cache: { invalidate: take, invalidateTags: take } }
}

t.test('changes made by hand invalidate what they make stale, by namespace and by row', async (t) => {
  const database = await pglite(t)
  const served = await pricesServed(t, () => database)
  const { emptied } = following(t, database, served.app.apiCache)
  await database.exec("insert into prices values ('tea', 3, null); insert into users values (1, 1, 'Ann'), (2, 1, 'Bob')")
  await emptied()
  t.equal(await cached(served, '/prices'), '[{"item":"tea","euros":3}]')
  t.equal(await cached(served, '/users/1'), '[{"name":"Ann"}]')

  await database.exec('update prices set euros = 4')
  await emptied()
  t.equal(await cached(served, '/prices'), '[{"item":"tea","euros":4}]')
  await database.exec("update users set name = 'Bo' where id = 2 and team = 2")
  await emptied()
  t.equal((await served.request('/users/1')).cache, 'HIT')
  await database.exec("update users set name = 'Anna' where id = 1")
  await emptied()
  t.equal(await cached(served, '/users/1'), '[{"name":"Anna"}]')
})

t.test('what a process committed before it was killed is invalidated by the next one', async (t) => {
  const folder = join(await temporaryFolder(t), 'database')
  const before = await openDatabase(folder)
  let database = before
  const served = await pricesServed(t, () => database)
  t.equal(await cached(served, '/prices'), '[]')
  await before.close()

  const writer = await startChild(join(__dirname, 'outbox-writer.js'), folder)
  await writer.kill()

  database = await pglite(t, folder)
  t.equal(await cached(served, '/prices'), '[]', 'nobody has invalidated yet')
  const { emptied } = following(t, database, served.app.apiCache)
  await emptied()
  t.equal(await cached(served, '/prices'), '[{"item":"tea","euros":4}]')
})

t.test('a row with a lower id that becomes visible later is delivered, too', async (t) => {
  const database = await pglite(t)
  const { cache, told } = listener()
  const { emptied } = following(t, database, cache)
  const insert = 'insert into api_cache.outbox (id, namespaces) overriding system value values '
  await database.exec(`${insert} (7, '{seven}')`)
  await emptied()
  await database.exec(`${insert} (6, '{six}')`)
  await emptied()
  t.same(told, ['seven', 'six'])
})

t.test('rows stay until the store has confirmed', async (t) => {
  const database = await pglite(t)
  let confirms = false
  const attempts = gate()
  const { cache, told } = listener(() => {
    if (told.length === 3) attempts.open()
    return confirms
  })
  const { emptied, errors } = following(t, database, cache)
  await database.exec("insert into prices values ('tea', 3, null)")
  await attempts.opened
  t.same(await outboxOf(database), [{ namespaces: ['price-cache'], tags: [] }])
  confirms = true
  await emptied()
  t.match(errors, [{ code: 'FST_API_CACHE_STORE_UNAVAILABLE' }, { code: 'FST_API_CACHE_STORE_UNAVAILABLE' }])
})

t.test('a cache that rejects what was not delivered counts as one that did not confirm', async (t) => {
  const database = await pglite(t)
  let rejects = true
  const { cache, told } = listener(() => {
    if (!rejects) return true
    rejects = false
    throw new Error('no Redis')
  })
  const { emptied, errors } = following(t, database, cache)
  await database.exec("insert into prices values ('tea', 3, null)")
  await emptied()
  t.same(told, ['price-cache', 'price-cache'])
  t.match(errors, [{ message: 'no Redis' }])
})

t.test('what is written while Redis is down is delivered when it is back', async (t) => {
  const own = await startRedis()
  t.teardown(() => own.stop())
  const database = await pglite(t)
  const served = await pricesServed(t, () => database, own.url, 300)
  await database.exec("insert into prices values ('tea', 3, null)")
  const { emptied, errors } = following(t, database, served.app.apiCache)
  await emptied()
  t.equal(await cached(served, '/prices'), '[{"item":"tea","euros":3}]')

  own.pause()
  await database.exec('update prices set euros = 4')
  while (errors.length < 2) await nextTurn()
  t.same(await outboxOf(database), [{ namespaces: ['price-cache'], tags: [] }])
  await database.exec('update prices set euros = 5')
  own.resume()
  await emptied()
  t.equal(await cached(served, '/prices'), '[{"item":"tea","euros":5}]')
})

t.test('while PostgreSQL is away the follower tries less and less often, and goes on when it is back', async (t) => {
  const database = await pglite(t)
  await database.exec("insert into prices values ('tea', 3, null)")
  const { cache, told } = listener()
  const times: number[] = []
  const back = gate()
  const follower = followOutbox({
    cache,
    interval: 1,
    query: async (sql, parameters) => {
      if (times.length < 4) throw new Error('connection refused')
      return await database.query<object>(sql, parameters)
    },
    onError: () => {
      times.push(performance.now())
      follower.wake()
      if (times.length === 4) back.open()
    }
  })
  t.teardown(() => follower.close())
  await back.opened
  const pauses = times.slice(1).map((time, index) => time - times[index]!)
  t.ok(pauses[0]! >= 99 && pauses[1]! >= 199 && pauses[2]! >= 399, `paused for ${pauses.map(Math.round).join(', ')} ms`)
  while (told.length === 0) await nextTurn()
  t.same(told, ['price-cache'])
})

t.test('a notification wakes the follower, and nothing is lost without any', async (t) => {
  const database = await pglite(t)
  const { cache, told } = listener()
  const { follower, emptied } = following(t, database, cache, 1_000_000)
  await emptied()
  const unlisten = await database.listen('api_cache', () => { follower.wake() })
  await database.exec("insert into prices values ('tea', 3, null)")
  await emptied()
  t.same(told, ['price-cache'])

  // As if the connection had been lost and made anew: nobody listens, and nobody knows.
  await unlisten()
  await database.exec('update prices set euros = 4')
  const later = following(t, database, cache)
  await later.emptied()
  t.same(told, ['price-cache', 'price-cache'])
})

t.test('two followers share the rows', async (t) => {
  const database = await pglite(t)
  const held = gate<boolean>()
  const first = listener(() => held.opened)
  const second = listener()
  await database.exec("insert into api_cache.outbox (namespaces) values ('{first}')")
  following(t, database, first.cache)
  while (first.told.length === 0) await nextTurn()
  await database.exec("insert into api_cache.outbox (namespaces) values ('{second}')")
  const { emptied } = following(t, database, second.cache)
  while (second.told.length === 0) await nextTurn()
  held.open(true)
  await emptied()
  t.same([first.told, second.told], [['first'], ['second']])
})

t.test('rows of a follower that crashed are taken over when its claim has expired', async (t) => {
  const database = await pglite(t)
  const { cache, told } = listener()
  await database.exec(`insert into api_cache.outbox (namespaces, claimed_until) values
    ('{expired}', now() - interval '1 second'), ('{held}', now() + interval '1 hour')`)
  following(t, database, cache)
  while (told.length === 0) await nextTurn()
  t.same(told, ['expired'])
  t.same((await outboxOf(database)).map(({ namespaces }) => namespaces), [['held']])
})

t.test('what a follower had claimed when it was killed stays in the outbox, and is delivered by the next one', async (t) => {
  const folder = join(await temporaryFolder(t), 'database')
  const before = await openDatabase(folder)
  await before.exec("insert into prices values ('tea', 4, null)")
  await before.close()
  const crashing = await startChild(join(__dirname, 'claiming-follower.js'), folder)
  await crashing.kill()

  const database = await pglite(t, folder)
  t.same((await database.query('select claimed_until is not null as claimed from api_cache.outbox')).rows, [{ claimed: true }])
  // As if the time of the claim had passed.
  await database.exec("update api_cache.outbox set claimed_until = clock_timestamp() - interval '1 second'")
  const { cache, told } = listener()
  const { emptied } = following(t, database, cache)
  await emptied()
  t.same(told, ['price-cache'])
})

t.test('many rows are delivered in batches, each name once per batch', async (t) => {
  const database = await pglite(t)
  const { cache, told } = listener()
  await database.exec("insert into api_cache.outbox (namespaces, tags) select '{all}', array['row:' || n] from generate_series(1, 250) n")
  const { emptied } = following(t, database, cache)
  await emptied()
  t.equal(told.filter((name) => name === 'all').length, 3)
  t.equal(new Set(told).size, 251)
})

t.test('close() waits for the batch in progress, and nothing runs after it', async (t) => {
  const database = await pglite(t)
  const begun = gate()
  const held = gate<boolean>()
  const { cache, told } = listener(() => {
    begun.open()
    return held.opened
  })
  const { follower } = following(t, database, cache, 1)
  await database.exec("insert into prices values ('tea', 3, null)")
  await begun.opened
  const closed = follower.close()
  held.open(true)
  await closed
  t.same(await outboxOf(database), [])
  await database.exec('update prices set euros = 4')
  follower.wake()
  for (let turn = 0; turn < 20; turn++) await nextTurn()
  t.same(told, ['price-cache'])
})

t.test('a process whose follower is closed ends', async (t) => {
  const child = await startChild(join(__dirname, 'closing-follower.js'))
  if (child.process.exitCode === null) await once(child.process, 'exit')
  t.equal(child.process.exitCode, 0)
})

t.test('followOutbox refuses options that cannot work', async (t) => {
  const options = { query: async () => ({ rows: [] }), cache: listener().cache, onError: () => {} }
  for (const [wrong, code] of [
    [{ ...options, query: undefined }, 'MISSING_FIELD'], [{ ...options, onError: undefined }, 'MISSING_FIELD'],
    [{ ...options, interval: 0 }, 'INVALID_FIELD'], [{ ...options, channel: 'a' }, 'UNKNOWN_FIELD']
  ] as const) t.throws(() => followOutbox(wrong as never), { code: `FST_API_CACHE_${code}` })
})
