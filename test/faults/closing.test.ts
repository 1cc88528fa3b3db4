import { once } from 'node:events'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import Fastify from 'fastify'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import apiCache from '../../index.js'
import { startRedis, type RedisServer } from '../support/redis-server.js'

async function server (t: Test): Promise<RedisServer> {
  const redis = await startRedis()
  t.teardown(async () => {
    redis.resume()
    await redis.stop()
  })
  return redis
}

/** Runs the program until it ends by itself: with nothing left that would keep it alive. */
async function ends (t: Test, redis: RedisServer, when: string): Promise<void> {
  const child = spawn('/usr/bin/env', ['-u', 'NODE_OPTIONS', process.execPath, join(__dirname, 'closing-program.js'), redis.url, when], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc']
  })
  t.teardown(() => { child.kill('SIGKILL') })
  const exit = once(child, 'exit')
  let began = 0
  child.on('message', (message) => {
    if (message === 'hang') {
      redis.pause()
      child.send('hung')
    } else {
      began = performance.now()
    }
  })
  t.same(await exit, [0, null], 'without an unhandled rejection')
  t.ok(began > 0 && performance.now() - began < 3_000, 'within seconds')
}

for (const when of ['idle', 'hung', 'hung during a sweep', 'hung during fills', 'hung with pending invalidations', 'never connected']) {
  t.test(`a server that closes while Redis is ${when} leaves nothing that keeps its process alive`, async (t) => {
    const redis = await server(t)
    if (when === 'never connected') redis.pause()
    await ends(t, redis, when)
  })
}

t.test('a client of the user stays as it was: connected, with its own options and listeners', async (t) => {
  const redis = await server(t)
  const client = new Redis(redis.port, '127.0.0.1')
  await once(client, 'ready')
  const options = JSON.stringify(client.options)
  const listeners = (): Array<[string | symbol, number]> => client.eventNames().map((name) => [name, client.listenerCount(name)])
  const before = listeners()
  for (let round = 0; round < 3; round++) {
    const app = Fastify()
    await app.register(apiCache, { redis: client, expire: '1 hour' })
    app.get('/', { config: { cache: { namespace: 'a' } } }, async () => 'a')
    await app.inject('/')
    await app.apiCache.settled()
    t.equal((await app.inject('/')).headers['x-api-cache'], 'HIT')
    await app.close()
    t.same(listeners(), before)
  }
  t.equal(client.status, 'ready')
  t.equal(JSON.stringify(client.options), options)
  t.equal(await client.ping(), 'PONG')
  client.disconnect()
})

t.test('a client that connects on its first command is connected by the plugin', async (t) => {
  const redis = await server(t)
  const client = new Redis(redis.port, '127.0.0.1', { lazyConnect: true })
  const app = Fastify()
  await app.register(apiCache, { redis: client, expire: '1 hour' })
  app.get('/', { config: { cache: { namespace: 'a' } } }, async () => 'a')
  await app.inject('/')
  await app.apiCache.settled()
  t.equal((await app.inject('/')).headers['x-api-cache'], 'HIT')
  await app.close()
  client.disconnect()
})

t.test('a sweep that waits for a hanging Redis does not delay a later close', async (t) => {
  const redis = await server(t)
  const client = new Redis(redis.port, '127.0.0.1')
  const app = Fastify()
  await app.register(apiCache, { redis: client, expire: '1 hour' })
  await client.mset(Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`api-cache|a:GET /${index}`, 'old'])))
  const { swept } = await app.apiCache.invalidate('a')
  await new Promise((resolve) => setTimeout(resolve, 20))
  redis.pause()
  const began = performance.now()
  await app.close()
  t.ok(performance.now() - began < 3_000)
  redis.resume()
  t.ok(await swept < 20_000, 'and it ends there')
  client.disconnect()
})
