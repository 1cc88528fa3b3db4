import { execFile } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Cluster, Redis } from 'ioredis'
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

async function clusterStage (replicas: 0 | 1, breaks: (servers: RedisClusterServers) => Promise<void>, mend: (servers: RedisClusterServers) => Promise<void>): Promise<Stage> {
  const servers = await startCluster({ masters: 3, replicas })
  const clients: Cluster[] = []
  return {
    redis () {
      const client = new Cluster([...servers.startupNodes])
      client.on('error', () => {})
      clients.push(client)
      return client
    },
    lasts: 0,
    break: () => breaks(servers),
    mend: () => mend(servers),
    async stop () {
      for (const client of clients) client.disconnect()
      await servers.stop()
    }
  }
}

const dyingMaster: Fault = {
  name: 'a master of a Cluster crashes, and its replica takes over',
  stage: () => clusterStage(1, async ({ nodes }) => { await nodes[0]!.kill() }, async ({ nodes }) => {
    const witness = new Redis(nodes[1]!.port, '127.0.0.1')
    try {
      while (!String(await witness.cluster('NODES')).includes('master,fail')) await delay(20)
      // The state by itself says ok for a moment more: it is only looked at now and then.
      while (!/cluster_state:ok[^]*cluster_slots_ok:16384\b/.test(String(await witness.cluster('INFO')))) await delay(20)
    } finally {
      witness.disconnect()
    }
  })
}

const hungMaster: Fault = {
  name: 'a master of a Cluster hangs, its replica takes over, and the master comes back',
  stage: () => clusterStage(1, async ({ nodes }) => {
    nodes[0]!.pause()
    await delay(4_000)
  }, async ({ nodes }) => { nodes[0]!.resume() })
}

const movingSlots: Fault = {
  name: 'slots of a Cluster move from master to master',
  stage: () => clusterStage(0, async () => {}, async ({ nodes }) => {
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
  })
}

export const topologyFaults: Fault[] = [sentinelFault, dyingMaster, hungMaster, movingSlots]
