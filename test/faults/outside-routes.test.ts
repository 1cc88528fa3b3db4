import t, { type Test } from 'tap'
import { complaints, loggingTo, type LogLine } from '../support/log.js'
import { startRedis, type RedisServer } from '../support/redis-server.js'
import { keysOf, serving, type Serving } from '../support/serving.js'

const UNAVAILABLE = { code: 'FST_API_CACHE_STORE_UNAVAILABLE', statusCode: 503 }

async function redisServer (t: Test): Promise<RedisServer> {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  return redis
}

async function served (t: Test, redis: RedisServer, lines: LogLine[] = []): Promise<Serving> {
  return await serving(t, { redis: redis.url, timeout: 200, expire: 60 }, (app) => {
    app.get('/', { config: { cache: { namespace: 'value' } } }, async () => 'value')
  }, loggingTo(lines))
}

async function namespacesOf ({ app }: Serving): Promise<string[]> {
  const names: string[] = []
  for await (const name of app.apiCache.namespaces()) names.push(name)
  return names
}

/** Until Redis answers again. */
async function untilHit ({ request }: Serving): Promise<void> {
  while ((await request('/')).cache !== 'HIT');
}

t.test('stats().available is false right after a boot without an answer from Redis, and true once it answers', async (t) => {
  for (const stop of ['pause', 'kill'] as const) {
    const redis = await redisServer(t)
    await redis[stop]()
    const lines: LogLine[] = []
    const serving = await served(t, redis, lines)
    t.ok(complaints(lines).some(({ msg }) => msg.includes('does not answer yet')))
    t.equal(serving.app.apiCache.stats().available, false)
    await t.rejects(keysOf(serving.app, 'value'), UNAVAILABLE)
    await (stop === 'pause' ? redis.resume() : redis.restart())
    await untilHit(serving)
    t.equal(serving.app.apiCache.stats().available, true)
  }
})

t.test('keys() and namespaces() reject with a coded error while Redis is down, and list again afterwards', async (t) => {
  const redis = await redisServer(t)
  const serving = await served(t, redis)
  await serving.request('/')
  await serving.app.apiCache.settled()
  await redis.kill()
  await serving.request('/')
  t.equal(serving.app.apiCache.stats().available, false)
  await t.rejects(keysOf(serving.app, 'value'), UNAVAILABLE)
  await t.rejects(namespacesOf(serving), UNAVAILABLE)
  await redis.restart()
  await untilHit(serving)
  t.equal((await keysOf(serving.app, 'value')).length, 1)
  t.same(await namespacesOf(serving), ['value'])
})

t.test('keys() that are being listed when Redis dies reject with a coded error that has the cause', async (t) => {
  const redis = await redisServer(t)
  const serving = await served(t, redis)
  redis.pause()
  // The listing may have failed before kill() is over: it is awaited from the beginning.
  const rejected = t.rejects(keysOf(serving.app, 'value'), { ...UNAVAILABLE, cause: Error })
  await redis.kill()
  await rejected
})
