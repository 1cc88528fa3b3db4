import assert from 'node:assert/strict'
import { Redis } from 'ioredis'
import t from 'tap'
import { RedisStore } from '../../lib/store/redis/redis-store.js'
import { startRedis, type RedisServer } from '../support/redis-server.js'

/*
 * What a soft write records beside a version in Redis: docs/protocol.md. Records with other times are written by hand.
 */
const NAME = 'p!version:a'
const RECORD = `${NAME}~soft{${NAME}}`
const MINUTE = 60_000

let server: RedisServer
let control: Redis
let store: RedisStore
t.before(async () => {
  server = await startRedis()
  control = new Redis(server.port, '127.0.0.1')
  store = new RedisStore(new Redis(server.port, '127.0.0.1'), true)
  await store.opened(10_000)
})
t.beforeEach(() => control.flushall())
t.teardown(async () => {
  control.disconnect()
  await store.close()
  await server.stop()
})

interface Item {
  readonly replaced: string
  readonly beginning: string
  readonly at: number
  readonly until: number
}

async function record (): Promise<{ current: string, items: Item[], left: number } | undefined> {
  const [text, left] = [await control.get(RECORD), await control.pttl(RECORD)]
  if (text === null) return undefined
  assert.match(text, /^[0-9a-f]{40}(?: [^,\s]+,[0-9a-f]+,\d{13},\d{13})+$/)
  const [current, ...items] = text.split(' ')
  return {
    current: current!,
    left,
    items: items.map((item) => {
      const [replaced, beginning, at, until] = item.split(',') as [string, string, string, string]
      return { replaced, beginning, at: Number(at), until: Number(until) }
    })
  }
}

/** Milliseconds of Redis's clock. */
async function now (): Promise<number> {
  const [seconds, microseconds] = await control.time() as unknown as [number | string, number | string]
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000)
}

const ensured = async (): Promise<string> => (await store.ensure([NAME], 'a'))[0]!
const current = async (): Promise<string | undefined> => (await store.versions([NAME]))[0]
const isUsable = async (earlier: string): Promise<boolean> => (await store.soft.softened([NAME]))(NAME, earlier, await current()) !== undefined

/** A record of the current version with one earlier item, that is over in so many milliseconds. */
async function recordBy (item: Partial<Item>, left: number, named?: string): Promise<void> {
  const until = await now() + left
  const { replaced, beginning, at } = { replaced: 'earlier', beginning: 'abcdef', at: until - 10 * MINUTE, ...item }
  await control.set(RECORD, `${named ?? await ensured()} ${replaced},${beginning},${at},${until}`, 'PX', MINUTE)
}

t.test('a record names the new version, and what it has replaced, since when and until when, and is kept until then', async (t) => {
  const before = await ensured()
  const earliest = await now()
  await store.soft.bump([NAME], 'b', MINUTE, 0)
  const latest = await now()
  const { current: named, items: [item, ...others], left } = (await record())!
  t.equal(named, await current())
  t.same(others, [])
  t.equal(item!.replaced, before)
  t.equal(item!.beginning, named.slice(0, 16))
  t.ok(item!.at >= earliest && item!.at <= latest)
  t.equal(item!.until, item!.at + MINUTE)
  t.ok(left <= MINUTE && left > MINUTE - (await now() - earliest) - 1)
  t.ok(await control.pttl(NAME) > MINUTE, 'the version is kept longer')
})

t.test('soft writes at about the same time share an item, and later ones have their own', async (t) => {
  const before = await ensured()
  await store.soft.bump([NAME], 'b', MINUTE, 0)
  const [first] = (await record())!.items
  const between = (await current())!
  await store.soft.bump([NAME], 'c', MINUTE, 0)
  t.same((await record())!.items, [first])
  t.same([await isUsable(before), await isUsable(between)], [true, true])

  for (const [part, isShared] of [[0.95, true], [0.8, false]] as const) {
    const version = (await current())!
    const given = { beginning: version.slice(0, 16) }
    await recordBy(given, MINUTE * part)
    await store.soft.bump([NAME], 'd', MINUTE, 0)
    const { items: [kept, own] } = (await record())!
    t.equal(kept!.beginning, given.beginning)
    t.equal(own === undefined, isShared)
    t.equal((await current())!.startsWith(given.beginning), isShared)
    t.equal(await isUsable(version), true)
  }
})

t.test('an item of others is not shared, however late it is over', async (t) => {
  await recordBy({}, MINUTE)
  const version = (await current())!
  await store.soft.bump([NAME], 'b', MINUTE, 0)
  t.same((await record())!.items.map(({ replaced }) => replaced), ['earlier', version])
  t.same([await isUsable('earlier'), await isUsable(version)], [true, true])
})

t.test('what is over before half of the time of a soft write is dropped, and what is over later ends the record', async (t) => {
  for (const [left, isKept] of [[MINUTE * 0.4, false], [MINUTE * 0.6, true]] as const) {
    await recordBy({}, left)
    const until = (await control.get(RECORD))!.split(',').at(-1)
    await store.soft.bump([NAME], 'b', MINUTE, 0)
    const { items, left: kept } = (await record())!
    t.equal(items.length, isKept ? 2 : 1)
    if (isKept) t.equal(String(items[0]!.until), until)
    const longest = isKept ? left : MINUTE
    t.ok(kept <= longest && kept > longest / 2)
  }
})

