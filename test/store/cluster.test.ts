import { Cluster } from 'ioredis'
import t from 'tap'
import { RedisStore } from '../../lib/store/redis/redis-store.js'
import { storeSuite } from '../../lib/store/suite.js'
import { startCluster, type RedisClusterServers } from '../support/redis-cluster.js'

let cluster: RedisClusterServers
t.before(async () => { cluster = await startCluster() })
t.teardown(() => cluster.stop())

async function open (): Promise<RedisStore> {
  const client = new Cluster([...cluster.startupNodes])
  const store = new RedisStore(client, true)
  await store.opened(5_000)
  return store
}

for (const { name, run } of storeSuite(open)) t.test(`in a Redis Cluster: ${name}`, run)
