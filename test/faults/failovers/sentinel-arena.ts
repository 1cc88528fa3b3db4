import { setTimeout as delay } from 'node:timers/promises'
import { startRedis, type RedisServer } from '../../support/redis-server.js'
import { onServer, until } from '../../support/replication.js'
import { startProxy, type TcpProxy } from '../../support/tcp-proxy.js'
import type { Arena, Fault } from './arena.js'

const NAME = 'arena'

/** A server, and the address at which the other server and the Sentinel reach it. */
interface Node {
  readonly server: RedisServer
  readonly net: TcpProxy
}

/** The ways of one member. */
interface Ways {
  readonly sentinel: TcpProxy
  readonly to: ReadonlyMap<Node, TcpProxy>
}

async function startNode (): Promise<Node> {
  const net = await startProxy(0)
  const server = await startRedis({
    args: ['--repl-diskless-sync-delay', '0', '--replica-announce-ip', '127.0.0.1', '--replica-announce-port', String(net.port)]
  })
  net.lead(server.port)
  return { server, net }
}

/** Two servers and a Sentinel that takes some seconds to tell a former master that it is one. */
export async function sentinelArena (): Promise<Arena> {
  const nodes = [await startNode(), await startNode()] as const
  const [first, second] = nodes
  await onServer(second.server.port, async (client) => await client.call('REPLICAOF', '127.0.0.1', first.net.port))
  const sentinel = await startRedis({
    config: [
      `sentinel monitor ${NAME} 127.0.0.1 ${first.net.port} 1`,
      `sentinel down-after-milliseconds ${NAME} 300`,
      `sentinel failover-timeout ${NAME} 1000`
    ].join('\n'),
    args: ['--sentinel']
  })
  await onServer(sentinel.port, async (client) =>
    await client.call('SENTINEL', 'DEBUG', 'INFO-PERIOD', '1000', 'PUBLISH-PERIOD', '1000'))
  const members: Ways[] = []

  async function masterNow (): Promise<Node> {
    const [, port] = await onServer(sentinel.port, async (client) =>
      await client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)) as [string, string]
    return nodes.find(({ net }) => net.port === Number(port))!
  }
  const other = (node: Node): Node => node === first ? second : first
  const switched = async (from: Node): Promise<void> => { await until(async () => await masterNow() !== from) }

  async function healed (): Promise<void> {
    await until(async () => {
      const master = await masterNow()
      const replica = other(master)
      const [one, two] = await Promise.all([master, replica].map(async ({ server }) =>
        await onServer(server.port, async (client) => await client.info('replication'))))
      if (!one!.includes('role:master') || !/state=online/.test(one!)) return false
      if (!two!.includes('master_link_status:up') || !two!.includes(`master_port:${master.net.port}`)) return false
      const [known] = await onServer(sentinel.port, async (client) => await client.call('SENTINEL', 'REPLICAS', NAME)) as [string[]?]
      return known?.[known.indexOf('flags') + 1] === 'slave'
    })
  }

  const faults: Fault[] = [
    {
      name: 'a failover that was asked for',
      async run () {
        const master = await masterNow()
        await until(async () => await onServer(sentinel.port, async (client) =>
          await client.call('SENTINEL', 'FAILOVER', NAME).catch(() => '')) === 'OK')
        await switched(master)
      }
    },
    {
      name: 'a master dies with writes that its replica has not got',
      async run (random) {
        const master = await masterNow()
        other(master).server.pause()
        await onServer(master.server.port, async (client) => await client.call('CLIENT', 'KILL', 'TYPE', 'replica'))
        await delay(random.below(250))
        await master.server.kill()
        other(master).server.resume()
        await switched(master)
        await master.server.restart()
      }
    },
    {
      name: 'a master stands still for a while',
      async run (random) {
        const { server } = await masterNow()
        server.pause()
        await delay(100 + random.below(1_500))
        server.resume()
      }
    },
    {
      name: 'a partition with the master and a member on one side',
      async run (random) {
        const master = await masterNow()
        const alone = members[random.below(members.length)]!
        master.net.stall()
        alone.sentinel.stall()
        for (const ways of members) ways.to.get(ways === alone ? other(master) : master)!.stall()
        await delay(300 + random.below(2_000))
        master.net.mend()
        for (const ways of members) for (const way of [ways.sentinel, ...ways.to.values()]) way.mend()
      }
    },
    {
      name: 'a member is cut off',
      async run (random) {
        const { sentinel, to } = members[random.below(members.length)]!
        for (const way of [sentinel, ...to.values()]) way.stall()
        await delay(100 + random.below(2_000))
        for (const way of [sentinel, ...to.values()]) way.mend()
      }
    }
  ]

  await healed()
  return {
    faults,
    healed,
    async redis () {
      const ways: Ways = {
        sentinel: await startProxy(sentinel.port),
        to: new Map(await Promise.all(nodes.map(async (node) => [node, await startProxy(node.server.port)] as const)))
      }
      members.push(ways)
      const natMap = Object.fromEntries([...ways.to].map(([{ net }, { port }]) => [`127.0.0.1:${net.port}`, { host: '127.0.0.1', port }]))
      return { sentinels: [{ host: '127.0.0.1', port: ways.sentinel.port }], name: NAME, natMap, sentinelRetryStrategy: () => 50 }
    },
    async stop () {
      await Promise.all([sentinel, first.server, second.server].map((server) => server.stop()))
      await Promise.all([...nodes.map(({ net }) => net), ...members.flatMap(({ sentinel, to }) => [sentinel, ...to.values()])].map((way) => way.stop()))
    }
  }
}
