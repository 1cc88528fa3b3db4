import { Cluster, Redis } from 'ioredis'
import t from 'tap'
import type { Entry } from '../../index.js'
import { RedisStore } from '../../lib/store/redis/redis-store.js'
import { commands } from '../support/commands.js'
import { lasting } from '../support/entry.js'
import { startCluster } from '../support/redis-cluster.js'
import { startRedis, type RedisServer } from '../support/redis-server.js'
import { socketWrites } from '../support/socket-writes.js'

let server: RedisServer
t.before(async () => { server = await startRedis() })
t.teardown(() => server.stop())

const VERSION = 'version'
const VERSIONS = [VERSION]

const entry = (name: string): Entry => ({
  route: 'GET /', versions: {}, status: 200, headers: {}, kind: 'text', body: Buffer.from(name), ...lasting(60)
})

async function open (client: Redis | Cluster = new Redis({ port: server.port })): Promise<RedisStore> {
  const store = new RedisStore(client, true)
  await store.opened(5_000)
  t.teardown(() => { store.close() })
  return store
}

t.test('the reads of one turn are sent in one command', async (t) => {
  const store = await open()
  await store.ensure(VERSIONS, 'token')
  await store.set('a', entry('a'))
  const seen = await commands(server.port, async () => {
    const found = await Promise.all([
      ...Array.from({ length: 100 }, () => store.lookup('a', VERSIONS)),
      ...Array.from({ length: 100 }, () => store.lookup('missing', [VERSION])),
      ...Array.from({ length: 100 }, async () => ({ entry: undefined, versions: await store.versions(VERSIONS) }))
    ])
    t.equal(found.filter(({ entry }) => entry?.body.toString() === 'a').length, 100)
    t.ok(found.every(({ versions: [version] }) => version !== undefined && version === found[0]!.versions[0]))
  })
  t.same(seen.filter((command) => command !== 'echo'), ['mget'])
})

t.test('requests for the same entry in one turn each get their own versions', async (t) => {
  const store = await open()
  await store.set('a', entry('a'))
  const [one] = await store.ensure(['one'], 'token')
  const [two] = await store.ensure(['two'], 'token')
  const lists = [['one'], ['two'], ['two', 'one'], ['none', 'one'], []]
  const found = await Promise.all(lists.map((versions) => store.lookup('a', versions)))
  t.same(found.map(({ versions }) => versions), [[one], [two], [two, one], [undefined, one], []])
  t.ok(found.every(({ entry }) => entry?.body.toString() === 'a'))
})

t.test('many keys in one turn are read with several commands, and each request gets the entry of its own key', async (t) => {
  const store = await open()
  const names = Array.from({ length: 500 }, (_, index) => `many-${index}`)
  await Promise.all(names.map((name) => store.set(name, entry(name))))
  const seen = await commands(server.port, async () => {
    const found = await Promise.all(names.map((name) => store.lookup(name, VERSIONS)))
    t.same(found.map(({ entry }) => entry?.body.toString()), names)
  })
  const reads = seen.filter((command) => command === 'mget').length
  t.ok(reads > 1 && reads < 50, `${reads} commands`)
})

t.test('a read after a command was sent is not answered by that command', async (t) => {
  const store = await open()
  const other = await open()
  await store.ensure(VERSIONS, 'before')
  for (let round = 0; round < 200; round++) {
    const early = store.versions(VERSIONS)
    await other.bump(VERSIONS, `moved-${round}`)
    t.same(await store.versions(VERSIONS), await other.versions(VERSIONS))
    await early
  }
})

t.test('when the connection is lost, everything that waits fails', async (t) => {
  const client = new Redis({ port: server.port, maxRetriesPerRequest: 0, retryStrategy: () => null })
  client.on('error', () => {})
  const store = await open(client)
  const waiting = [store.lookup('a', VERSIONS), store.lookup('a', VERSIONS), store.lookup('b', []), store.versions(VERSIONS)]
  client.disconnect()
  const outcomes = await Promise.allSettled(waiting)
  t.same(outcomes.map(({ status }) => status), Array(4).fill('rejected'))
})

t.test('on a Cluster a key that cannot be read does not affect other keys', async (t) => {
  const servers = await startCluster()
  t.teardown(() => servers.stop())
  const client = new Cluster([...servers.startupNodes])
  const store = await open(client)
  await store.set('good', entry('good'))
  await client.lpush('list', 'no entry')
  const [bad, good, shared] = await Promise.allSettled([store.lookup('list', []), store.lookup('good', []), store.lookup('good', [])])
  t.equal(bad.status, 'rejected')
  for (const found of [good, shared]) {
    t.equal(found.status === 'fulfilled' && found.value.entry?.body.toString(), 'good')
  }
})

t.test('on a Cluster the reads of one turn are sent in one write to each server', async (t) => {
  const servers = await startCluster()
  t.teardown(() => servers.stop())
  const client = new Cluster([...servers.startupNodes])
  const store = await open(client)
  const keys = Array.from({ length: 100 }, (_, index) => `key-${index}`)
  const ask = (): Promise<unknown> => Promise.all(keys.map((key) => store.lookup(key, [])))
  await ask()
  const masters = client.nodes('master')
  t.same(await socketWrites(masters, ask), masters.map(() => 1))
})
