import Fastify, { type FastifyInstance } from 'fastify'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import apiCache from '../../index.js'
import { startRedis } from '../support/redis-server.js'
import { listening, type Serving } from '../support/serving.js'
import { startProxy } from '../support/tcp-proxy.js'
import { networkFaults } from './network-faults.js'
import { proveAll } from './prove.js'

proveAll(networkFaults)

async function onClient (t: Test, port: number, declare: (app: FastifyInstance) => unknown): Promise<Serving> {
  const client = new Redis(port, '127.0.0.1')
  client.on('error', () => {})
  t.teardown(() => { client.disconnect() })
  const app = Fastify()
  await app.register(apiCache, { redis: client, host: false })
  return await listening(t, app, declare)
}

t.test("a write on a half-open connection reaches other servers within two seconds, also with the application's client", async (t) => {
  const server = await startRedis()
  t.teardown(() => server.stop())
  const proxy = await startProxy(server.port)
  t.teardown(() => proxy.stop())
  let value = 1
  const declare = (app: FastifyInstance): void => {
    app.get('/', { config: { cache: { namespace: 'n', expire: '1 hour' } } }, async () => String(value))
    app.put('/', { config: { cache: { invalidate: 'n' } } }, async () => String(++value))
  }
  const writer = await onClient(t, proxy.port, declare)
  const reader = await onClient(t, server.port, declare)
  for (let round = 0; round < 3; round++) {
    const old = String(value)
    while ((await reader.request('/')).cache !== 'HIT') await reader.app.apiCache.settled()
    proxy.halfOpen()
    t.equal((await writer.request('/', { method: 'PUT' })).status, 200)
    const began = performance.now()
    while ((await reader.request('/')).text === old);
    t.ok(performance.now() - began < 2_000)
    while (writer.app.apiCache.stats().pending > 0 || !writer.app.apiCache.stats().available) await writer.request('/')
  }
})
