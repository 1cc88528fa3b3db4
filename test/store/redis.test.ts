import { Redis, type RedisOptions } from 'ioredis'
import t from 'tap'
import { RedisStore } from '../../lib/store/redis/redis-store.js'
import { storeSuite } from '../../lib/store/suite.js'
import { startRedis, type RedisServer } from '../support/redis-server.js'

let server: RedisServer
t.before(async () => { server = await startRedis() })
t.teardown(() => server.stop())

async function open (options: RedisOptions = {}): Promise<RedisStore> {
  const client = new Redis({ port: server.port, ...options })
  const store = new RedisStore(client, true)
  await store.opened(5_000)
  return store
}

for (const { name, run } of storeSuite(() => open())) t.test(`in Redis: ${name}`, run)
for (const { name, run } of storeSuite(() => open({ keyPrefix: 'app:*[x]:' }))) t.test(`in Redis behind a client's keyPrefix: ${name}`, run)
for (const { name, run } of storeSuite(() => open({ protocol: 2 }))) t.test(`in Redis with RESP2: ${name}`, run)
for (const { name, run } of storeSuite(() => open({ stringNumbers: true }))) t.test(`in Redis with stringNumbers: ${name}`, run)

t.test('a sweep also deletes keys that are not strings, and the keys after them', async (t) => {
  const control = new Redis({ port: server.port })
  t.teardown(() => { control.disconnect() })
  const store = await open()
  t.teardown(() => { store.close() })
  await control.rpush('sweep|a:list', 'no entry')
  await control.set('sweep|a:text', 'no entry')
  t.equal(await store.sweep('sweep|a:', () => true), 2)
  t.equal(await control.exists('sweep|a:list', 'sweep|a:text'), 0)
})
