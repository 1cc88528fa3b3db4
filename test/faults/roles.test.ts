import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import t, { type Test } from 'tap'
import type { ApiCacheOptions } from '../../index.js'
import { isInSync, replicaOf, onServer, until } from '../support/replication.js'
import { startRedis, type RedisServer } from '../support/redis-server.js'
import { startSentinel } from '../support/redis-sentinel.js'
import { serving, type Serving } from '../support/serving.js'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js'

/** Milliseconds in which a process must learn of a change. */
const SOON = 2_000

/** A master and its replica behind an address that leads to the master. */
interface Pair {
  readonly first: RedisServer
  readonly second: RedisServer
  readonly address: TcpProxy
}

async function pair (t: Test): Promise<Pair> {
  const args = ['--repl-diskless-sync-delay', '0']
  const [first, second] = await Promise.all([startRedis({ args }), startRedis({ args })])
  const address = await startProxy(first.port)
  t.teardown(async () => {
    await Promise.all([address.stop(), first.stop(), second.stop()])
  })
  await replicaOf(second, first)
  return { first, second, address }
}

interface Database { value: number }

async function application (t: Test, options: ApiCacheOptions, database: Database): Promise<Serving> {
  return await serving(t, { host: false, expire: '1 hour', ...options }, (app) => {
    app.get('/value', { config: { cache: { namespace: 'values' } } }, async () => ({ value: database.value }))
    app.put('/value', { config: { cache: { invalidate: 'values' } } }, async () => ({ value: ++database.value }))
  })
}

/** Asks until it is a HIT. */
async function cached ({ request }: Serving): Promise<string> {
  for (;;) {
    const { cache, text } = await request('/value')
    if (cache === 'HIT') return text
  }
}

/** A write by a process that is gone afterwards, so that it cannot repeat its invalidation. */
async function writeOnce (t: Test, { url }: RedisServer, database: Database): Promise<void> {
  const writer = await application(t, { redis: url }, database)
  t.equal((await writer.request('/value', { method: 'PUT' })).status, 200)
  t.equal(writer.app.apiCache.stats().pending, 0, 'it was acknowledged')
  await writer.app.close()
}

/** The old answers among those that are given from now on until a new one comes from the cache. */
async function oldAnswers ({ request }: Serving, { value }: Database): Promise<number[]> {
  const begin = performance.now()
  const old: number[] = []
  while (performance.now() - begin < 2 * SOON) {
    const { cache, text } = await request('/value')
    if (JSON.parse(text).value === value && cache === 'HIT') return old
    if (JSON.parse(text).value !== value) old.push(performance.now() - begin)
    await delay(5)
  }
  t.fail('nothing new came from the cache')
  return old
}

const promote = async ({ port }: RedisServer): Promise<void> => {
  await onServer(port, async (client) => await client.call('REPLICAOF', 'NO', 'ONE'))
}

/** Lets the replica and the master change their places without cutting a connection. */
async function switchRoles (from: RedisServer, to: RedisServer): Promise<void> {
  await onServer(from.port, async (client) => {
    await until(async () => (await client.info('replication')).includes('state=online'))
    await client.call('FAILOVER', 'TO', '127.0.0.1', to.port)
  })
  await isInSync(from)
}

const disconnectClients = async ({ port }: RedisServer): Promise<void> => {
  await onServer(port, async (client) => await client.call('CLIENT', 'KILL', 'TYPE', 'normal'))
}

t.test('a server that is promoted for the second time is not trusted with what it kept from the first', async (t) => {
  const { first, second, address } = await pair(t)
  const database = { value: 1 }
  const reader = await application(t, { redis: address.url }, database)
  t.equal(await cached(reader), '{"value":1}')

  await switchRoles(first, second)
  address.lead(second.port)
  await disconnectClients(first)
  // Its link is cut, and it learns of nothing any more.
  await onServer(first.port, async (client) => await client.call('REPLICAOF', '127.0.0.1', '1'))
  await writeOnce(t, second, database)
  await second.kill()
  await promote(first)
  address.lead(first.port)

  const starting = await application(t, { redis: first.url }, database)
  for (const process of [reader, starting]) t.same(await oldAnswers(process, database), [])
})

const USER = { username: 'app', password: 'secret' }

/** Lets the user do all but ask for INFO. */
async function withoutInfo ({ port }: RedisServer): Promise<void> {
  await onServer(port, async (client) => await client.acl('SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-info'))
}

/** The application's own clients. */
const clients: Record<string, (t: Test, address: TcpProxy) => Promise<ApiCacheOptions['redis']>> = {
  async 'a client of ioredis' (t, { port }) {
    const client = new Redis(port, '127.0.0.1')
    client.on('error', () => {})
    t.teardown(() => { client.disconnect() })
    return client
  },
  async 'a client of node-redis' (t, { url }) {
    const client = createClient({ url })
    client.on('error', () => {})
    await client.connect()
    t.teardown(() => { client.destroy() })
    return client
  }
}

