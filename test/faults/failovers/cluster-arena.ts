import { setTimeout as delay } from 'node:timers/promises'
import { Cluster } from 'ioredis'
import type { Random } from '../../support/random.js'
import { startCluster } from '../../support/redis-cluster.js'
import type { RedisServer } from '../../support/redis-server.js'
import { onServer, until } from '../../support/replication.js'
import { startProxy, type TcpProxy } from '../../support/tcp-proxy.js'
import type { Arena, Fault } from './arena.js'

const MASTERS = 3

interface Shard {
  readonly master: RedisServer
  readonly replica: RedisServer
}

const replication = async ({ port }: RedisServer): Promise<string> => await onServer(port, async (client) => await client.info('replication'))
const isMaster = async (node: RedisServer): Promise<boolean> => (await replication(node)).includes('role:master')

/** Three masters, each with a replica. */
export async function clusterArena (): Promise<Arena> {
  const { nodes, stop } = await startCluster({ masters: MASTERS, replicas: 1 })
  const ways: TcpProxy[][] = []
  const clients: Cluster[] = []

  async function shards (): Promise<Shard[]> {
    const infos = await Promise.all(nodes.map(replication))
    const replicas = nodes.filter((_node, index) => infos[index]!.includes('master_link_status:up'))
    return replicas.map((replica) => {
      const port = Number(/^master_port:(\d+)/m.exec(infos[nodes.indexOf(replica)]!)![1])
      return { replica, master: nodes.find((node) => node.port === port)! }
    })
  }
  const anyShard = async (random: Random): Promise<Shard> => random.of(await shards())

  async function healed (): Promise<void> {
    await until(async () => {
      const pairs = await shards()
      if (new Set(pairs.map(({ master }) => master)).size < MASTERS) return false
      const states = await Promise.all(nodes.map(async ({ port }) => await onServer(port, async (client) =>
        [await client.cluster('INFO'), await client.cluster('NODES')].join('\n'))))
      return states.every((state) => state.includes('cluster_state:ok') && !/\bfail\b|fail\?/.test(state.slice(state.indexOf('\n\n'))))
    })
  }

  const faults: Fault[] = [
    {
      name: 'a failover that was asked for',
      async run (random) {
        const { replica } = await anyShard(random)
        await onServer(replica.port, async (client) => await client.call('CLUSTER', 'FAILOVER'))
        await until(async () => await isMaster(replica))
      }
    },
    {
      name: 'a master dies with writes that its replica has not got',
      async run (random) {
        const { master, replica } = await anyShard(random)
        replica.pause()
        await onServer(master.port, async (client) => await client.call('CLIENT', 'KILL', 'TYPE', 'replica'))
        await delay(random.below(300))
        await master.kill()
        replica.resume()
        await until(async () => await isMaster(replica))
        await master.restart()
      }
    },
    {
      name: 'a master stands still for a while',
      async run (random) {
        const { master } = await anyShard(random)
        master.pause()
        await delay(100 + random.below(4_000))
        master.resume()
      }
    },
    {
      name: 'a replica takes over while its master goes on',
      async run (random) {
        const { master, replica } = await anyShard(random)
        await onServer(master.port, async (client) => await client.call('CLIENT', 'KILL', 'TYPE', 'replica'))
        await onServer(replica.port, async (client) => await client.call('CLUSTER', 'FAILOVER', 'TAKEOVER'))
        await until(async () => await isMaster(replica))
      }
    },
    {
      name: 'a member is cut off',
      async run (random) {
        const member = random.of(ways)
        for (const way of member) way.stall()
        await delay(100 + random.below(2_000))
        for (const way of member) way.mend()
      }
    }
  ]

  await healed()
  return {
    faults,
    healed,
    async redis () {
      const member = await Promise.all(nodes.map(async ({ port }) => await startProxy(port)))
      ways.push(member)
      const natMap = Object.fromEntries(nodes.map((node, index) => [`127.0.0.1:${node.port}`, { host: '127.0.0.1', port: member[index]!.port }]))
      const client = new Cluster(member.map(({ port }) => ({ host: '127.0.0.1', port })), { natMap })
      client.on('error', () => {})
      clients.push(client)
      return client
    },
    async stop () {
      for (const client of clients) client.disconnect()
      await stop()
      await Promise.all(ways.flat().map((way) => way.stop()))
    }
  }
}
