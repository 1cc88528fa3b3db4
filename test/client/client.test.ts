import { join } from 'node:path'
import { Cluster, Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { ApiCacheOptions } from '../../index.js'
import { createApiCache, type ApiCacheClient, type ClientOptions, type Logger } from '../../lib/client.js'
import { fileRedis, redisCli } from '../support/each-store.js'
import { freePort } from '../support/free-port.js'
import { gate } from '../support/gate.js'
import { plainNode } from '../support/plain-node.js'
import { startCluster } from '../support/redis-cluster.js'
import { startSentinel } from '../support/redis-sentinel.js'
import { startRedis, type RedisServer } from '../support/redis-server.js'
import { serving, type Serving } from '../support/serving.js'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js'

const redis = fileRedis()
const PATHS = ['/value', '/tagged', '/payload']

interface Shown extends Serving {
  readonly database: { value: number }
}

/** A server that shows one value in a namespace, behind a tag, and behind one of the payload: all of them HITs. */
async function shown (t: Test, options: ApiCacheOptions): Promise<Shown> {
  const database = { value: 1 }
  const served = await serving(t, { timeout: 10_000, expire: '1 hour', ...options }, (app) => {
    app.get('/value', { config: { cache: { namespace: 'value' } } }, async () => database.value)
    app.get('/tagged', { config: { cache: { namespace: 'others', tags: ['tag'] } } }, async () => database.value)
    app.get('/payload', { config: { cache: { namespace: 'others', tags: (_request, _payload) => ['tag'] } } }, async () => database.value)
  })
  for (const path of PATHS) await hits(served, path)
  return { ...served, database }
}

/** Asks until there is a HIT. */
async function hits ({ app, request }: Serving, path: string): Promise<void> {
  for (;;) {
    if ((await request(path)).cache === 'HIT') return
    await app.apiCache.settled()
  }
}

function client (t: Test, options: ClientOptions): ApiCacheClient {
  const cache = createApiCache({ timeout: 10_000, ...options })
  t.teardown(() => cache.close())
  return cache
}

async function server (t: Test): Promise<RedisServer> {
  const started = await startRedis()
  t.teardown(async () => {
    started.resume()
    await started.stop()
  })
  return started
}

interface Ended {
  readonly status: number | null
  readonly result?: unknown
  readonly code?: string
  readonly after?: number
}

/** Runs the job until it has ended by itself. */
async function job (env: NodeJS.ProcessEnv, ...args: string[]): Promise<Ended> {
  const { status, stdout, stderr } = await plainNode([join(__dirname, 'job.js'), ...args], { env })
  if (stderr !== '') throw new Error(stderr)
  return { status, ...JSON.parse(stdout) as object }
}

async function all (list: AsyncIterable<string>): Promise<string[]> {
  const found: string[] = []
  for await (const one of list) found.push(one)
  return found.sort()
}

const UNCONFIRMED = { code: 'FST_API_CACHE_UNCONFIRMED' }
const UNAVAILABLE = { code: 'FST_API_CACHE_STORE_UNAVAILABLE' }

for (const [tier, local] of Object.entries({ 'from Redis': false, 'from the strict tier': true, 'from the tracked tier': { consistency: 'tracked' } } as const)) {
  t.test(`what a job invalidates in its own process is a MISS on a server that answered ${tier}`, async (t) => {
    const served = await shown(t, { redis: redis().url, prefix: 'api-cache', local })
    const mayLag = (path: string, stale: string[]): boolean => tier === 'from the tracked tier' && stale.includes(path)
    const jobs: Array<[args: string[], stale: string[]]> = [
      [['invalidate', 'value', 'nothing'], ['/value']], [['invalidateTags', 'tag'], ['/tagged', '/payload']], [['clear'], PATHS]
    ]
    for (const [args, stale] of jobs) {
      served.database.value++
      t.same(await job({ REDIS_URL: redis().url }, ...args), { status: 0, result: { delivered: true, swept: stale.length } }, args.join(' '))
      for (const path of PATHS) {
        // A tracked tier may hear of it a little later.
        let seen = await served.request(path)
        while (mayLag(path, stale) && seen.cache === 'HIT') seen = await served.request(path)
        t.match(seen, stale.includes(path) ? { cache: 'MISS', text: String(served.database.value) } : { cache: 'HIT' }, `${path} after ${args.join(' ')}`)
      }
      for (const path of PATHS) await hits(served, path)
    }
    await job({ REDIS_URL: redis().url }, 'clear')
  })
}

t.test('a client loads neither Fastify nor fastify-plugin', async (t) => {
  t.same(await job({ REDIS_URL: redis().url }, 'modules'), { status: 0, result: [] })
})

t.test('a job whose Redis is down ends by itself, with a coded error, in time', async (t) => {
  const url = `redis://127.0.0.1:${await freePort()}`
  for (const what of ['invalidate', 'invalidateTags', 'clear']) {
    const ended = await job({ REDIS_URL: url, TIMEOUT: '400' }, what, 'value')
    t.match(ended, { status: 1, ...UNCONFIRMED }, what)
    t.ok(ended.after! < 2_000, `${what}: ${ended.after} ms`)
  }
})

t.test('a job whose client gives up connecting stays alive until its call has rejected', async (t) => {
  const env = { REDIS_URL: `redis://127.0.0.1:${await freePort()}`, TIMEOUT: '400', GIVES_UP: 'yes' }
  for (const what of ['invalidate', 'invalidateTags', 'clear']) {
    t.match(await job(env, what, 'value'), { status: 1, ...UNCONFIRMED }, what)
  }
  for (const what of ['writing', 'keys', 'namespaces']) {
    t.match(await job(env, what, 'value'), { status: 1, ...UNAVAILABLE }, what)
  }
})

/** A client whose Redis also has the keys of others, behind a wire. */
async function amongOthers (t: Test, keys: number): Promise<{ cache: ApiCacheClient, proxy: TcpProxy }> {
  const crowded = await server(t)
  const served = await shown(t, { redis: crowded.url })
  await served.app.apiCache.settled()
  await redisCli(crowded.port, 'EVAL', "for i = 1, ARGV[1] do redis.call('SET', 'other:' .. i, '') end", '0', String(keys))
  const proxy = await startProxy(crowded.port)
  t.teardown(() => proxy.stop())
  const cache = client(t, { redis: proxy.url, timeout: 400 })
  await cache.invalidate('nothing')
  return { cache, proxy }
}

t.test('a list of keys and clear() take as long as a pass over many other keys does, while Redis answers', async (t) => {
  const { cache, proxy } = await amongOthers(t, 60_000)
  proxy.slow(50)
  t.equal((await all(cache.keys('value'))).length, 1)
  const began = performance.now()
  t.equal((await cache.clear()).delivered, true)
  t.ok(performance.now() - began > 5_000, 'longer than a response would wait')
})

t.test('a list of keys and clear() reject within the timeout when Redis hangs in the middle of a pass', async (t) => {
  const calls: Array<[call: (cache: ApiCacheClient) => Promise<unknown>, refusal: { code: string }]> = [
    [(cache) => all(cache.keys('value')), UNAVAILABLE],
    [(cache) => all(cache.namespaces()), UNAVAILABLE],
    [(cache) => cache.clear(), UNCONFIRMED]
  ]
  for (const [call, refusal] of calls) {
    const { cache, proxy } = await amongOthers(t, 5_000)
    const held = proxy.holdAnswer('scan')
    const refused = t.rejects(call(cache), refusal)
    await held
    const began = performance.now()
    await refused
    t.ok(performance.now() - began < 2_000)
  }
})

t.test('a job whose Redis hangs ends by itself, with a coded error, in time', async (t) => {
  const hung = await server(t)
  hung.pause()
  for (const what of ['invalidate', 'invalidateTags', 'clear']) {
    const ended = await job({ REDIS_URL: hung.url, TIMEOUT: '400' }, what, 'value')
    t.match(ended, { status: 1, ...UNCONFIRMED }, what)
    t.ok(ended.after! < 2_000, `${what}: ${ended.after} ms`)
  }
})

t.test('each call rejects within its timeout when a connected Redis hangs; what was not confirmed is sent when it answers again', async (t) => {
  const paused = await server(t)
  const served = await shown(t, { redis: paused.url })
  const cache = client(t, { redis: paused.url, timeout: 300 })
  await cache.invalidate('other')
  paused.pause()
  const began = performance.now()
  const list = async (names: AsyncIterable<string>): Promise<unknown> => await all(names)
  await Promise.all([
    t.rejects(cache.invalidate('value'), UNCONFIRMED),
    t.rejects(cache.invalidateTags('tag'), UNCONFIRMED),
    t.rejects(cache.clear(), UNCONFIRMED),
    t.rejects(cache.writing('value', () => { t.fail('it runs') }), UNAVAILABLE),
    t.rejects(list(cache.keys('value')), UNAVAILABLE),
    t.rejects(list(cache.namespaces()), UNAVAILABLE)
  ])
  t.ok(performance.now() - began < 2_000)
  served.database.value = 2
  await t.rejects(cache.writing('value', () => {}, { unrecorded: 'run' }), UNCONFIRMED)
  paused.resume()
  for (;;) {
    const seen = await served.request('/value')
    if (seen.text === '2') break
  }
})

t.test('a call waits for a connection that was lost, and for a Redis that is starting', async (t) => {
  const restarted = await server(t)
  let lost = gate()
  const retryStrategy = (): number => {
    lost.open()
    return 50
  }
  const cache = client(t, { redis: { port: restarted.port, retryStrategy } })
  for (let round = 0; round < 3; round++) {
    t.match(await cache.invalidate('value'), { delivered: true })
    lost = gate()
    await restarted.kill()
    await lost.opened
    const invalidated = cache.invalidate('value')
    await restarted.restart()
    t.match(await invalidated, { delivered: true })
  }
})

t.test('close() sends once more what was not confirmed', async (t) => {
  const paused = await server(t)
  const served = await shown(t, { redis: paused.url })
  const cache = createApiCache({ redis: paused.url, timeout: 300 })
  await cache.invalidate('other')
  paused.pause()
  await t.rejects(cache.invalidate('value'), UNCONFIRMED)
  paused.resume()
  await new Promise((resolve) => setTimeout(resolve, 600))
  await cache.close()
  t.equal((await served.request('/value')).cache, 'MISS')
  await t.rejects(cache.invalidate('value'), UNCONFIRMED, 'and then nothing is sent')
})

t.test('writing() holds its names on all servers while its function runs, and invalidates them when it has settled', async (t) => {
  const served = await shown(t, { redis: redis().url, prefix: 'writing' })
  const cache = client(t, { redis: redis().url, prefix: 'writing' })
  const [begun, goOn] = [gate(), gate()]
  const written = cache.writing({ namespaces: 'value', tags: ['tag'] }, async () => {
    begun.open()
    await goOn.opened
    served.database.value = 2
    return 'what it returns'
  })
  await begun.opened
  await cache.invalidate('value')
  for (let round = 0; round < 2; round++) {
    for (const path of PATHS) t.match(await served.request(path), { cache: 'MISS', text: '1' }, path)
    await served.app.apiCache.settled()
  }
  goOn.open()
  t.equal(await written, 'what it returns')
  for (const path of PATHS) t.match(await served.request(path), { cache: 'MISS', text: '2' }, path)
  const error = new Error('after the commit')
  for (const path of PATHS) await hits(served, path)
  await t.rejects(cache.writing('value', () => { throw error }), error)
  t.equal((await served.request('/value')).cache, 'MISS')
})

t.test('writing() says so if its function has run and the invalidation is not confirmed', async (t) => {
  const paused = await server(t)
  const cache = client(t, { redis: paused.url, timeout: 300 })
  const refusal = { ...UNCONFIRMED, message: /whose function has run/ }
  await t.rejects(cache.writing('value', () => { paused.pause() }), refusal)
  const error = new Error('its own')
  paused.resume()
  await t.rejects(createAndWrite(t, paused, error), error, 'an error of the function comes first')
})

async function createAndWrite (t: Test, paused: RedisServer, error: Error): Promise<void> {
  await client(t, { redis: paused.url, timeout: 300 }).writing('value', () => {
    paused.pause()
    throw error
  })
}

t.test('keys() and namespaces() list what servers have stored', async (t) => {
  const names = ['value', 'a b|c:d!~', 'Ünïcode 🍵', '\ud800', '%u0041', 'x'.repeat(300)]
  const { app, request } = await serving(t, { redis: redis().url, prefix: 'listed', timeout: 10_000, host: false }, (app) => {
    names.forEach((namespace, index) => {
      app.get(`/${index}`, { config: { cache: { namespace, expire: 60 } } }, async () => 'a')
    })
  })
  for (const index of names.keys()) await request(`/${index}`)
  await app.apiCache.settled()
  const cache = client(t, { redis: redis().url, prefix: 'listed' })
  const listed = await all(cache.namespaces())
  t.same(listed, await all(app.apiCache.namespaces()), 'the same on a server')
  t.same(listed.filter((name) => !/^x+~[\w-]{43}$/.test(name)), names.slice(0, -1).sort(), 'a long name is shortened')
  t.equal(listed.length, names.length)
  t.same(await all(cache.keys('value')), ['listed|value:GET /0'])
  await cache.clear()
  await t.rejects(all(cache.keys('')), { code: 'FST_API_CACHE_INVALID_NAME' })
})

t.test('invalid names and options are coded errors that say what to write', async (t) => {
  const cache = client(t, { redis: redis().url })
  await t.rejects(cache.invalidate(''), { code: 'FST_API_CACHE_INVALID_NAME' })
  await t.rejects(cache.invalidateTags([1] as never), { code: 'FST_API_CACHE_INVALID_NAME' })
  await t.rejects(cache.invalidate('*'), { code: 'FST_API_CACHE_PATTERN_NAME' })
  t.throws(() => createApiCache({ prefx: 'a' } as never), { code: 'FST_API_CACHE_UNKNOWN_FIELD', message: /did you mean 'prefix'/ })
  t.throws(() => createApiCache({ redis: 'localhost' }), { code: 'FST_API_CACHE_INVALID_FIELD' })
  t.throws(() => createApiCache({ logger: {} as never }), { code: 'FST_API_CACHE_INVALID_FIELD' })
})

t.test('without a Redis in options or environment there is no client', async (t) => {
  const create = `require(${JSON.stringify(join(__dirname, '../../lib/client.js'))}).createApiCache()`
  const env = { REDIS_URL: '', REDIS_SERVER: '', REDIS_PORT: '', REDIS_PASSWORD: '', REDIS_TIMEOUT: '' }
  t.match(await plainNode(['--eval', create], { env }), { status: 1, stderr: /FST_API_CACHE_NO_REDIS/ })
})

t.test('a client of the user stays open, and a logger hears what goes wrong', async (t) => {
  const own = new Redis(redis().port, '127.0.0.1')
  t.teardown(() => { own.disconnect() })
  const lines: string[] = []
  const log = (fields: object | string, message?: string): void => { lines.push(message ?? String(fields)) }
  const logger: Logger = { info: log, warn: log, error: log }
  const cache = createApiCache({ redis: own, timeout: 10_000, logger })
  await cache.invalidate('value')
  await cache.close()
  await cache.close()
  t.equal(own.status, 'ready')
  t.equal(await own.ping(), 'PONG')
  t.same(lines, [])
  const down = createApiCache({ redis: { host: '127.0.0.1', port: await freePort() }, timeout: 100, logger })
  await t.rejects(down.invalidate('value'), UNCONFIRMED)
  await down.close()
  t.ok(lines.includes('api cache: the connection to Redis failed'))
  t.ok(lines.includes('api cache: closed with invalidations that could not be delivered'))
})

t.test('a client invalidates on all masters of a Cluster, and does not close it', async (t) => {
  const cluster = await startCluster()
  t.teardown(() => cluster.stop())
  const clients = [1, 2].map(() => new Cluster([...cluster.startupNodes]))
  t.teardown(() => { for (const client of clients) client.disconnect() })
  const served = await shown(t, { redis: clients[0]! })
  const cache = createApiCache({ redis: clients[1]!, timeout: 10_000 })
  for (const [invalidate, paths] of [
    [() => cache.invalidate(['value', 'others']), PATHS], [() => cache.invalidateTags('tag'), PATHS.slice(1)], [() => cache.clear(), PATHS]
  ] as const) {
    await invalidate()
    for (const path of paths) t.equal((await served.request(path)).cache, 'MISS')
    for (const path of paths) await hits(served, path)
  }
  await cache.close()
  t.equal(clients[1]!.status, 'ready')
})

for (const [client, redis] of [
  ['its client', 'undefined'],
  ['a client beside one of node-redis', `require(${JSON.stringify(require.resolve('redis'))}).createClient({ url: process.env.REDIS_URL })`]
] as const) {
  for (const hangs of [true, false]) {
    t.test(`a process that closes ${client} before ${hangs ? 'a hung' : 'a'} Redis has answered ends`, async (t) => {
      const started = await server(t)
      const program = `
        const { createApiCache } = require(${JSON.stringify(join(__dirname, '../../lib/client.js'))})
        const cache = createApiCache({ timeout: 200, redis: ${redis} })
        cache.close()`
      if (hangs) started.pause()
      t.match(await plainNode(['--eval', program], { env: { REDIS_URL: started.url } }), { status: 0, stderr: '' })
    })
  }
}

t.test('a process that closes a client behind Sentinels before one has answered ends soon', async (t) => {
  const servers = await startSentinel()
  t.teardown(() => servers.stop())
  const { sentinels, name } = servers
  const program = `
    const { createApiCache } = require(${JSON.stringify(join(__dirname, '../../lib/client.js'))})
    createApiCache({ redis: ${JSON.stringify({ sentinels, name })} }).close().then(() => {
      const closedAt = performance.now()
      process.on('exit', () => { console.log(performance.now() - closedAt) })
    })`
  const { status, stdout, stderr } = await plainNode(['--eval', program], {})
  t.match({ status, stderr }, { status: 0, stderr: '' })
  t.ok(Number(stdout) < 1_500, `${stdout} ms`)
})
