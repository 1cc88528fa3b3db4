import { EventEmitter, once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { startSentinel, type RedisSentinelServers } from '../support/redis-sentinel.js'
import { serving, type Serving } from '../support/serving.js'
import { startProxy } from '../support/tcp-proxy.js'

const ROUNDS = 3

interface Member extends Serving {
  /** Emits the messages of its log. */
  readonly log: EventEmitter
}

type Group = Pick<RedisSentinelServers, 'sentinels' | 'name'>

/** An application whose connection has a name on the server. */
async function member (t: Test, name: string, { sentinels, name: group }: Group, database: { value: number }): Promise<Member> {
  const log = new EventEmitter()
  const redis = new Redis({ sentinels: [...sentinels], name: group, connectionName: name, sentinelRetryStrategy: () => 50 })
  redis.on('error', () => {})
  t.teardown(() => { redis.disconnect() })
  const server = await serving(t, { redis, timeout: 5_000 }, (app) => {
    app.get('/value', { config: { cache: { namespace: 'values', expire: '1 hour' } } }, async () => ({ value: database.value }))
    app.post('/value', { config: { cache: { invalidate: 'values' } } }, async () => ({ value: ++database.value }))
  }, { logger: { level: 'info', stream: { write (line: string) { log.emit(JSON.parse(line).msg) } } } })
  return { ...server, log }
}

async function on<T> (port: number, run: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(port, '127.0.0.1')
  try {
    return await run(client)
  } finally {
    client.disconnect()
  }
}

const until = async (holds: () => Promise<boolean>): Promise<void> => { while (!await holds()) await delay(20) }

/** Promotes the replica; the old master goes on answering those that are connected to it, until it is told. */
async function promote ({ sentinels: [sentinel], name }: RedisSentinelServers): Promise<void> {
  const listener = new Redis(sentinel!.port, '127.0.0.1')
  try {
    await listener.subscribe('+switch-master')
    const switched = once(listener, 'message')
    // It refuses as long as it has not heard that the replica is one.
    await until(async () => await on(sentinel!.port, async (client) => await client.call('SENTINEL', 'FAILOVER', name).catch(() => '')) === 'OK')
    await switched
  } finally {
    listener.disconnect()
  }
}

/** Cuts the connections of these applications; they find the new master. */
async function disconnect (port: number, names: readonly string[]): Promise<void> {
  await on(port, async (client) => {
    const list = String(await client.client('LIST'))
    for (const [, id, name] of list.matchAll(/^id=(\d+) .*? name=(\S*)/gm)) {
      if (names.includes(name!)) await client.client('KILL', 'ID', Number(id))
    }
  })
}

t.test('a write that only the old master has confirmed is repeated on the new one, and nobody is served what it made old', async (t) => {
  const servers = await startSentinel()
  t.teardown(() => servers.stop())
  const database = { value: 0 }
  // What a is told by the Sentinel can be held up, so that it stays with the old master.
  const way = await startProxy(servers.sentinels[0]!.port)
  t.teardown(() => way.stop())
  const a = await member(t, 'a', { name: servers.name, sentinels: [{ host: '127.0.0.1', port: way.port }] }, database)
  const others = [await member(t, 'b', servers, database), await member(t, 'c', servers, database)]
  const read = async ({ request }: Member): Promise<[number, string | null]> => {
    const { text, cache } = await request('/value')
    return [JSON.parse(text).value, cache]
  }
  let [master, replica] = [servers.master, servers.replica]
  for (let round = 0; round < ROUNDS; round++) {
    await until(async () => await on(replica.port, async (client) => (await client.info('replication')).includes('master_link_status:up')))
    await until(async () => (await read(a))[1] === 'HIT')
    way.stall()
    await promote(servers)
    await disconnect(master.port, ['b', 'c'])
    for (const other of others) await until(async () => (await read(other))[1] === 'HIT')

    const repeated = once(a.log, 'api cache: all invalidations are delivered')
    t.equal((await a.request('/value', { method: 'POST' })).status, 200)
    for (const other of others) t.same(await read(other), [database.value - 1, 'HIT'], 'the new master has not heard of the write')
    way.mend()
    await repeated
    for (const one of [a, ...others]) t.equal((await read(one))[0], database.value)
    ;[master, replica] = [replica, master]
  }
})
