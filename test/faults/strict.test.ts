import { once } from 'node:events'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import apiCache from '../../index.js'
import { startChild } from '../support/child-process.js'
import { MapStore } from '../support/map-store.js'
import { startRedis, type RedisServer } from '../support/redis-server.js'
import { serving, type Serving } from '../support/serving.js'
import Fastify from 'fastify'
import { join } from 'node:path'

async function server (t: Test): Promise<{ redis: RedisServer, control: Redis }> {
  const redis = await startRedis()
  const control = new Redis(redis.port, '127.0.0.1')
  t.teardown(async () => {
    control.disconnect()
    redis.resume()
    await redis.stop()
  })
  return { redis, control }
}

interface Database {
  value: number
  /** Called while a write is under way, before it commits. */
  writing: () => Promise<void>
  /** What the write answers. */
  status: number
}

const database = (): Database => ({ value: 1, writing: async () => {}, status: 200 })

async function strict (t: Test, redis: string, data: Database): Promise<Serving> {
  return await serving(t, { redis, host: false, expire: '1 hour', timeout: 300 }, (app) => {
    app.get('/value', { config: { cache: { namespace: 'value' } } }, async () => ({ value: data.value }))
    app.get('/tagged', { config: { cache: { namespace: 'tagged', tags: (_request, payload) => [`value-${typeof payload}`] } } }, async () => ({ value: data.value }))
    app.post('/value', { config: { cache: { invalidate: 'value', invalidateTags: ['value-object'], strict: true } } }, async (_request, reply) => {
      await data.writing()
      if (data.status === 200) data.value++
      reply.code(data.status)
      return { value: data.value }
    })
    app.post('/plain', { config: { cache: { invalidate: 'value' } } }, async () => ({ value: ++data.value }))
    app.post('/hijacked', { config: { cache: { invalidate: 'value', strict: true } } }, async (_request, reply) => {
      reply.hijack()
      data.value++
      reply.raw.end('{}')
    })
  })
}

async function warm (t: Test, { app, request }: Serving): Promise<void> {
  for (const path of ['/value', '/tagged']) {
    await request(path)
    await app.apiCache.settled()
    t.equal((await request(path)).cache, 'HIT')
  }
}

/** Asks until it is answered from the cache; a sweep may take the first entry with it. */
async function servedAgain (t: Test, { app, request }: Serving, path: string, text: string): Promise<void> {
  for (;;) {
    const seen = await request(path)
    t.equal(seen.text, text)
    if (seen.cache === 'HIT') return
    await app.apiCache.settled()
  }
}

/** Lets the write begin, and go on only when the returned function is called. */
function paused (data: Database): { begun: Promise<void>, goOn: () => void } {
  let goOn!: () => void
  const released = new Promise<void>((resolve) => { goOn = resolve })
  const begun = new Promise<void>((resolve) => {
    data.writing = async () => {
      resolve()
      await released
    }
  })
  return { begun, goOn }
}

t.test('while a strict write is in flight its namespace and tags are bypassed in every process, and cached again after it', async (t) => {
  const { redis } = await server(t)
  const data = database()
  const [here, there] = [await strict(t, redis.url, data), await strict(t, redis.url, data)]
  await warm(t, here)
  const { begun, goOn } = paused(data)
  const write = here.request('/value', { method: 'POST' })
  await begun
  for (const { app, request } of [here, there]) {
    for (const path of ['/value', '/tagged', '/value', '/tagged']) {
      t.match(await request(path), { status: 200, cache: 'MISS', text: '{"value":1}' })
      await app.apiCache.settled()
    }
  }
  goOn()
  t.equal((await write).status, 200)
  for (const served of [here, there]) {
    for (const path of ['/value', '/tagged']) await servedAgain(t, served, path, '{"value":2}')
  }
})

t.test('a fill that began before a strict write is not served after it', async (t) => {
  const { redis } = await server(t)
  const data = database()
  const here = await strict(t, redis.url, data)
  await here.request('/value')
  await here.app.apiCache.settled()
  t.equal((await here.request('/value', { method: 'POST' })).status, 200)
  t.match(await here.request('/value'), { cache: 'MISS', text: '{"value":2}' })
})

t.test('a strict write that is refused with a 4xx invalidates nothing', async (t) => {
  const { redis } = await server(t)
  const data = database()
  const here = await strict(t, redis.url, data)
  await warm(t, here)
  for (const status of [400, 409]) {
    data.status = status
    t.equal((await here.request('/value', { method: 'POST' })).status, status)
    await here.app.apiCache.settled()
    t.equal((await here.request('/value')).cache, 'HIT')
  }
})

