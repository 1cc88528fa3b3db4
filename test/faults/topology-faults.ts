import { execFile } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Cluster, Redis } from 'ioredis'
import { createCluster } from 'redis'
import type { ApiCacheOptions } from '../../index.js'
import { redisCliPath } from '../support/programs.js'
import { startCluster, type RedisClusterServers } from '../support/redis-cluster.js'
import { startSentinel } from '../support/redis-sentinel.js'
import type { Fault, Stage } from './outage.js'

const NOBODY = 1

const sentinelFault: Fault = {
  name: 'failover by a Sentinel to a replica that lags behind',
  async stage () {
    const servers = await startSentinel()
    return {
      lasts: 0,
      redis: () => ({ sentinels: [...servers.sentinels], name: servers.name }),
      async break () {
        const replica = new Redis(servers.replica.port, '127.0.0.1')
        // From now on it learns of nothing any more.
        await replica.replicaof('127.0.0.1', NOBODY)
        replica.disconnect()
        await delay(400)
        await servers.failover()
      },
      mend () {},
      stop: () => servers.stop()
    }
  }
}

type Nodes = RedisClusterServers['startupNodes']

/** An application's own Cluster. */
interface Client {
  readonly how: string
  to (nodes: Nodes): { redis: ApiCacheOptions['redis'], close: () => void }
}

const ioredis: Client = {
  how: '',
  to (nodes) {
    const redis = new Cluster([...nodes])
    redis.on('error', () => {})
    return { redis, close: () => { redis.disconnect() } }
  }
}

const nodeRedis: Client = {
  how: ', a cluster of node-redis',
  to (nodes) {
    const redis = createCluster({ rootNodes: nodes.map((socket) => ({ socket })) })
    void redis.connect()
    return { redis, close: () => { redis.destroy() } }
  }
}

/** What happens to a Cluster of three masters, each with as many replicas. */
interface ClusterFault {
  readonly name: string
  readonly replicas: 0 | 1
  break (servers: RedisClusterServers): Promise<void>
  mend (servers: RedisClusterServers): Promise<void>
}

const clusterFault = (fault: ClusterFault, { how, to }: Client): Fault => ({
  name: `${fault.name}${how}`,
  async stage (): Promise<Stage> {
    const servers = await startCluster({ masters: 3, replicas: fault.replicas })
    const closes: Array<() => void> = []
    return {
      redis () {
        const { redis, close } = to(servers.startupNodes)
        closes.push(close)
        return redis
      },
      lasts: 0,
      break: () => fault.break(servers),
      mend: () => fault.mend(servers),
      async stop () {
        for (const close of closes) close()
        await servers.stop()
      }
    }
  }
})

const dyingMaster: ClusterFault = {
  name: 'a master of a Cluster crashes, and its replica takes over',
  replicas: 1,
  break: async ({ nodes }) => { await nodes[0]!.kill() },
  async mend ({ nodes }) {
    const witness = new Redis(nodes[1]!.port, '127.0.0.1')
    try {
      while (!String(await witness.cluster('NODES')).includes('master,fail')) await delay(20)
      // The state by itself says ok for a moment more: it is only looked at now and then.
      while (!/cluster_state:ok[^]*cluster_slots_ok:16384\b/.test(String(await witness.cluster('INFO')))) await delay(20)
    } finally {
      witness.disconnect()
    }
  }
}

const hungMaster: ClusterFault = {
  name: 'a master of a Cluster hangs, its replica takes over, and the master comes back',
  replicas: 1,
  async break ({ nodes }) {
    nodes[0]!.pause()
    await delay(4_000)
  },
  mend: async ({ nodes }) => { nodes[0]!.resume() }
}

const movingSlots: ClusterFault = {
  name: 'slots of a Cluster move from master to master',
  replicas: 0,
  async break () {},
  async mend ({ nodes }) {
    const ids = await Promise.all(nodes.slice(0, 2).map(async ({ port }) => {
      const node = new Redis(port, '127.0.0.1')
      const id = await node.cluster('MYID')
      node.disconnect()
      return id
    }))
    await promisify(execFile)(redisCliPath(), [
      '--cluster', 'reshard', `127.0.0.1:${nodes[0]!.port}`, '--cluster-from', ids[0]!, '--cluster-to', ids[1]!,
      '--cluster-slots', '5000', '--cluster-yes'
    ], { maxBuffer: 64 * 1024 * 1024 })
  }
}

export const topologyFaults: Fault[] = [
  sentinelFault,
  ...[dyingMaster, hungMaster, movingSlots].flatMap((fault) => [ioredis, nodeRedis].map((client) => clusterFault(fault, client)))
]
