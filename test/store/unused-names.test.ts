import { Cluster, Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { ApiCacheOptions } from '../../index.js'
import { fileRedis, inRedis } from '../support/each-store.js'
import { startCluster } from '../support/redis-cluster.js'
import { serving, type Serving } from '../support/serving.js'

const redis = fileRedis()
const MINUTES = 600
const MONTHS = 10_000_000

async function tagged (t: Test, options: ApiCacheOptions): Promise<Serving> {
  return await serving(t, options, (app) => {
    app.get<{ Params: { id: string } }>('/users/:id', {
      config: { cache: { namespace: 'users', expire: '1 day', tags: ({ params }) => [(params as { id: string }).id] } }
    }, async ({ params }, reply) => {
      if (params.id.startsWith('no')) reply.code(404)
      return { id: params.id }
    })
  })
}

const places: Record<string, () => ApiCacheOptions> = {
  'in Redis': () => inRedis(redis()),
  'in the strict tier': () => ({ ...inRedis(redis()), local: true }),
  'in the tracked tier': () => ({ ...inRedis(redis()), local: { consistency: 'tracked' } })
}

/** Seconds that the versions of a tag have left, by the tag. */
async function lives (client: Redis | Cluster, nodes: readonly Redis[]): Promise<Record<string, number>> {
  const found: Record<string, number> = {}
  for (const node of nodes) {
    for (const key of await node.keys('*!tag:*')) found[key.replace(/.*}/, '')] = await client.ttl(key)
  }
  return found
}

async function prove (t: Test, server: Serving, read: () => Promise<Record<string, number>>): Promise<void> {
  await server.request('/users/nobody')
  t.equal((await server.request('/users/ada')).cache, 'MISS')
  await server.app.apiCache.settled()
  const { nobody, ada } = await read()
  t.ok(nobody! > 0 && nobody! <= MINUTES, `nothing was stored under it, and it lives for ${nobody} s`)
  t.ok(ada! > MONTHS, `an entry was stored under it, and it lives for ${ada} s`)
  t.equal((await server.request('/users/ada')).cache, 'HIT')

  await server.app.apiCache.invalidateTags('ada', { settle: '1m' })
  t.equal((await server.request('/users/ada')).cache, 'MISS')
  await server.app.apiCache.settled()
  t.ok((await read())['ada']! <= 60, 'the version of a window is not prolonged')
}

for (const [place, options] of Object.entries(places)) {
  t.test(`a name from a request lives for minutes until something is stored under it: ${place}`, async (t) => {
    const client = new Redis(redis().port, '127.0.0.1')
    t.teardown(() => { client.disconnect() })
    await client.flushall()
    await prove(t, await tagged(t, options()), async () => await lives(client, [client]))
  })
}

t.test('a name from a request lives for minutes until something is stored under it: on a Cluster', async (t) => {
  const servers = await startCluster()
  t.teardown(() => servers.stop())
  const client = new Cluster([...servers.startupNodes])
  t.teardown(() => { client.disconnect() })
  await prove(t, await tagged(t, { redis: client, timeout: 10_000 }), async () => await lives(client, client.nodes('master')))
})

t.test('another process that stores an entry under a name prolongs it, too', async (t) => {
  const client = new Redis(redis().port, '127.0.0.1')
  t.teardown(() => { client.disconnect() })
  await client.flushall()
  const [one, other] = [await tagged(t, inRedis(redis())), await tagged(t, inRedis(redis()))]
  await one.request('/users/ada', { headers: { authorization: 'x' } })
  await one.request('/users/nobody')
  const before = await client.get('api-cache!version:users')
  await other.request('/users/ada')
  await other.app.apiCache.settled()
  t.equal(await client.get('api-cache!version:users'), before)
  t.ok(await client.ttl('api-cache!version:users') > MONTHS)
})
