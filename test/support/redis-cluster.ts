import { execFile } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { redisCliPath } from './programs.js'
import { type RedisServer, startRedis } from './redis-server.js'

export interface RedisClusterServers {
  /** Masters first, then replicas. */
  readonly nodes: readonly RedisServer[]
  /** What `new Cluster()` wants to know. */
  readonly startupNodes: ReadonlyArray<{ host: string, port: number }>
  stop (): Promise<void>
}

export interface RedisClusterOptions {
  masters?: number
  /** How many for each master. */
  replicas?: 0 | 1
}

const NODE_ARGS = [
  '--cluster-enabled', 'yes',
  '--cluster-config-file', 'nodes.conf',
  '--cluster-node-timeout', '1000',
  '--repl-diskless-sync-delay', '0'
]

export async function startCluster ({ masters = 3, replicas = 0 }: RedisClusterOptions = {}): Promise<RedisClusterServers> {
  const count = masters * (1 + replicas)
  const nodes = await Promise.all(Array.from({ length: count }, () => startRedis({ args: NODE_ARGS })))
  await promisify(execFile)(redisCliPath(), [
    '--cluster', 'create', ...nodes.map(({ port }) => `127.0.0.1:${port}`),
    '--cluster-replicas', String(replicas), '--cluster-yes'
  ])
  await Promise.all(nodes.map((node) => joined(node, count)))

  return {
    nodes,
    startupNodes: nodes.map(({ port }) => ({ host: '127.0.0.1', port })),
    async stop () { await Promise.all(nodes.map((node) => node.stop())) }
  }
}

// Nodes gossip; none of them announces that it has heard of all.
async function joined ({ port }: RedisServer, count: number): Promise<void> {
  const client = new Redis(port, '127.0.0.1')
  try {
    for (;;) {
      const info = await client.cluster('INFO')
      const replication = await client.info('replication')
      if (
        info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${count}`) &&
        !replication.includes('master_link_status:down')
      ) return
      await delay(20)
    }
  } finally {
    client.disconnect()
  }
}
