import { EventEmitter, once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import calculateSlot from 'cluster-key-slot'
import { Cluster, Redis, type ClusterOptions } from 'ioredis'
import t, { type Test } from 'tap'
import { ClusterBus } from '../support/cluster-bus.js'
import { idOf, startCluster } from '../support/redis-cluster.js'
import type { RedisServer } from '../support/redis-server.js'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js'
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
    app.get('/other', { config: { cache: { namespace: OTHER, expire: '1 hour' } } }, async () => ({ value: database.value }))
    app.post('/other', { config: { cache: { invalidate: OTHER } } }, async () => ({ value: ++database.value }))
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

const read = async ({ request }: Member, path = '/value'): Promise<[number, string | null]> => {
  const { text, cache } = await request(path)
  return [JSON.parse(text).value, cache]
}

const write = async ({ request }: Member, path = '/value'): Promise<number> =>
  (await request(path, { method: 'POST' })).status

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

const slotOf = (namespace: string): number => calculateSlot(`api-cache!version:${namespace}`)

/** The slot of the version, which tells its master. */
const SLOT = slotOf('values')
/** A namespace whose version has the same master, but no slot beside it: clients learn of neighbours together. */
const OTHER = Array.from({ length: 100 }, (_, index) => `other-${index}`)
  .find((name) => Math.abs(slotOf(name) - SLOT) > 16_384 / 3)!

async function nodeThat (nodes: readonly RedisServer[], fits: (client: Redis) => Promise<boolean>): Promise<RedisServer> {
  for (const node of nodes) if (await on(node.port, fits)) return node
  throw new Error('there is no such node')
}

const PATHS = ['/value', '/other']

const ownerOf = async (nodes: readonly RedisServer[], slot: number): Promise<RedisServer> =>
  await nodeThat(nodes, async (client) => {
    const own = await client.cluster('NODES')
    const [, first, last] = / myself,master .* (\d+)-(\d+)$/m.exec(String(own)) ?? []
    return Number(first) <= slot && slot <= Number(last)
  })

/** Moves a slot without keys to a master; resolves when all nodes know. */
async function giveSlot (nodes: readonly RedisServer[], slot: number, master: RedisServer): Promise<void> {
  const owner = await ownerOf(nodes, slot)
  const [from, to] = [await idOf(owner), await idOf(master)]
  await on(master.port, async (client) => await client.cluster('SETSLOT', slot, 'IMPORTING', from))
  await on(owner.port, async (client) => await client.cluster('SETSLOT', slot, 'MIGRATING', to))
  for (const { port } of [master, owner]) await on(port, async (client) => await client.cluster('SETSLOT', slot, 'NODE', to))
  for (const { port } of nodes) {
    await until(async () => await on(port, async (client) =>
      new RegExp(`^${to} .* ${slot}\\b`, 'm').test(String(await client.cluster('NODES')))))
  }
}

interface Split {
  readonly database: { value: number }
  /** Uses the old master, through a wire of its own. */
  readonly a: Member
  readonly ofA: Cluster
  readonly wire: TcpProxy
  /** Its wires to all but the new master, which is reached without one. */
  readonly wires: readonly TcpProxy[]
  readonly replica: RedisServer
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
  const master = await ownerOf(cluster.nodes, SLOT)
  await giveSlot(cluster.nodes, slotOf(OTHER), master)
  const replica = await nodeThat(cluster.nodes, async (client) =>
    (await client.info('replication')).includes(`master_port:${master.port}`))
  const wired = cluster.nodes.filter((node) => node !== replica)
  const wires = await Promise.all(wired.map(({ port }) => startProxy(port)))
  t.teardown(() => Promise.all(wires.map((wire) => wire.stop())))
  const wire = wires[wired.indexOf(master)]!

  const database = { value: 0 }
  const options: ClusterOptions = { slotsRefreshInterval: 0, slotsRefreshTimeout: 120_000 }
  const natMap = Object.fromEntries(wired.map((node, index) =>
    [`127.0.0.1:${node.port}`, { host: '127.0.0.1', port: wires[index]!.port }]))
  const ofA = new Cluster([{ host: '127.0.0.1', port: master.port }], { ...options, natMap })
  const a = await application(t, ofA, database)
  for (const path of PATHS) await until(async () => (await read(a, path))[1] === 'HIT')

  bus.cut(await idOf(master))
  await on(replica.port, async (client) => await client.cluster('FAILOVER', 'TAKEOVER'))
  await until(async () => await on(replica.port, async (client) => (await client.info('replication')).includes('role:master')))
  const b = await application(t, new Cluster([{ host: '127.0.0.1', port: replica.port }], options), database)
  for (const path of PATHS) await until(async () => (await read(b, path))[1] === 'HIT')
  return {
    database,
    a,
    ofA,
    wire,
    wires,
    replica,
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

t.test('the same if its process does nothing afterwards', async (t) => {
  const { a, b, database, heal } = await split(t)
  t.equal(await write(a), 200)
  t.same(await read(b), [database.value - 1, 'HIT'], 'the new master has not heard of the write')
  const repeated = once(a.log, 'api cache: all invalidations are delivered')
  await heal()
  await repeated
  t.equal((await read(b))[0], database.value)
})

t.test('on a Cluster a write is repeated also if its process met the new master before it knew of all its slots', async (t) => {
  const { a, wires, replica, b, database, heal } = await split(t)
  t.equal(await write(a, '/other'), 200)
  await a.app.apiCache.settled()
  // The key that it read last at the old master is the one that it will ask for.
  t.equal((await read(a))[1], 'HIT')
  // All that it can ask where the slots are say nothing yet.
  await on(replica.port, async (client) => await client.acl('SETUSER', 'default', '-cluster|slots'))
  const held = Promise.race(wires.map((wire) => wire.holdAnswer('cluster')))
  await heal()
  const answer = await held
  await until(async () => (await read(a))[1] === 'HIT')
  // The new master has a replica by now, and so another run. b fills from where the write has not arrived.
  database.value--
  await until(async () => (await read(b, '/other'))[1] === 'HIT')
  database.value++
  t.same(await read(b, '/other'), [database.value - 1, 'HIT'], "a does not know that this is the new one's, too")
  const repeated = once(a.log, 'api cache: all invalidations are delivered')
  answer.release()
  await repeated
  t.equal((await read(b, '/other'))[0], database.value)
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
