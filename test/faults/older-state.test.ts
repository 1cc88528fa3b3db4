import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { ApiCacheOptions } from '../../index.js'
import { startRedis, type RedisServer } from '../support/redis-server.js'
import { serving } from '../support/serving.js'

async function server (t: Test): Promise<{ redis: RedisServer, control: Redis }> {
  const redis = await startRedis()
  const control = new Redis(redis.port, '127.0.0.1', { retryStrategy: () => 20 })
  control.on('error', () => {})
  t.teardown(async () => {
    control.disconnect()
    await redis.stop()
  })
  return { redis, control }
}

/** An application on a value that others may change. */
async function reading (t: Test, redis: ApiCacheOptions['redis'], database: { value: number }) {
  return await serving(t, { redis, host: false, expire: '1 hour' }, (app) => {
    app.get('/value', { config: { cache: { namespace: 'value' } } }, async () => ({ value: database.value }))
    app.get('/tagged', { config: { cache: { namespace: 'tagged', tags: (_request, payload) => [`value-${typeof payload}`] } } }, async () => ({ value: database.value }))
  })
}

t.test('a process that starts after Redis was restored from an old RDB file trusts nothing in it', async (t) => {
  const { redis, control } = await server(t)
  const database = { value: 1 }
  const first = await reading(t, redis.url, database)
  for (const path of ['/value', '/tagged']) {
    await first.request(path)
    await first.app.apiCache.settled()
    t.equal((await first.request(path)).cache, 'HIT')
  }
  await control.save()
  database.value = 2
  await first.app.apiCache.invalidate('value')
  await first.app.apiCache.invalidateTags('value-object')
  await first.app.close()
  await redis.restart()

  const second = await reading(t, redis.url, database)
  for (const path of ['/value', '/tagged']) {
    t.match(await second.request(path), { cache: 'MISS', text: '{"value":2}' })
    await second.app.apiCache.settled()
    t.match(await second.request(path), { cache: 'HIT', text: '{"value":2}' })
  }
})

t.test('a process that ran before trusts no version that was bumped after the file was written', async (t) => {
  const { redis, control } = await server(t)
  const database = { value: 1 }
  const { app, request } = await reading(t, redis.url, database)
  await request('/value')
  await app.apiCache.settled()
  await control.save()
  database.value = 2
  // By somebody else: nothing about it is known here.
  const other = await reading(t, redis.url, database)
  await other.app.apiCache.invalidate('value')
  await other.app.close()
  await redis.restart()
  for (;;) {
    const seen = await request('/value')
    t.equal(seen.text, '{"value":2}')
    if (seen.cache === 'HIT') break
  }
})

t.test('after a reconnection to the same run of Redis entries are found again', async (t) => {
  const { redis, control } = await server(t)
  const client = new Redis(redis.port, '127.0.0.1')
  t.teardown(() => { client.disconnect() })
  const { app, request } = await reading(t, client, { value: 1 })
  await request('/value')
  await app.apiCache.settled()
  await Promise.all([new Promise((resolve) => client.once('ready', resolve)), control.call('CLIENT', 'KILL', 'TYPE', 'normal')])
  while ((await request('/value')).cache !== 'HIT');
  t.equal(app.apiCache.stats().misses, 1)
})

t.test('if INFO is forbidden, each new connection trusts only what was written since it began', async (t) => {
  const { redis, control } = await server(t)
  await control.acl('SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-info')
  const client = new Redis({ port: redis.port, host: '127.0.0.1', username: 'app', password: 'secret', enableReadyCheck: false })
  t.teardown(() => { client.disconnect() })
  const { app, request } = await reading(t, client, { value: 1 })
  await request('/value')
  await app.apiCache.settled()
  t.equal((await request('/value')).cache, 'HIT')
  await Promise.all([new Promise((resolve) => client.once('ready', resolve)), control.call('CLIENT', 'KILL', 'USER', 'app')])
  while ((await request('/value')).cache !== 'HIT');
  t.ok(app.apiCache.stats().misses > 1, 'it was filled again')
})

t.test('processes that get different run ids from INFO still share what they fill', async (t) => {
  const { redis, control } = await server(t)
  await control.acl('SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-info')
  const database = { value: 1 }
  const [a, b] = [
    await reading(t, redis.url, database),
    await reading(t, { port: redis.port, host: '127.0.0.1', username: 'app', password: 'secret', enableReadyCheck: false }, database)
  ]
  await b.request('/value')
  await control.call('CLIENT', 'KILL', 'USER', 'app')
  while ((await b.request('/value')).cache !== 'HIT');
  for (let round = 0; round < 3; round++) {
    for (const { app, request } of [a, b]) {
      await request('/value')
      await app.apiCache.settled()
    }
  }
  t.equal((await a.request('/value')).cache, 'HIT')
  t.equal((await b.request('/value')).cache, 'HIT')
  database.value = 2
  await b.app.apiCache.invalidate('value')
  t.equal((await a.request('/value')).text, '{"value":2}')
})
