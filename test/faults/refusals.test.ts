import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { complaints, loggingTo, type LogLine } from '../support/log.js'
import { startRedis } from '../support/redis-server.js'
import { keysOf, serving } from '../support/serving.js'

/** A warm cache on a Redis that the test may change. */
async function warm (t: Test, args: string[] = []) {
  const redis = await startRedis({ args })
  const control = new Redis(redis.port, '127.0.0.1')
  const client = new Redis({ port: redis.port, host: '127.0.0.1', username: 'app', password: 'secret' })
  client.on('error', () => {})
  await control.acl('SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all')
  t.teardown(async () => {
    client.disconnect()
    control.disconnect()
    await redis.stop()
  })
  const database = { value: 1 }
  const lines: LogLine[] = []
  const served = await serving(t, { redis: client, expire: '1 hour' }, (app) => {
    app.get('/value', { config: { cache: { namespace: 'value' } } }, async () => ({ value: database.value }))
    app.post('/value', { config: { cache: { invalidate: 'value' } } }, async () => ({ value: ++database.value }))
    app.get('/other', { config: { cache: { namespace: 'other' } } }, async () => ({ value: database.value }))
  }, loggingTo(lines))
  for (const path of ['/value', '/other']) {
    await served.request(path)
    await served.app.apiCache.settled()
    t.equal((await served.request(path)).cache, 'HIT')
  }
  return { ...served, redis, control, lines }
}

t.test('a Redis that is full still accepts invalidations, and entries in it are still served', async (t) => {
  const { app, request, control } = await warm(t)
  await control.config('SET', 'maxmemory', '1')
  t.equal((await request('/value', { method: 'POST' })).status, 200)
  t.equal(app.apiCache.stats().pending, 0)
  t.match(await request('/value'), { cache: 'MISS', text: '{"value":2}' })
  t.equal((await request('/other')).cache, 'HIT')
})

t.test('a server that has become a replica is no longer read after it has refused a write', async (t) => {
  const { app, request, control } = await warm(t)
  await control.call('REPLICAOF', '127.0.0.1', 1)
  t.equal((await request('/value', { method: 'POST' })).status, 200)
  t.equal(app.apiCache.stats().pending, 1)
  t.match(await request('/value'), { status: 200, cache: 'MISS', text: '{"value":2}' })
  t.match(await request('/other'), { status: 200, cache: 'MISS' })
  await control.call('REPLICAOF', 'NO', 'ONE')
  while ((await request('/value')).cache !== 'HIT');
  t.equal(app.apiCache.stats().pending, 0)
})

t.test('without UNLINK a sweep deletes with DEL', async (t) => {
  const { app, control } = await warm(t)
  await control.acl('SETUSER', 'app', '-unlink')
  t.equal(await (await app.apiCache.invalidate('value')).swept, 1)
  t.same(await keysOf(app, 'value'), [])
})

t.test('without SCAN invalidations work, but nothing is swept, which is logged once', async (t) => {
  const { app, request, control, lines } = await warm(t)
  await control.acl('SETUSER', 'app', '-scan')
  for (let round = 0; round < 20; round++) t.equal((await request('/value', { method: 'POST' })).status, 200)
  t.equal((await request('/value')).text, '{"value":21}')
  await app.apiCache.settled()
  t.equal((await request('/value')).cache, 'HIT')
  t.equal(complaints(lines).length, 1)
  await t.rejects(keysOf(app, 'value'), { message: /NOPERM/ })
})

t.test('without scripts invalidations work', async (t) => {
  const { app, request, control } = await warm(t)
  await control.acl('SETUSER', 'app', '-@scripting')
  t.equal(await (await app.apiCache.invalidate('value')).swept, 1)
  t.match(await request('/value'), { cache: 'MISS' })
})

t.test('a server that refuses all writes for now is asked once for each invalidation, not also in another way', async (t) => {
  const { app, request, control } = await warm(t)
  await control.config('SET', 'min-replicas-to-write', '1')
  await control.config('RESETSTAT')
  t.equal((await app.apiCache.invalidate('value')).delivered, false)
  const stats = await control.info('commandstats')
  t.notMatch(stats, /cmdstat_del:/)
  t.match(await request('/value'), { cache: 'MISS', text: '{"value":1}' })
  await control.config('SET', 'min-replicas-to-write', '0')
  while ((await request('/value')).cache !== 'HIT');
  t.equal(app.apiCache.stats().pending, 0)
})

t.test('all keys expire, also with another eviction policy of Redis', async (t) => {
  const { control } = await warm(t, ['--maxmemory-policy', 'volatile-ttl'])
  for (const key of await control.keys('api-cache*')) t.ok(await control.ttl(key) > 0, `${key} expires`)
})
