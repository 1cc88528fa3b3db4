import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Random } from '../../support/random.js'
import { startCluster } from '../../support/redis-cluster.js'
import { startRedis, type RedisServer } from '../../support/redis-server.js'
import type { StoreName } from './stores.js'

/** Milliseconds that an outage lasts, at the most. */
const LONGEST_OUTAGE = 800
/** Milliseconds between two cuts of all connections, in an outage of that kind. */
const BETWEEN_CUTS = 25

/** The Redis of a race, and what can happen to it. */
export interface Backend {
  readonly port: number
  /** Loses one version, or all there is. */
  loseVersions (): Promise<void>
  /** Something that servers notice, over when the promise resolves; of a Cluster it happens to one node. */
  breakDown (): Promise<void>
  stop (): Promise<void>
}

export async function startBackend (store: StoreName, random: Random): Promise<Backend> {
  const cluster = store === 'cluster' ? await startCluster() : undefined
  const nodes: readonly RedisServer[] = cluster?.nodes ?? [await startRedis()]
  const clients = nodes.map(({ port }) => new Redis({ port, host: '127.0.0.1', retryStrategy: () => 20 }).on('error', () => {}))

  const outages: ReadonlyArray<(node: RedisServer, client: Redis, milliseconds: number) => Promise<void>> = [
    async function killed (node, _client, milliseconds) {
      await node.kill()
      await delay(milliseconds)
      await node.restart()
    },
    async function hung (node, _client, milliseconds) {
      node.pause()
      await delay(milliseconds)
      node.resume()
    },
    async function restarted (node) { await node.restart() },
    async function cut (_node, client, milliseconds) {
      for (let left = milliseconds; left > 0; left -= BETWEEN_CUTS) {
        await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
        await delay(BETWEEN_CUTS)
      }
    }
  ]
  let count = random.below(outages.length)

  return {
    port: nodes[0]!.port,
    async loseVersions () {
      const client = random.of(clients)
      // A hold is to be lost only with its Redis: until the write ends, nothing else would tell of it.
      const versions = (await client.keys('api-cache!*')).filter((key) => !key.includes(':unknown-')).sort()
      const lost = random.chance(0.1) ? versions : versions.slice(0, 1).map(() => random.of(versions))
      await Promise.all(lost.map((key) => client.del(key)))
    },
    async breakDown () {
      const index = random.below(nodes.length)
      await outages[count++ % outages.length]!(nodes[index]!, clients[index]!, random.next() * LONGEST_OUTAGE)
    },
    async stop () {
      for (const client of clients) client.disconnect()
      for (const node of nodes) node.resume()
      await (cluster ?? nodes[0]!).stop()
    }
  }
}
