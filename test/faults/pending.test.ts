import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { complaints, loggingTo, type LogLine } from '../support/log.js'
import { startRedis, type RedisServer } from '../support/redis-server.js'
import { serving, type Serving } from '../support/serving.js'

async function writing (t: Test, redis: RedisServer, lines: LogLine[] = []): Promise<Serving & { values: Map<string, number> }> {
  const values = new Map<string, number>()
  const served = await serving(t, { redis: redis.url, host: false, expire: '1 hour', timeout: 200 }, (app) => {
    app.get<{ Params: { name: string } }>('/:name', { config: { cache: { namespace: (request) => (request.params as { name: string }).name } } },
      async ({ params }) => ({ value: values.get(params.name) ?? 0 }))
    app.post<{ Params: { name: string } }>('/:name', { config: { cache: { invalidate: (request) => (request.params as { name: string }).name } } },
      async ({ params }) => ({ value: values.set(params.name, (values.get(params.name) ?? 0) + 1).get(params.name) }))
  }, loggingTo(lines))
  return { ...served, values }
}

async function server (t: Test): Promise<RedisServer> {
  const redis = await startRedis()
  t.teardown(async () => {
    redis.resume()
    await redis.stop()
  })
  return redis
}

t.test('an undelivered invalidation is kept once, and its namespace bypassed until it is delivered', async (t) => {
  const redis = await server(t)
  const lines: LogLine[] = []
  const { app, request } = await writing(t, redis, lines)
  for (const name of ['a', 'b']) {
    await request(`/${name}`)
    await app.apiCache.settled()
    t.equal((await request(`/${name}`)).cache, 'HIT')
  }
  redis.pause()
  for (let round = 0; round < 50; round++) t.equal((await request('/a', { method: 'POST' })).status, 200)
  t.equal(app.apiCache.stats().pending, 1)
  t.match(await request('/a'), { status: 200, cache: 'MISS', text: '{"value":50}' })
  t.equal(complaints(lines).filter(({ level }) => level === 50).length, 1, 'fifty of a kind are logged once')

  redis.resume()
  for (;;) {
    const seen = await request('/a')
    t.equal(seen.text, '{"value":50}')
    if (seen.cache === 'HIT') break
    await delay(5)
  }
  t.equal(app.apiCache.stats().pending, 0)
  t.equal((await request('/b')).cache, 'HIT', 'what was not invalidated is still there')
  t.ok(lines.some(({ msg }) => msg.includes('all invalidations are delivered')))
})

t.test('if there are too many namespaces to remember each, all are invalidated', async (t) => {
  const redis = await server(t)
  const { app, request, values } = await writing(t, redis)
  for (const name of ['first', 'last', 'other']) {
    await request(`/${name}`)
    await app.apiCache.settled()
    t.equal((await request(`/${name}`)).cache, 'HIT')
  }
  redis.pause()
  values.set('first', 1).set('last', 1)
  const others = Array.from({ length: 12_000 }, (_, index) => `namespace-${index}`)
  await app.apiCache.invalidate('first')
  await app.apiCache.invalidate(others)
  await app.apiCache.invalidate('last')
  t.ok(app.apiCache.stats().pending >= 10_000)
  t.match(await request('/other'), { status: 200, cache: 'MISS' }, 'everything is bypassed')
  redis.resume()
  while (app.apiCache.stats().pending > 0 || !app.apiCache.stats().available) await delay(20)
  for (const name of ['first', 'last']) t.match(await request(`/${name}`), { text: '{"value":1}' })
})

t.test('closing tries once more to deliver what is pending', async (t) => {
  const redis = await server(t)
  const lines: LogLine[] = []
  const { app, request } = await writing(t, redis, lines)
  await request('/a')
  await app.apiCache.settled()
  const control = new Redis(redis.port, '127.0.0.1')
  t.teardown(() => { control.disconnect() })
  const before = await control.get('api-cache!version:a')
  // Reading works all the time.
  await control.acl('SETUSER', 'default', '-set', '-eval', '-del')
  t.equal((await request('/a', { method: 'POST' })).status, 200)
  t.equal(app.apiCache.stats().pending, 1)
  t.match(await request('/a'), { cache: 'MISS', text: '{"value":1}' }, 'what could be read is old')
  await control.acl('SETUSER', 'default', '+@all')
  await app.close()
  t.not(await control.get('api-cache!version:a'), before)
  t.notOk(lines.some(({ msg }) => msg.includes('closed with invalidations')))
})

t.test('closing logs what cannot be delivered, within seconds', async (t) => {
  const redis = await server(t)
  const lines: LogLine[] = []
  const { app, request } = await writing(t, redis, lines)
  await request('/a')
  redis.pause()
  await request('/a', { method: 'POST' })
  const began = performance.now()
  await app.close()
  t.ok(performance.now() - began < 3_000)
  t.match(lines.find(({ msg }) => msg.includes('closed with invalidations')), { level: 50, pending: 1, versions: ['api-cache!version:a'] })
})

t.test('after an outage processes wait for invalidations that others still have to deliver', async (t) => {
  const redis = await server(t)
  const [writer, reader] = [await writing(t, redis), await writing(t, redis)]
  await writer.request('/a')
  await writer.app.apiCache.settled()
  t.equal((await reader.request('/a')).cache, 'HIT')
  redis.pause()
  // The reader looks for Redis a little earlier than the writer, who never gets to send its move.
  await reader.request('/a')
  await delay(50)
  await writer.request('/a')
  await writer.request('/a', { method: 'POST' })
  reader.values.set('a', 1)
  t.equal(writer.app.apiCache.stats().pending, 1)
  redis.resume()
  for (;;) {
    const seen = await reader.request('/a')
    t.equal(seen.text, '{"value":1}')
    if (seen.cache === 'HIT') break
  }
})
