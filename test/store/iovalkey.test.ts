import Fastify from 'fastify'
import { Cluster, Redis } from 'iovalkey'
import t from 'tap'
import apiCache from '../../index.js'
import { RedisStore } from '../../lib/store/redis/redis-store.js'
import { storeSuite } from '../../lib/store/suite.js'
import { startCluster } from '../support/redis-cluster.js'
import { startRedis, type RedisServer } from '../support/redis-server.js'

let server: RedisServer
t.before(async () => { server = await startRedis() })
t.teardown(() => server.stop())

async function open (): Promise<RedisStore> {
  const store = new RedisStore(new Redis(server.port), true)
  await store.opened(5_000)
  return store
}

for (const { name, run } of storeSuite(open)) t.test(`over iovalkey: ${name}`, run)

t.test('over a Cluster of iovalkey', async (t) => {
  const { startupNodes, stop } = await startCluster()
  t.teardown(stop)
  const openCluster = async (): Promise<RedisStore> => {
    const store = new RedisStore(new Cluster([...startupNodes]), true)
    await store.opened(5_000)
    return store
  }
  for (const { name, run } of storeSuite(openCluster)) await t.test(name, run)
})

for (const local of [undefined, { consistency: 'strict' }, { consistency: 'tracked' }] as const) {
  t.test(`a client of iovalkey is all that the plugin needs, with ${local?.consistency ?? 'no'} local tier`, async (t) => {
    const client = new Redis(server.port)
    const app = Fastify()
    t.teardown(async () => {
      await app.close()
      client.disconnect()
    })
    await app.register(apiCache, { redis: client, prefix: `with-${local?.consistency}`, timeout: 10_000, ...(local && { local }) })
    let runs = 0
    app.get('/', { config: { cache: { namespace: 'n', expire: '1h', coalesce: 'fleet' } } }, async () => ++runs)
    app.put('/', { config: { cache: { invalidate: 'n', strict: true } } }, async () => 'written')
    const get = async (): Promise<string> => {
      const { headers, payload } = await app.inject('/')
      await app.apiCache.settled()
      return `${String(headers['x-api-cache'])} ${payload}`
    }
    t.equal(await get(), 'MISS 1')
    t.equal(await get(), 'HIT 1')
    t.equal((await app.inject({ method: 'PUT', url: '/' })).statusCode, 200)
    t.equal(await get(), 'MISS 2')
    t.equal(await get(), 'HIT 2')
    t.equal(client.status, 'ready')
  })
}
