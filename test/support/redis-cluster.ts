import { execFile } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import type { ClusterBus } from './cluster-bus.js'
import { freePort } from './free-port.js'
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
  /** Milliseconds without a word after which a node counts as failed, and one that hears of nobody gives up; default 1,000. */
  nodeTimeout?: number
  /** Carries what the nodes tell each other, so that a test can cut it. */
  bus?: ClusterBus
}

const NODE_ARGS = [
  '--cluster-enabled', 'yes',
  '--cluster-config-file', 'nodes.conf',
  '--repl-diskless-sync-delay', '0'
]

export async function startCluster (options: RedisClusterOptions = {}): Promise<RedisClusterServers> {
  const { masters = 3, replicas = 0, nodeTimeout = 1_000, bus } = options
  const count = masters * (1 + replicas)
  const args = [...NODE_ARGS, '--cluster-node-timeout', String(nodeTimeout)]
  const nodes = await Promise.all(Array.from({ length: count }, () => bus === undefined ? startRedis({ args }) : startNode(bus, args)))
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

/** The id by which a node is known to the others. */
export async function idOf ({ port }: { readonly port: number }): Promise<string> {
  const client = new Redis(port, '127.0.0.1')
  try {
    return String(await client.cluster('MYID'))
  } finally {
    client.disconnect()
  }
}

async function startNode (bus: ClusterBus, args: readonly string[]): Promise<RedisServer> {
  const port = await freePort()
  const own = await freePort()
  // Where `redis-cli --cluster create` and other nodes look for it.
  const announced = port + 10_000
  await bus.open(announced, own, () => idOf({ port }))
  const addresses = ['--cluster-port', String(own), '--cluster-announce-bus-port', String(announced)]
  return await startRedis({ port, args: [...args, ...addresses] })
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
