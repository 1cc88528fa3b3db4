import { Redis } from 'ioredis'
import { createClient, createCluster } from 'redis'
import t from 'tap'
import { NodeRedisClusterClient } from '../../lib/store/redis/node-redis-cluster.js'
import { NodeRedisClient } from '../../lib/store/redis/node-redis.js'
import { RedisStore } from '../../lib/store/redis/redis-store.js'
import { storeSuite } from '../../lib/store/suite.js'
import { startCluster } from '../support/redis-cluster.js'
import { startRedis, type RedisServer } from '../support/redis-server.js'

let server: RedisServer
t.before(async () => { server = await startRedis() })
t.teardown(() => server.stop())

async function open (options: object = {}): Promise<RedisStore> {
  const client = NodeRedisClient.beside(createClient({ url: server.url, ...options }), 'api-cache')
  const store = new RedisStore(client, true)
  await store.opened(5_000)
  return store
}

for (const { name, run } of storeSuite(() => open())) t.test(`over node-redis: ${name}`, run)
for (const { name, run } of storeSuite(() => open({ RESP: 3 }))) t.test(`over node-redis with RESP3: ${name}`, run)
for (const { name, run } of storeSuite(() => open({ commandOptions: { typeMapping: { 36: Buffer, 43: Buffer, 58: String } } }))) {
  t.test(`over node-redis whose own replies are Buffers: ${name}`, run)
}

t.test('a connection of node-redis that is closed while it opens does not stay open', async (t) => {
  const control = new Redis(server.port, '127.0.0.1')
  t.teardown(() => { control.disconnect() })
  const count = async (name: string): Promise<number> =>
    Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(await control.info())![1])
  const [open, received] = [await count('connected_clients'), await count('total_connections_received')]
  NodeRedisClient.beside(createClient({ url: server.url }), 'api-cache').disconnect()
  while (await count('total_connections_received') === received);
  while (await count('connected_clients') > open);
  t.pass()
})

t.test('over a cluster of node-redis', async (t) => {
  const { startupNodes, stop } = await startCluster()
  const cluster = createCluster({ rootNodes: startupNodes.map((socket) => ({ socket })) })
  cluster.on('error', () => {})
  await cluster.connect()
  t.teardown(async () => {
    cluster.destroy()
    await stop()
  })
  const open = async (): Promise<RedisStore> => {
    const store = new RedisStore(NodeRedisClusterClient.of(cluster), false)
    await store.opened(5_000)
    return store
  }
  for (const { name, run } of storeSuite(open)) await t.test(name, run)
  t.equal(cluster.isOpen, true)
})
