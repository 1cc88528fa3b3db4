import Fastify from 'fastify'
import t from 'tap'
import apiCache, { redisFromEnvironment } from '../../index.js'
import { fileRedis } from '../support/each-store.js'

const redis = fileRedis()

t.test('REDIS_URL is taken as it is, whatever else is set', async (t) => {
  t.equal(redisFromEnvironment({ REDIS_URL: 'rediss://user:pass@host:1/2', REDIS_SERVER: 'other', REDIS_PORT: 'x' }), 'rediss://user:pass@host:1/2')
})

t.test('without any of the variables there is no Redis', async (t) => {
  t.equal(redisFromEnvironment({}), undefined)
  t.equal(redisFromEnvironment({ REDIS_URL: '', REDIS_SERVER: '', REDIS_PORT: '', REDIS_PASSWORD: '', REDIS_TIMEOUT: '' }), undefined)
})

t.test('if one variable is set, the others have their defaults', async (t) => {
  t.strictSame(redisFromEnvironment({ REDIS_SERVER: 'host' }), { host: 'host', port: 6379, connectTimeout: 5_000 })
  t.strictSame(redisFromEnvironment({ REDIS_PORT: '6380' }), { host: 'redis', port: 6380, connectTimeout: 5_000 })
  t.strictSame(redisFromEnvironment({ REDIS_PASSWORD: 'secret' }), { host: 'redis', port: 6379, connectTimeout: 5_000, password: 'secret' })
  t.strictSame(redisFromEnvironment({ REDIS_TIMEOUT: '0.5' }), { host: 'redis', port: 6379, connectTimeout: 500 })
})

t.test('all variables can be set together', async (t) => {
  t.strictSame(redisFromEnvironment({ REDIS_SERVER: 'host', REDIS_PORT: '1', REDIS_PASSWORD: 'secret', REDIS_TIMEOUT: '10' }),
    { host: 'host', port: 1, password: 'secret', connectTimeout: 10_000 })
})

t.test('an invalid port is an error that shows it', async (t) => {
  for (const REDIS_PORT of ['0', '-1', '65536', '6379.5', 'redis', 'Infinity']) {
    const expected = { code: 'FST_API_CACHE_INVALID_ENVIRONMENT', message: `REDIS_PORT must be a port number, got '${REDIS_PORT}'` }
    t.throws(() => redisFromEnvironment({ REDIS_PORT }), expected)
  }
})

t.test('an invalid timeout is an error that shows it', async (t) => {
  for (const REDIS_TIMEOUT of ['0', '-1', '5s', 'Infinity']) {
    const expected = { code: 'FST_API_CACHE_INVALID_ENVIRONMENT', message: `REDIS_TIMEOUT must be seconds above 0, got '${REDIS_TIMEOUT}'` }
    t.throws(() => redisFromEnvironment({ REDIS_TIMEOUT }), expected)
  }
})

t.test('the environment of the process is read if none is given', async (t) => {
  t.intercept(process, 'env', { value: { REDIS_URL: 'redis://from-the-environment' } })
  t.equal(redisFromEnvironment(), 'redis://from-the-environment')
})

t.test('the plugin connects with the returned options', async (t) => {
  for (const env of [{ REDIS_URL: redis().url }, { REDIS_SERVER: '127.0.0.1', REDIS_PORT: String(redis().port) }]) {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(apiCache, { redis: redisFromEnvironment(env), timeout: 10_000 })
    t.match(app.apiCache.stats(), { store: 'redis', available: true })
    t.equal(await (await app.apiCache.invalidate('users')).swept, 0)
  }
})
