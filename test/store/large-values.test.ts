import { setImmediate as turn } from 'node:timers/promises'
import calculateSlot from 'cluster-key-slot'
import { Cluster, Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { Entry } from '../../index.js'
import { RedisStore } from '../../lib/store/redis/redis-store.js'
import { commands } from '../support/commands.js'
import { lasting } from '../support/entry.js'
import { startCluster, type RedisClusterServers } from '../support/redis-cluster.js'
import { startRedis, type RedisServer } from '../support/redis-server.js'

/*
 * Replies come in the order of their commands. Here that order is looked at, and no clock.
 */

let server: RedisServer
let servers: RedisClusterServers
t.before(async () => { [server, servers] = await Promise.all([startRedis(), startCluster()]) })
t.teardown(() => Promise.all([server.stop(), servers.stop()]))

const KIB = 1024
/** Of 100 large values of 256 KiB, how many may pass one connection before something that is asked at the same time: 2.5 MiB. */
const FEW = 10
// On a Cluster all of these are on one master: each has a connection of its own.
const LARGE = Array.from({ length: 100 }, (_, index) => `{one}large-${index}`)
const SMALL = '{one}small'
const VERSIONS = ['{one}version']

const clients: Record<string, () => Redis | Cluster> = {
  'a single server': () => new Redis({ port: server.port }),
  'a Cluster': () => new Cluster([...servers.startupNodes])
}

async function open (t: Test, client: Redis | Cluster): Promise<RedisStore> {
  const store = new RedisStore(client, true)
  await store.opened(5_000)
  t.teardown(() => { store.close() })
  return store
}

function entry (bytes: number): Entry {
  return { route: 'GET /', versions: {}, status: 200, headers: {}, kind: 'bytes', body: Buffer.alloc(bytes, 'x'), ...lasting(600) }
}

const bytesOf = async (store: RedisStore, key: string): Promise<number | undefined> =>
  (await store.lookup(key, VERSIONS)).entry?.body.length

/** How many of the large ones have ended before `other` does. */
async function endedBefore (other: Promise<unknown>, large: ReadonlyArray<Promise<unknown>>): Promise<number> {
  let ended = 0
  for (const one of large) void one.then(() => { ended++ })
  await other
  const before = ended
  await Promise.all(large)
  return before
}

for (const [where, connect] of Object.entries(clients)) {
  const filled = async (t: Test, store: RedisStore): Promise<void> => {
    await Promise.all([...LARGE.map((key) => store.set(key, entry(256 * KIB))), store.set(SMALL, entry(10))])
    t.equal(await bytesOf(store, SMALL), 10)
  }

  t.test(`a small value that is asked for after 100 large ones in the same turn comes before most of them: ${where}`, async (t) => {
    const store = await open(t, connect())
    await filled(t, store)
    const large = LARGE.map((key) => bytesOf(store, key))
    t.ok(await endedBefore(bytesOf(store, SMALL), large) <= FEW)
    t.same(new Set(await Promise.all(large)), new Set([256 * KIB]))
  })

  t.test(`the same in a process that has not stored them, from the second time on: ${where}`, async (t) => {
    await filled(t, await open(t, connect()))
    const store = await open(t, connect())
    await Promise.all(LARGE.map((key) => bytesOf(store, key)))
    const large = LARGE.map((key) => bytesOf(store, key))
    t.ok(await endedBefore(bytesOf(store, SMALL), large) <= FEW)
  })

  t.test(`a small value that is asked for while large ones arrive waits for few of them: ${where}`, async (t) => {
    const store = await open(t, connect())
    await filled(t, store)
    for (const turns of [1, 2, 4, 8, 16]) {
      const large = LARGE.map((key) => bytesOf(store, key))
      for (let passed = 0; passed < turns; passed++) await turn()
      // Those that had ended by now do not count.
      let arrived = 0
      for (const one of large) void one.then(() => { arrived++ })
      await turn()
      const before = arrived
      await bytesOf(store, SMALL)
      t.ok(arrived - before <= 2 * FEW, `${arrived - before} after ${turns} turns`)
      await Promise.all(large)
    }
  })

  t.test(`a small value that is asked for while large ones are stored waits for few of them: ${where}`, async (t) => {
    const store = await open(t, connect())
    await filled(t, store)
    const large = LARGE.map((key) => store.set(key, entry(257 * KIB)))
    await turn()
    // Some pass before it is sent, some are in front of it on the connection, and some pass while its reply is read.
    const before = await endedBefore(bytesOf(store, SMALL), large)
    t.ok(before <= 3 * FEW, `${before}`)
    t.same(new Set(await Promise.all(LARGE.map((key) => bytesOf(store, key)))), new Set([257 * KIB]))
  })

  t.test(`versions and a small value are written while large ones wait: ${where}`, async (t) => {
    const store = await open(t, connect())
    const large = LARGE.map((key) => store.set(key, entry(256 * KIB)))
    await turn()
    // One after the other, a version is read and created.
    t.ok(await endedBefore(Promise.all([store.ensure(VERSIONS, 'fresh'), store.set(SMALL, entry(10))]), large) <= 4 * FEW)
  })

  t.test(`when the connection is lost, all that waits for its turn fails: ${where}`, async (t) => {
    const client = connect()
    client.on('error', () => {})
    const store = await open(t, client)
    await filled(t, store)
    const waiting: Array<Promise<unknown>> = LARGE.flatMap((key) => [bytesOf(store, key), store.set(key, entry(256 * KIB))])
    client.disconnect()
    const outcomes = await Promise.allSettled(waiting)
    // What had been sent may have been answered.
    t.ok(outcomes.filter(({ status }) => status === 'fulfilled').length <= 2 * FEW)
  })
}

t.test('values of some ten kilobytes share commands', async (t) => {
  const store = await open(t, new Redis({ port: server.port }))
  await Promise.all(LARGE.map((key) => store.set(key, entry(20 * KIB))))
  const seen = await commands(server.port, () => Promise.all(LARGE.map((key) => bytesOf(store, key))))
  t.ok(seen.length < 15 && seen.every((command) => command === 'mget'), seen.join())
})

t.test('a value that is no longer large is read among small ones again', async (t) => {
  const store = await open(t, new Redis({ port: server.port }))
  await Promise.all(LARGE.slice(0, 10).map((key) => store.set(key, entry(256 * KIB))))
  const other = await open(t, new Redis({ port: server.port }))
  await Promise.all(LARGE.slice(0, 10).map((key, index) => index < 5 ? other.set(key, entry(10)) : undefined))
  await Promise.all(LARGE.slice(5, 10).map((key) => store.set(key, entry(10))))
  const ask = (): Promise<unknown> => Promise.all(LARGE.slice(0, 10).map((key) => bytesOf(store, key)))
  await ask()
  t.same((await commands(server.port, ask)).length, 1)
})

t.test('a master that hangs does not hold up the large values of others', async (t) => {
  const client = new Cluster([...servers.startupNodes])
  const store = await open(t, client)
  const hung = servers.nodes[0]!
  const keys = LARGE.map((key) => key.slice('{one}'.length))
  await Promise.all(keys.map((key) => store.set(key, entry(256 * KIB))))
  const isThere = (key: string): boolean => client.slots[calculateSlot(key)]![0] === `127.0.0.1:${hung.port}`
  hung.pause()
  t.teardown(() => { hung.resume() })
  const there = keys.filter(isThere).map((key) => store.lookup(key, []))
  const elsewhere = keys.filter((key) => !isThere(key))
  t.same(new Set(await Promise.all(elsewhere.map(async (key) => (await store.lookup(key, [])).entry?.body.length))), new Set([256 * KIB]))
  hung.resume()
  await Promise.all(there)
})
