import { EventEmitter, once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import calculateSlot from 'cluster-key-slot'
import { Cluster, Redis, type ClusterOptions } from 'ioredis'
import t, { type Test } from 'tap'
import { ClusterBus } from '../support/cluster-bus.js'
import { idOf, startCluster } from '../support/redis-cluster.js'
import type { RedisServer } from '../support/redis-server.js'
import { startProxy } from '../support/tcp-proxy.js'
import { startSentinel, type RedisSentinelServers } from '../support/redis-sentinel.js'
import { serving, type Serving } from '../support/serving.js'

const ROUNDS = 3

interface Member extends Serving {
  /** Emits the messages of its log. */
  readonly log: EventEmitter
}

type Group = Pick<RedisSentinelServers, 'sentinels' | 'name'>

/** An application on the servers of a Sentinel, whose connection has a name there. */
async function member (t: Test, name: string, { sentinels, name: group }: Group, database: { value: number }): Promise<Member> {
  return await application(t, new Redis({ sentinels: [...sentinels], name: group, connectionName: name, sentinelRetryStrategy: () => 50 }), database)
}

async function application (t: Test, redis: Redis | Cluster, database: { value: number }): Promise<Member> {
  const log = new EventEmitter()
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

const read = async ({ request }: Member): Promise<[number, string | null]> => {
  const { text, cache } = await request('/value')
  return [JSON.parse(text).value, cache]
}

const write = async ({ request }: Member): Promise<number> => (await request('/value', { method: 'POST' })).status

t.test('a write that only the old master has confirmed is repeated on the new one, and nobody is served what it made old', async (t) => {
  const servers = await startSentinel()
  t.teardown(() => servers.stop())
  const database = { value: 0 }
  // What a is told by the Sentinel can be held up, so that it stays with the old master.
  const way = await startProxy(servers.sentinels[0]!.port)
  t.teardown(() => way.stop())
  const a = await member(t, 'a', { name: servers.name, sentinels: [{ host: '127.0.0.1', port: way.port }] }, database)
  const others = [await member(t, 'b', servers, database), await member(t, 'c', servers, database)]
  let [master, replica] = [servers.master, servers.replica]
  for (let round = 0; round < ROUNDS; round++) {
    await until(async () => await on(replica.port, async (client) => (await client.info('replication')).includes('master_link_status:up')))
    await until(async () => (await read(a))[1] === 'HIT')
    way.stall()
    await promote(servers)
    await disconnect(master.port, ['b', 'c'])
    for (const other of others) await until(async () => (await read(other))[1] === 'HIT')

    const repeated = once(a.log, 'api cache: all invalidations are delivered')
    t.equal(await write(a), 200)
    for (const other of others) t.same(await read(other), [database.value - 1, 'HIT'], 'the new master has not heard of the write')
    way.mend()
    await repeated
    for (const one of [a, ...others]) t.equal((await read(one))[0], database.value)
    ;[master, replica] = [replica, master]
  }
})

/** The key of the version, which tells its master. */
const SLOT = calculateSlot('api-cache!version:values')

async function nodeThat (nodes: readonly RedisServer[], fits: (client: Redis) => Promise<boolean>): Promise<RedisServer> {
  for (const node of nodes) if (await on(node.port, fits)) return node
  throw new Error('there is no such node')
}

interface Split {
  readonly database: { value: number }
  /** Uses the old master, through a wire of its own. */
  readonly a: Member
  readonly ofA: Cluster
  readonly wire: Awaited<ReturnType<typeof startProxy>>
  /** Uses the new master, on which it has filled what there is to read. */
  readonly b: Member
  /** Lets the old master hear that it is none any more; resolves when it knows. */
  heal (): Promise<void>
}

/** A Cluster of which one master hears of nobody while its replica has taken its place. */
async function split (t: Test): Promise<Split> {
  const bus = new ClusterBus()
  // A master that hears of nobody for so long gives up.
  const cluster = await startCluster({ bus, replicas: 1, nodeTimeout: 120_000 })
  t.teardown(async () => {
    await cluster.stop()
    await bus.stop()
  })
  const master = await nodeThat(cluster.nodes, async (client) => {
    const own = await client.cluster('NODES')
    const [, first, last] = / myself,master .* (\d+)-(\d+)$/m.exec(String(own)) ?? []
    return Number(first) <= SLOT && SLOT <= Number(last)
  })
  const replica = await nodeThat(cluster.nodes, async (client) =>
    (await client.info('replication')).includes(`master_port:${master.port}`))
  const wire = await startProxy(master.port)
  t.teardown(() => wire.stop())

  const database = { value: 0 }
  const options: ClusterOptions = { slotsRefreshInterval: 0 }
  const natMap = { [`127.0.0.1:${master.port}`]: { host: '127.0.0.1', port: wire.port } }
  const ofA = new Cluster([{ host: '127.0.0.1', port: master.port }], { ...options, natMap })
  const a = await application(t, ofA, database)
  await until(async () => (await read(a))[1] === 'HIT')

  bus.cut(await idOf(master))
  await on(replica.port, async (client) => await client.cluster('FAILOVER', 'TAKEOVER'))
  await until(async () => await on(replica.port, async (client) => (await client.info('replication')).includes('role:master')))
  const b = await application(t, new Cluster([{ host: '127.0.0.1', port: replica.port }], options), database)
  await until(async () => (await read(b))[1] === 'HIT')
  return {
    database,
    a,
    ofA,
    wire,
    b,
    async heal () {
      bus.mend()
      await until(async () => await on(master.port, async (client) => (await client.info('replication')).includes('role:slave')))
    }
  }
}

t.test('on a Cluster a write that only the old master has confirmed is repeated on the new one', async (t) => {
  const { a, b, database, heal } = await split(t)
  const repeated = once(a.log, 'api cache: all invalidations are delivered')
  t.equal(await write(a), 200)
  t.same(await read(b), [database.value - 1, 'HIT'], 'the new master has not heard of the write')
  await heal()
  await read(a)
  await repeated
  for (const one of [a, b]) t.equal((await read(one))[0], database.value)
})

t.test('on a Cluster a write that the old master confirms when its process has met the new one is sent to that before it is acknowledged', async (t) => {
  const { a, ofA, wire, b, database, heal } = await split(t)
  const held = wire.holdAnswer('eval')
  const written = write(a)
  const answer = await held
  await heal()
  const before = ofA.slots[SLOT]![0]
  await until(async () => {
    await new Promise((resolve) => { ofA.refreshSlotsCache(resolve) })
    return ofA.slots[SLOT]![0] !== before
  })
  answer.release()
  t.equal(await written, 200)
  for (const one of [a, b]) t.equal((await read(one))[0], database.value)
})
