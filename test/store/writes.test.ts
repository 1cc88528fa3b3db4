import { Cluster, Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { Entry } from '../../index.js'
import { RedisStore } from '../../lib/store/redis/redis-store.js'
import { commands } from '../support/commands.js'
import { lasting } from '../support/entry.js'
import { startCluster } from '../support/redis-cluster.js'
import { startRedis, type RedisServer } from '../support/redis-server.js'
import { socketWrites } from '../support/socket-writes.js'

let server: RedisServer
let control: Redis
t.before(async () => {
  server = await startRedis()
  control = new Redis({ port: server.port })
})
t.beforeEach(() => control.flushall())
t.teardown(async () => {
  control.disconnect()
  await server.stop()
})

const HUNDRED = Array.from({ length: 100 }, (_, index) => `entry-${index}`)

const entry = (body: string | Buffer, seconds = 60): Entry => ({
  route: 'GET /', versions: {}, status: 200, headers: {}, kind: 'bytes', body: Buffer.from(body), ...lasting(seconds)
})

async function open (t: Test, client: Redis | Cluster = new Redis({ port: server.port })): Promise<RedisStore> {
  const store = new RedisStore(client, true)
  await store.opened(5_000)
  t.teardown(() => { store.close() })
  return store
}

async function bodies (store: RedisStore, keys: readonly string[]): Promise<Array<string | undefined>> {
  const found = await Promise.all(keys.map((key) => store.lookup(key, [])))
  return found.map(({ entry }) => entry?.body.toString())
}

t.test('the entries of one turn are stored with few commands, each under its own key and with its own expiry', async (t) => {
  const store = await open(t)
  const seen = await commands(server.port, () => Promise.all(HUNDRED.map((key, index) => store.set(key, entry(key, 1_000 + index * 10)))))
  t.ok(seen.length < 10 && seen.every((command) => command === 'eval'), seen.join())
  t.same(await bodies(store, HUNDRED), HUNDRED)
  const left = await Promise.all(HUNDRED.map((key) => control.ttl(key)))
  t.same(left.map((seconds) => Math.ceil(seconds / 10) * 10), HUNDRED.map((_, index) => 1_000 + index * 10))
})

t.test('of two entries for one key in one turn the later one is kept', async (t) => {
  const store = await open(t)
  const large = Buffer.alloc(5_000, 'x')
  await Promise.all([
    store.set('a', entry(large)), store.set('b', entry('first')), store.set('c', entry('c')),
    store.set('a', entry('second')), store.set('b', entry(large))
  ])
  t.same(await bodies(store, ['a', 'b', 'c']), ['second', large.toString(), 'c'])
})

t.test('an entry that is alone in its turn, or large enough for its own command, needs no script', async (t) => {
  const store = await open(t)
  t.same(await commands(server.port, () => store.set('a', entry('alone'))), ['set'])
  const large = Buffer.alloc(100_000, 'x')
  const seen = await commands(server.port, () => Promise.all(['a', 'b', 'c'].map((key) => store.set(key, entry(large)))))
  t.same(seen, ['set', 'set', 'set'])
  t.same(await bodies(store, ['a', 'b', 'c']), Array(3).fill(large.toString()))
  const encodedOnly = { ...entry(''), encoded: { br: large }, plainLength: 200_000 }
  t.same(await commands(server.port, () => Promise.all(['a', 'b', 'c'].map((key) => store.set(key, encodedOnly)))), ['set', 'set', 'set'])
})

t.test('entries too large for a script are sent in one write', async (t) => {
  const client = new Redis({ port: server.port })
  const store = await open(t, client)
  const body = Buffer.alloc(5_000, 'x')
  t.same(await socketWrites([client], () => Promise.all(['a', 'b', 'c'].map((key) => store.set(key, entry(body))))), [1])
})

t.test('a user without permission to run scripts can still store', async (t) => {
  await control.acl('SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-eval')
  const store = await open(t, new Redis({ port: server.port, username: 'app', password: 'secret' }))
  await Promise.all(HUNDRED.map((key) => store.set(key, entry(key))))
  t.same(await bodies(store, HUNDRED), HUNDRED)
})

t.test('a client\'s keyPrefix is added to each key', async (t) => {
  const store = await open(t, new Redis({ port: server.port, keyPrefix: 'app:' }))
  await Promise.all(HUNDRED.map((key) => store.set(key, entry(key))))
  t.same((await control.keys('*')).sort(), HUNDRED.map((key) => `app:${key}`).sort())
  t.same(await bodies(store, HUNDRED), HUNDRED)
})

t.test('a Redis that is full refuses all entries of a turn, and accepts the next when it has space', async (t) => {
  const store = await open(t)
  await control.config('SET', 'maxmemory', '1')
  const refused = await Promise.allSettled(HUNDRED.map((key) => store.set(key, entry(key))))
  await control.config('SET', 'maxmemory', '0')
  t.ok(refused.every((outcome) => outcome.status === 'rejected' && String(outcome.reason).includes('OOM')))
  await Promise.all(HUNDRED.map((key) => store.set(key, entry(key))))
  t.same(await bodies(store, HUNDRED), HUNDRED)
})

t.test('a server that refuses the entries of a turn because it is a replica is no longer used', async (t) => {
  const store = await open(t)
  await control.call('REPLICAOF', '127.0.0.1', 1)
  const refused = await Promise.allSettled(HUNDRED.map((key) => store.set(key, entry(key))))
  t.equal(store.ready(), false)
  await control.call('REPLICAOF', 'NO', 'ONE')
  t.ok(refused.every((outcome) => outcome.status === 'rejected' && String(outcome.reason).includes('READONLY')))
})

t.test('when the connection is lost, everything that waits fails', async (t) => {
  const client = new Redis({ port: server.port, maxRetriesPerRequest: 0, retryStrategy: () => null })
  client.on('error', () => {})
  const store = await open(t, client)
  const waiting = ['a', 'b', 'c'].map((key) => store.set(key, entry(key)))
  client.disconnect()
  const outcomes = await Promise.allSettled(waiting)
  t.same(outcomes.map(({ status }) => status), Array(3).fill('rejected'))
})

t.test('on a Cluster the entries of one turn are sent to the servers of their keys, in one write to each', async (t) => {
  const servers = await startCluster()
  t.teardown(() => servers.stop())
  const client = new Cluster([...servers.startupNodes])
  const store = await open(t, client)
  await bodies(store, HUNDRED)
  const masters = client.nodes('master')
  t.same(await socketWrites(masters, () => Promise.all(HUNDRED.map((key) => store.set(key, entry(key))))), masters.map(() => 1))
  t.same(await bodies(store, HUNDRED), HUNDRED)
})

t.test('on a Cluster a server that refuses its entries does not affect other servers', async (t) => {
  const servers = await startCluster()
  t.teardown(() => servers.stop())
  const full = new Redis(servers.nodes[0]!.port, '127.0.0.1')
  t.teardown(() => { full.disconnect() })
  const store = await open(t, new Cluster([...servers.startupNodes]))
  await full.config('SET', 'maxmemory', '1')
  const outcomes = await Promise.allSettled(HUNDRED.map((key) => store.set(key, entry(key))))
  const refused = outcomes.filter(({ status }) => status === 'rejected').length
  t.ok(refused > 0 && refused < HUNDRED.length, `${refused} refused`)
  t.same(await bodies(store, HUNDRED), HUNDRED.map((key, index) => outcomes[index]!.status === 'fulfilled' ? key : undefined))
})
