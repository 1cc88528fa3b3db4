import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { type RedisServer, startRedis } from './redis-server.js'

export interface RedisSentinelServers {
  /** The group's name, as clients ask for it. */
  readonly name: string
  readonly sentinels: ReadonlyArray<{ host: string, port: number }>
  readonly master: RedisServer
  readonly replica: RedisServer
  /** Kills the master; resolves when the replica has taken its place. */
  failover (): Promise<void>
  stop (): Promise<void>
}

const NAME = 'api-cache'

/** A master, its replica and one sentinel, whose word is enough. */
export async function startSentinel (): Promise<RedisSentinelServers> {
  const master = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] })
  const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(master.port)] })
  await until(replica.port, async (client) => (await client.info('replication')).includes('master_link_status:up'))

  const sentinel = await startRedis({
    config: [
      `sentinel monitor ${NAME} 127.0.0.1 ${master.port} 1`,
      `sentinel down-after-milliseconds ${NAME} 300`,
      `sentinel failover-timeout ${NAME} 3000`
    ].join('\n'),
    args: ['--sentinel']
  })
  await until(sentinel.port, async (client) => {
    const replicas = await client.call('SENTINEL', 'REPLICAS', NAME) as unknown[]
    return replicas.length === 1
  })

  return {
    name: NAME,
    sentinels: [{ host: '127.0.0.1', port: sentinel.port }],
    master,
    replica,
    async failover () {
      const client = new Redis(sentinel.port, '127.0.0.1')
      try {
        await client.subscribe('+switch-master')
        const switched = once(client, 'message')
        await master.kill()
        await switched
      } finally {
        client.disconnect()
      }
    },
    async stop () {
      await Promise.all([sentinel, replica, master].map((server) => server.stop()))
    }
  }
}

async function until (port: number, holds: (client: Redis) => Promise<boolean>): Promise<void> {
  const client = new Redis(port, '127.0.0.1')
  try {
    while (!await holds(client)) await delay(20)
  } finally {
    client.disconnect()
  }
}
