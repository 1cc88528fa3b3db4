import { Redis } from 'ioredis'
import type { FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import type { ApiCacheOptions } from '../../index.js'
import { eachTier, fileRedis, inRedis } from '../support/each-store.js'
import { complaints, loggingTo, type LogLine } from '../support/log.js'
import { keysOf, serving, type Serving } from '../support/serving.js'

const each = eachTier()
const redis = fileRedis()
const cache = { namespace: 'users', expire: 60, staleWhileRevalidate: 60 }

/** A cached route that counts its runs, served from two places; one inside a handler; and writes. */
async function users (t: Test, options: ApiCacheOptions, lines: LogLine[] = []): Promise<Serving> {
  let ran = 0
  return await serving(t, options, (app) => {
    app.get('/users', { config: { cache } }, async () => String(++ran))
    app.get('/first', { config: { cache: { ...cache, serveFrom: 'onRequest' } } }, async () => String(++ran))
    app.get('/inside', async (_request, reply) => await reply.cached(cache, () => String(++ran)))
    app.get('/value', async (_request, reply) => await reply.cachedValue({ namespace: 'users', expire: 60, key: () => 'value' }, () => String(++ran)))
    app.post('/users', { config: { cache: { invalidate: 'users' } } }, async () => 'written')
    app.put('/users', { config: { cache: { invalidate: 'users', strict: true } } }, async () => 'written')
  }, loggingTo(lines))
}

const PATHS = ['/users', '/first', '/inside', '/value']

each('with enabled: false every request runs its handler, and nothing is stored', async (t, options) => {
  const { app, request } = await users(t, { ...options, enabled: false, coalesce: 'fleet' })
  let ran = 0
  for (const path of [...PATHS, ...PATHS]) {
    const seen = await request(path)
    t.match(seen, { status: 200, text: String(++ran), cache: 'MISS' }, path)
    t.equal(seen.headers.get('cache-status'), 'fastify-api-cache;fwd=bypass;detail=disabled')
  }
  await app.apiCache.settled()
  t.same(await keysOf(app, 'users'), [])
  t.match(app.apiCache.stats(), { hits: 0, misses: 0, stored: 0, bypasses: 8 })
})

t.test('with enabled: false no directive of a request asks for what is stored, because nothing is', async (t) => {
  const { request } = await users(t, { store: 'memory', enabled: false })
  for (const path of PATHS) {
    t.match(await request(path, { headers: { 'cache-control': 'only-if-cached' } }), { status: 200, cache: 'MISS' }, path)
  }
})

each('with enabled: false requests do not wait for each other', async (t, options) => {
  const { request } = await users(t, { ...options, enabled: false })
  const seen = await Promise.all(Array.from({ length: 5 }, () => request('/users')))
  t.same(seen.map(({ text }) => text).sort(), ['1', '2', '3', '4', '5'])
})

t.test('with enabled: false writes are told to the processes that use the cache', async (t) => {
  const off = await users(t, { ...inRedis(redis()), enabled: false })
  const on = await users(t, inRedis(redis()))
  const writes: Array<() => Promise<unknown>> = [
    () => off.request('/users', { method: 'POST' }),
    () => off.request('/users', { method: 'PUT' }),
    () => off.app.apiCache.invalidate('users'),
    () => off.app.apiCache.writing('users', () => 'written')
  ]
  for (const write of writes) {
    await on.request('/users')
    t.equal((await on.request('/users')).cache, 'HIT')
    t.equal((await off.request('/users')).cache, 'MISS')
    await write()
    t.equal((await on.request('/users')).cache, 'MISS', String(write))
  }
})

t.test('with enabled: false policies are checked all the same, and the plugin starts without Redis', async (t) => {
  const { app, request } = await users(t, { redis: { host: '127.0.0.1', port: 1 }, enabled: false })
  t.match(await request('/users'), { status: 200, text: '1' })
  t.equal((await app.apiCache.invalidate('users')).delivered, false)
  const wrong = serving(t, { store: 'memory', enabled: false }, (app) => {
    app.get('/', { config: { cache: { namespace: 'users', expires: 60 } as never } }, async () => 'users')
  })
  await t.rejects(wrong, { code: 'FST_API_CACHE_UNKNOWN_FIELD' })
})

const refreshing = ({ headers }: FastifyRequest): boolean => headers['x-fresh'] === 'yes'

each('bypass sends one request past the cache: the handler runs, and the entry of the others stays', async (t, options) => {
  const { app, request } = await users(t, { ...options, bypass: refreshing })
  for (const path of PATHS) {
    const { text } = await request(path)
    await app.apiCache.settled()
    const past = await request(path, { headers: { 'x-fresh': 'yes' } })
    t.equal(past.cache, 'MISS')
    t.equal(past.headers.get('cache-status'), 'fastify-api-cache;fwd=bypass;detail=bypass')
    t.not(past.text, text)
    await app.apiCache.settled()
    t.match(await request(path), { cache: 'HIT', text }, path)
  }
  const headers = { 'x-fresh': 'yes' }
  t.equal((await request('/users', { method: 'HEAD', headers })).cache, 'MISS')
  await request('/users', { method: 'POST', headers })
  t.equal((await request('/users')).cache, 'MISS', 'a write invalidates, whoever sends it')
})

t.test('bypass is asked once for a request, also where a HIT is served from onRequest', async (t) => {
  let asked = 0
  const bypass = (): boolean => { asked++; return false }
  const { request } = await users(t, { store: 'memory', bypass })
  for (const path of PATHS) {
    for (const method of ['GET', 'HEAD', 'GET']) await request(path, { method })
    t.equal(asked, 3, path)
    asked = 0
  }
  await request('/users', { method: 'POST' })
  t.equal(asked, 0, 'a write is not asked about')
})

t.test('without a value bypass lets a request to the cache; one that fails, or returns anything else, does not, and is logged', async (t) => {
  const returned: unknown[] = [undefined, null, false]
  const { request } = await users(t, { store: 'memory', bypass: () => returned.pop() as boolean })
  t.same([(await request('/users')).cache, (await request('/users')).cache, (await request('/users')).cache], ['MISS', 'HIT', 'HIT'])

  const faults: Array<[fault: () => unknown, message: RegExp]> = [
    [() => { throw new Error('broken') }, /broken/],
    [async () => true, /bypass must return true or false, got a promise/],
    [async () => { throw new Error('later') }, /got a promise/],
    [() => 'secret', /got a string$/],
    [() => 1, /got a number$/]
  ]
  for (const [fault, message] of faults) {
    const lines: LogLine[] = []
    const { request } = await users(t, { store: 'memory', bypass: fault as () => boolean }, lines)
    for (const text of ['1', '2']) {
      const seen = await request('/users')
      t.match(seen, { status: 200, cache: 'MISS', text })
      t.equal(seen.headers.get('cache-status'), 'fastify-api-cache;fwd=bypass;detail=policy')
    }
    t.match(complaints(lines), [{ route: 'GET /users', err: { message } }])
    t.equal(complaints(lines).length, 1)
  }
})

t.test('a bypassed request asks Redis nothing', async (t) => {
  const { app, request } = await users(t, { ...inRedis(redis()), prefix: 'unread', bypass: () => true })
  const client = new Redis(redis().url)
  const monitor = await client.monitor()
  t.teardown(() => { for (const each of [client, monitor]) each.disconnect() })
  const commands: string[][] = []
  const ended = new Promise<void>((resolve) => {
    monitor.on('monitor', (_time: string, command: string[]) => {
      if (command.includes('unread!end')) resolve()
      else commands.push(command)
    })
  })
  for (const path of PATHS) await request(path)
  await app.apiCache.settled()
  await client.get('unread!end')
  await ended
  t.same(commands.filter((command) => command.some((part) => part.includes('unread'))), [])
})