const readers: Record<string, (t: Test, address: TcpProxy) => Promise<ApiCacheOptions>> = {
  'a tracked tier': async (_t, { url }) => ({ redis: url, local: { consistency: 'tracked' } }),
  ...Object.fromEntries(Object.entries(clients).map(([name, open]) =>
    [name, async (t: Test, address: TcpProxy): Promise<ApiCacheOptions> => ({ redis: await open(t, address) })]))
}

for (const [name, options] of Object.entries(readers)) {
  t.test(`a process that only reads learns that its server is a replica by now, though its connection lives: ${name}`, async (t) => {
    const { first, second, address } = await pair(t)
    const database = { value: 1 }
    const reader = await application(t, await options(t, address), database)
    t.equal(await cached(reader), '{"value":1}')

    await switchRoles(first, second)
    await onServer(first.port, async (client) => await client.call('REPLICAOF', '127.0.0.1', '1'))
    address.lead(second.port)
    await writeOnce(t, second, database)

    const old = await oldAnswers(reader, database)
    t.ok(old.every((at) => at < SOON), `old after ${old.at(-1)?.toFixed()} ms`)
  })
}

const writers: typeof clients = {
  ...clients,
  'a user without INFO': async (_t, { port }) => ({ port, host: '127.0.0.1', ...USER })
}

for (const [name, open] of Object.entries(writers)) {
  t.test(`a write through the connection to a former master reaches the new one: ${name}`, async (t) => {
    const { first, second, address } = await pair(t)
    await Promise.all([first, second].map(withoutInfo))
    const database = { value: 1 }
    const writer = await application(t, { redis: await open(t, address) }, database)
    t.equal(await cached(writer), '{"value":1}')

    await switchRoles(first, second)
    address.lead(second.port)
    const other = await application(t, { redis: second.url }, database)
    t.equal(await cached(other), '{"value":1}')

    t.equal((await writer.request('/value', { method: 'PUT' })).status, 200)
    const old = await oldAnswers(other, database)
    t.ok(old.every((at) => at < SOON), `old after ${old.at(-1)?.toFixed()} ms`)
    await until(async () => writer.app.apiCache.stats().pending === 0)
    t.equal(await cached(writer), '{"value":2}')
  })
}

t.test('a master that hung while it was replaced is not read any more when it goes on', async (t) => {
  const servers = await startSentinel()
  t.teardown(() => servers.stop())
  const { sentinels, name, master, replica } = servers
  const options = { redis: { sentinels: [...sentinels], name } }
  const database = { value: 1 }
  const reader = await application(t, options, database)
  t.equal(await cached(reader), '{"value":1}')

  await onServer(sentinels[0]!.port, async (client) => {
    await client.subscribe('+switch-master')
    const switched = once(client, 'message')
    master.pause()
    await switched
  })
  await writeOnce(t, replica, database)
  master.resume()
  const old = await oldAnswers(reader, database)
  t.ok(old.every((at) => at < SOON), `old after ${old.at(-1)?.toFixed()} ms`)
})

t.test('a tracked tier is not told by another server than the one that it reads from', async (t) => {
  const { first, second, address } = await pair(t)
  const database = { value: 1 }
  const reader = await application(t, { redis: address.url, local: { consistency: 'tracked' } }, database)
  t.equal(await cached(reader), '{"value":1}')
  const notices = await onServer(first.port, async (client) => {
    const list = String(await client.client('LIST'))
    return list.split('\n').filter((line) => line.includes(' sub=1 ')).map((line) => /^id=(\d+)/.exec(line)![1]!)
  })
  t.equal(notices.length, 1)

  // Two servers behind one address: what is said at one is not heard at the other.
  await promote(second)
  address.lead(second.port)
  await onServer(first.port, async (client) => {
    const own = await client.client('ID')
    const list = String(await client.client('LIST'))
    for (const [, id] of list.matchAll(/^id=(\d+)/gm)) {
      if (Number(id) !== own && id !== notices[0]) await client.client('KILL', 'ID', Number(id))
    }
  })
  t.equal(await cached(reader), '{"value":1}')
  await delay(100)
  t.equal(await cached(reader), '{"value":1}')
  await writeOnce(t, second, database)
  const old = await oldAnswers(reader, database)
  t.ok(old.every((at) => at < SOON), `old after ${old.at(-1)?.toFixed()} ms`)
})

t.test('a process without INFO trusts nothing that it finds when it starts', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const options = { redis: { port: redis.port, host: '127.0.0.1', ...USER } }
  await withoutInfo(redis)
  const database = { value: 1 }
  const before = await application(t, options, database)
  t.equal(await cached(before), '{"value":1}')
  await onServer(redis.port, async (client) => await client.save())
  t.equal((await before.request('/value', { method: 'PUT' })).status, 200)
  await before.app.close()
  await redis.restart()
  await withoutInfo(redis)

  const after = await application(t, options, database)
  t.match(await after.request('/value'), { cache: 'MISS', text: '{"value":2}' })
  await after.app.apiCache.settled()
  t.match(await after.request('/value'), { cache: 'HIT', text: '{"value":2}' })
})