t.test('of several items each is kept, and the record ends with the first', async (t) => {
  const version = await ensured()
  const time = await now()
  const items = [['first', 'abcd', time - 3, time + MINUTE * 0.6], ['second', 'ef01', time - 2, time + MINUTE * 0.7]].map((item) => item.join())
  await control.set(RECORD, [version, ...items].join(' '), 'PX', MINUTE)
  await store.soft.bump([NAME], 'b', MINUTE, 0)
  t.match(await control.get(RECORD), ` ${items.join(' ')} ${version},`)
  t.ok((await record())!.left <= MINUTE * 0.6)
  for (const replaced of ['first', 'second', version]) t.equal(await isUsable(replaced), true)
})

t.test('a shorter soft write brings the end of earlier ones forward, and a longer one after it does not bring it back', async (t) => {
  const before = await ensured()
  await store.soft.bump([NAME], 'b', 10 * MINUTE, 0)
  const since = (await record())!.items[0]!.at
  await store.soft.bump([NAME], 'c', MINUTE, 0)
  const { items: [shortened] } = (await record())!
  t.ok(shortened!.until <= await now() + MINUTE)
  t.equal(shortened!.at, since)
  await store.soft.bump([NAME], 'd', 1.5 * MINUTE, 0)
  const { items: [kept], left } = (await record())!
  t.same(kept, shortened)
  t.ok(left <= MINUTE)
  t.equal(await isUsable(before), true)
})

t.test('a record of another version counts for nothing, and is replaced', async (t) => {
  const version = await ensured()
  await recordBy({}, MINUTE, 'another')
  t.equal(await isUsable('earlier'), false)
  await store.soft.bump([NAME], 'b', MINUTE, 0)
  t.same((await record())!.items.map(({ replaced }) => replaced), [version])
})

t.test('a version that does not exist, is of another run, or is held has no record', async (t) => {
  await store.soft.bump([NAME], 'b', MINUTE, 0)
  t.equal(await control.get(RECORD), null)
  await control.set(NAME, 'old.0123456789ab')
  await store.soft.bump([NAME], 'b', MINUTE, 0)
  t.not(await control.get(NAME), 'old.0123456789ab')
  t.equal(await control.get(RECORD), null)
  await ensured()
  await store.intents!.begin([NAME], 'writer', MINUTE)
  await store.soft.bump([NAME], 'b', MINUTE, 0)
  t.equal(await control.get(RECORD), null)
})

t.test('where Redis is full, or lets its user run no scripts, a soft write replaces the version at once, without a record', async (t) => {
  const version = await ensured()
  await control.config('SET', 'maxmemory', '1')
  await store.soft.bump([NAME], 'b', MINUTE, 0).finally(() => control.config('SET', 'maxmemory', '0'))
  t.not(await current(), version)
  t.equal(await control.get(RECORD), null)

  const again = await ensured()
  await control.acl('SETUSER', 'scriptless', 'on', '>secret', '~*', '&*', '+@all', '-@scripting')
  const other = new RedisStore(new Redis(server.port, '127.0.0.1', { username: 'scriptless', password: 'secret' }), true)
  t.teardown(() => other.close())
  await other.opened(10_000)
  await other.soft.bump([NAME], 'b', MINUTE, 0)
  t.not(await current(), again)
  t.equal(await control.get(RECORD), null)
})

t.test('what is no record is replaced, and nothing may be used because of it', async (t) => {
  const version = await ensured()
  const damaged = [`${version} earlier,abcdef`, `${version} earlier,xyz,1,2`, version, `${version} ${'a'.repeat(4_096)} earlier,abcdef,1,2`]
  for (const text of damaged) {
    await control.set(RECORD, text)
    t.equal(await isUsable('earlier'), false)
    t.equal(await isUsable('abcdef'), false)
  }
  await control.del(RECORD)
  await control.lpush(RECORD, 'a list')
  await store.soft.bump([NAME], 'b', MINUTE, 0)
  t.same((await record())!.items.map(({ replaced }) => replaced), [version])
})

t.test('the key of a record has the hash tag of its version', async (t) => {
  const tag = 'p!tag:{7}a'
  await store.ensure([tag], 'a')
  await store.soft.bump([tag], 'b', MINUTE, 0)
  t.equal(await control.exists(`${tag}~soft`), 1)
})

t.test('several versions are replaced by one script, each with a record of its own', async (t) => {
  const names = [NAME, 'p!version:b', 'p!version:none']
  const [a, b] = [await ensured(), (await store.ensure([names[1]!], 'another'))[0]]
  await store.soft.bump(names, 'b', MINUTE, 0)
  const versions = await store.versions(names)
  const softened = await store.soft.softened(names)
  t.ok(softened(names[0]!, a!, versions[0]) !== undefined && softened(names[1]!, b!, versions[1]) !== undefined)
  t.equal(softened(names[0]!, b!, versions[0]), undefined)
  t.equal(versions[2], undefined)
  t.equal(await control.exists('p!version:none~soft{p!version:none}'), 0)
})
