import { setTimeout as delay } from 'node:timers/promises'
import calculateSlot from 'cluster-key-slot'
import { Cluster } from 'ioredis'
import { parseList } from 'structured-headers'
import t from 'tap'
import { sayAhead } from '../support/redis-clock.js'
import { startCluster } from '../support/redis-cluster.js'
import { onServer, until } from '../support/replication.js'
import { keysOf, serving, type Serving } from '../support/serving.js'
import { startProxy } from '../support/tcp-proxy.js'

const MINUTE = 60_000
/** By how much the clocks of the masters, and of their replicas, are ahead. */
const AHEAD = [0, 5 * MINUTE, -5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 20 * MINUTE]
/** The slots of the first master. */
const isOfFirst = (key: string): boolean => calculateSlot(key) <= 5_460
const NAMESPACES = Array.from({ length: 24 }, (_, index) => `clock-${index}`)

interface Answer {
  readonly cache: string | null
  readonly text: string
  readonly ttl: number
}

async function ask ({ request }: Serving, namespace: string): Promise<Answer> {
  const { cache, text, headers } = await request(`/${namespace}`)
  const [, parameters] = parseList(headers.get('cache-status')!).at(-1)!
  return { cache, text, ttl: Number(parameters.get('ttl') ?? 0) }
}

t.test('each master of a Cluster has a clock of its own, and all processes agree, also after a failover', async (t) => {
  const cluster = await startCluster({ masters: 3, replicas: 1 })
  t.teardown(() => cluster.stop())
  const wires = await Promise.all(cluster.nodes.map(({ port }) => startProxy(port)))
  t.teardown(() => Promise.all(wires.map((wire) => wire.stop())))
  wires.forEach((wire, index) => { sayAhead(wire, AHEAD[index]!) })
  const natMap = Object.fromEntries(cluster.nodes.map(({ port }, index) =>
    [`127.0.0.1:${port}`, { host: '127.0.0.1', port: wires[index]!.port }]))

  let run = 0
  const start = async (): Promise<Serving> => {
    const redis = new Cluster(wires.map(({ port }) => ({ host: '127.0.0.1', port })), { natMap })
    redis.on('error', () => {})
    t.teardown(() => { redis.disconnect() })
    return await serving(t, { redis, timeout: 10_000, host: false }, (app) => {
      for (const namespace of NAMESPACES) {
        const cache = { namespace, expire: '10 minutes', staleWhileRevalidate: '1 day' } as const
        app.get(`/${namespace}`, { config: { cache } }, async () => ({ run: ++run }))
      }
    })
  }
  const servers = [await start(), await start()]
  const isFresh = ({ cache, ttl }: Answer): boolean => cache === 'HIT' && ttl > 300 && ttl <= 600

  const filled = new Map<string, string>()
  for (const namespace of NAMESPACES) filled.set(namespace, (await ask(servers[0]!, namespace)).text)
  await servers[0]!.app.apiCache.settled()
  for (const namespace of NAMESPACES) {
    for (const server of servers) {
      const answer = await ask(server, namespace)
      t.ok(isFresh(answer) && answer.text === filled.get(namespace), JSON.stringify(answer))
    }
  }

  const { port: first } = cluster.nodes[0]!
  for (const { port } of cluster.nodes.slice(3)) {
    await onServer(port, async (client) => {
      if (!(await client.info('replication')).includes(`master_port:${first}`)) return
      await client.cluster('FAILOVER')
      await until(async () => (await client.info('replication')).includes('role:master'))
    })
  }
  // Entries of the former master whose version has another one are as they were.
  const others = NAMESPACES.filter((namespace) => !isOfFirst(`api-cache!version:${namespace}`))
  const moved: string[] = []
  for (const namespace of others) {
    for (const server of servers) {
      let answer: Answer
      while ((answer = await ask(server, namespace)).cache !== 'HIT') await delay(20)
      t.ok(isFresh(answer) && answer.text === filled.get(namespace), JSON.stringify(answer))
    }
    moved.push(...(await keysOf(servers[0]!.app, namespace)).filter(isOfFirst))
  }
  t.ok(moved.length > 0, 'some have moved')
})
