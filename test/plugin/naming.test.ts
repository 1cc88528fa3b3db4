import { Redis } from 'ioredis'
import t from 'tap'
import { eachStore, fileRedis, inRedis, redisCli } from '../support/each-store.js'
import { keysOf, serving } from '../support/serving.js'
import type { FastifyInstance } from 'fastify'

const test = eachStore()
const redis = fileRedis()

function declare (text: string): (app: FastifyInstance) => void {
  return (app) => {
    app.get('/', { config: { cache: { namespace: 'users', expire: 60 } } }, async () => text)
    app.post('/', { config: { cache: { invalidate: 'users' } } }, async () => 'done')
  }
}

test('responseHeader names the header that says HIT or MISS', async (t, options) => {
  const { request } = await serving(t, { ...options, responseHeader: 'X-Own-Name' }, declare('body'))
  for (const cache of ['MISS', 'HIT']) {
    const { headers } = await request('/')
    t.equal(headers.get('x-own-name'), cache)
    t.equal(headers.get('x-api-cache'), null)
  }
})

test('with responseHeader: false there is no such header', async (t, options) => {
  const { app, request } = await serving(t, { ...options, responseHeader: false }, declare('body'))
  await request('/')
  const { headers } = await request('/')
  t.equal(app.apiCache.stats().hits, 1)
  t.equal([...headers.keys()].some((name) => name.startsWith('x-')), false)
})

test('prefix is the first part of every key', async (t, options) => {
  const { app, origin, request } = await serving(t, { ...options, prefix: 'my.app:v2' }, declare('body'))
  await request('/')
  await app.apiCache.settled()
  t.same(await keysOf(app, 'users'), [`my.app:v2|users:GET / ${origin}`])
  t.equal((await request('/')).cache, 'HIT')
  t.equal(await (await app.apiCache.invalidate('users')).swept, 1)
})

t.test('all keys of an application in Redis begin with its prefix', async (t) => {
  const { app, request } = await serving(t, { ...inRedis(redis()), prefix: 'only-this' }, (app) => {
    declare('body')(app)
    app.get('/tagged', { config: { cache: { namespace: 'users', expire: 60, coalesce: 'fleet', tags: () => ['tag'] } } }, async () => 'tagged')
  })
  for (const path of ['/', '/tagged']) await request(path)
  await app.apiCache.settled()
  const keys = await redisCli(redis().port, '--scan')
  t.ok(keys.length >= 4)
  t.same(keys.filter((key) => !/^only-this[|!]/.test(key)), [])
})

t.test('two applications with different prefixes on one Redis do not share keys', async (t) => {
  const start = (prefix: string, text: string) => serving(t, { ...inRedis(redis()), prefix }, declare(text))
  const apps = [await start('app', 'one'), await start('app2', 'two'), await start('app:users', 'three')]
  for (const [index, text] of ['one', 'two', 'three'].entries()) {
    t.match(await apps[index]!.request('/'), { cache: 'MISS', text })
    await apps[index]!.app.apiCache.settled()
  }
  await apps[0]!.request('/', { method: 'POST' })
  await apps[0]!.app.apiCache.settled()
  t.match(await apps[0]!.request('/'), { cache: 'MISS', text: 'one' })
  t.match(await apps[1]!.request('/'), { cache: 'HIT', text: 'two' })
  t.match(await apps[2]!.request('/'), { cache: 'HIT', text: 'three' })
})

t.test('a client\'s keyPrefix is before every key in Redis, and keys() and sweeps account for it', async (t) => {
  await redisCli(redis().port, 'FLUSHALL')
  const clients = ['tenant:*:', ''].map((keyPrefix) => new Redis(redis().port, { keyPrefix }))
  t.teardown(() => { for (const client of clients) client.disconnect() })
  const [inside, outside] = await Promise.all(clients.map((client, index) => serving(t, { redis: client, timeout: 10_000 }, declare(`app ${index}`))))
  for (const [index, server] of [inside!, outside!].entries()) {
    t.match(await server.request('/'), { cache: 'MISS', text: `app ${index}` })
    t.match(await server.request('/'), { cache: 'HIT', text: `app ${index}` })
    await server.app.apiCache.settled()
  }
  const scan = (pattern: string): Promise<string[]> => redisCli(redis().port, '--scan', '--pattern', pattern)
  t.same(await scan('*|users:*').then((keys) => keys.sort()), [`api-cache|users:GET / ${outside!.origin}`, `tenant:*:api-cache|users:GET / ${inside!.origin}`])
  t.same(await keysOf(inside!.app, 'users'), [`api-cache|users:GET / ${inside!.origin}`])
  t.equal(await (await inside!.app.apiCache.invalidate('users')).swept, 1)
  t.same(await scan('*|users:*'), [`api-cache|users:GET / ${outside!.origin}`])
  t.equal((await inside!.request('/')).cache, 'MISS')
  t.equal((await outside!.request('/')).cache, 'HIT')
})