t.test('with two strict writes at the same time the namespace is cached again when both have ended', async (t) => {
  const { redis } = await server(t)
  const data = database()
  const here = await strict(t, redis.url, data)
  await warm(t, here)
  const first = paused(data)
  const one = here.request('/value', { method: 'POST' })
  await first.begun
  const second = paused(data)
  const two = here.request('/value', { method: 'POST' })
  await second.begun
  first.goOn()
  await one
  await here.request('/value')
  await here.app.apiCache.settled()
  t.match(await here.request('/value'), { cache: 'MISS', text: '{"value":2}' }, 'the second is still in flight')
  second.goOn()
  await two
  await servedAgain(t, here, '/value', '{"value":3}')
})

t.test('an ordinary write does not release a version that a strict write holds', async (t) => {
  const { redis } = await server(t)
  const data = database()
  const here = await strict(t, redis.url, data)
  await warm(t, here)
  const { begun, goOn } = paused(data)
  const write = here.request('/value', { method: 'POST' })
  await begun
  await here.request('/plain', { method: 'POST' })
  await here.request('/value')
  await here.app.apiCache.settled()
  t.match(await here.request('/value'), { cache: 'MISS', text: '{"value":2}' })
  data.status = 500
  goOn()
  await write
  await here.app.apiCache.settled()
  t.match(await here.request('/value'), { text: '{"value":2}' }, 'what was before the ordinary write does not come back')
})

t.test('a writer that crashes leaves its namespace bypassed until its intent expires, and no stale entry', async (t) => {
  const { redis, control } = await server(t)
  const data = database()
  const here = await strict(t, redis.url, data)
  await warm(t, here)
  const child = await startChild<{ origin: string }>(join(__dirname, 'strict-writer.js'), redis.url)
  const committed = once(child.process, 'message')
  const answer = fetch(`${child.hello.origin}/value`, { method: 'POST' }).then(() => 'answered', () => 'died')
  await committed
  data.value = 2
  await child.kill()
  t.equal(await answer, 'died')
  t.match(await here.request('/value'), { cache: 'MISS', text: '{"value":2}' })
  await here.app.apiCache.settled()
  t.match(await here.request('/value'), { cache: 'MISS', text: '{"value":2}' })
  const left = await control.pttl('api-cache!version:value')
  t.ok(left > 20_000 && left <= 30_000, 'for half a minute at the most')

  // As if that time had passed.
  await control.pexpire('api-cache!version:value', 1)
  while (await control.exists('api-cache!version:value') === 1);
  await servedAgain(t, here, '/value', '{"value":2}')
})

t.test('a strict write that cannot be recorded is refused before it happens', async (t) => {
  const { redis } = await server(t)
  const data = database()
  const here = await strict(t, redis.url, data)
  redis.pause()
  for (let round = 0; round < 3; round++) {
    const refused = await here.request('/value', { method: 'POST' })
    t.equal(refused.status, 503)
    t.match(JSON.parse(refused.text), { code: 'FST_API_CACHE_STORE_UNAVAILABLE' })
  }
  t.equal(data.value, 1)
  t.equal((await here.request('/plain', { method: 'POST' })).status, 200, 'others are not')
  redis.resume()
})

t.test('a strict write whose end cannot be recorded still succeeds, and is not forgotten', async (t) => {
  const { redis } = await server(t)
  const data = database()
  const here = await strict(t, redis.url, data)
  await warm(t, here)
  data.writing = async () => { redis.pause() }
  t.equal((await here.request('/value', { method: 'POST' })).status, 200)
  t.ok(here.app.apiCache.stats().pending > 0)
  t.match(await here.request('/value'), { cache: 'MISS', text: '{"value":2}' })
  redis.resume()
})

t.test('a strict write whose handler hijacks the reply ends, too', async (t) => {
  const { redis } = await server(t)
  const data = database()
  const here = await strict(t, redis.url, data)
  await warm(t, here)
  await here.request('/hijacked', { method: 'POST' })
  await servedAgain(t, here, '/value', '{"value":2}')
})

t.test('a strict write must know what it invalidates before its handler runs, and needs a store with intents', async (t) => {
  const app = Fastify()
  await app.register(apiCache, { store: 'memory' })
  t.throws(() => {
    app.post('/a', { config: { cache: { invalidate: (_request, payload) => String(payload), strict: true } } }, async () => 1)
  }, { code: 'FST_API_CACHE_INVALID_FIELD', message: /'invalidate' must be a function of the request alone/ })
  t.throws(() => {
    app.post('/b', { config: { cache: { invalidate: 'a', strict: 'yes' as unknown as boolean } } }, async () => 1)
  }, { code: 'FST_API_CACHE_INVALID_FIELD' })
  await app.close()

  const other = Fastify()
  await other.register(apiCache, { store: new MapStore() })
  t.throws(() => {
    other.post('/c', { config: { cache: { invalidate: 'a', strict: true } } }, async () => 1)
  }, { code: 'FST_API_CACHE_INVALID_FIELD', message: /'strict' must be left out with a store without intents/ })
  await other.close()
})
