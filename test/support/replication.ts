import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { RedisServer } from './redis-server.js'

/** Talks to one server with a client of its own. */
export async function onServer<T> (port: number, run: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(port, '127.0.0.1')
  client.on('error', () => {})
  try {
    return await run(client)
  } finally {
    client.disconnect()
  }
}

/** Nobody tells when a server has reached a state. */
export async function until (holds: () => Promise<boolean>): Promise<void> {
  while (!await holds()) await delay(20)
}

/** Resolves when a replica has got all that its master had. */
export async function isInSync ({ port }: RedisServer): Promise<void> {
  await onServer(port, async (client) => {
    await until(async () => (await client.info('replication')).includes('master_link_status:up'))
  })
}

/** Makes a server the replica of another. */
export async function replicaOf (replica: RedisServer, master: RedisServer): Promise<void> {
  await onServer(replica.port, async (client) => await client.call('REPLICAOF', '127.0.0.1', master.port))
  await isInSync(replica)
}
