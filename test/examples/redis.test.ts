import t from 'tap'
import { findRedis } from '../../examples/redis.js'
import { freePort } from '../support/free-port.js'
import { startRedis } from '../support/redis-server.js'

for (const name of Object.keys(process.env)) if (name === 'STORE' || name.startsWith('REDIS_')) delete process.env[name]

t.test('the example finds a Redis on localhost', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  t.same(await findRedis(redis.port), { host: 'localhost', port: redis.port })
})

t.test('the example uses memory where no Redis answers', async (t) => {
  t.equal(await findRedis(await freePort()), undefined)
})
