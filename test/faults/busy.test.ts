import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { ApiCacheOptions, Entry, Lookup } from '../../index.js'
import { fileRedis, redisCli } from '../support/each-store.js'
import { startChild } from '../support/child-process.js'
import { MapStore } from '../support/map-store.js'
import { startRedis } from '../support/redis-server.js'
import { see, serving, type Serving } from '../support/serving.js'

/*
 * What a process cannot notice, because it is busy or frozen, says nothing about Redis.
 */

const redis = fileRedis()
const TIMEOUT = 200
/** Milliseconds after which a process has certainly been frozen. */
const LONG_FREEZE = 2_000

const shared = (maxBytes: number): object => ({ cache: { namespace: 'n', expire: 600, scope: 'shared', maxBytes } })

async function application (t: Parameters<typeof serving>[0], options: ApiCacheOptions): Promise<Serving> {
  return await serving(t, { timeout: TIMEOUT, ...options }, (app) => {
    app.get('/small', { config: shared(1024) }, async () => 'small')
    app.get('/large/:id', { config: shared(2 ** 21) }, async ({ params }) => JSON.stringify(params).padEnd(2 ** 20, '.'))
    app.get<{ Params: { milliseconds: number } }>('/busy/:milliseconds', async ({ params: { milliseconds } }) => {
      const end = performance.now() + Number(milliseconds)
      while (performance.now() < end);
      return 'done'
    })
  })
}

const tiers: Record<string, () => ApiCacheOptions> = {
  'in Redis': () => ({ redis: redis().url }),
  'in the strict tier': () => ({ redis: redis().url, local: true }),
  'in the tracked tier': () => ({ redis: redis().url, local: { consistency: 'tracked' } })
}

for (const [where, options] of Object.entries(tiers)) {
  t.test(`requests before, while and after the event loop is blocked for longer than the timeout are HITs: ${where}`, async (t) => {
    await redisCli(redis().port, 'FLUSHALL')
    const { app } = await application(t, options())
    const ask = async (path: string): Promise<unknown> => (await app.inject(path)).headers['x-api-cache']
    await ask('/small')
    await app.apiCache.settled()
    for (const milliseconds of [TIMEOUT / 2, TIMEOUT, 2 * TIMEOUT, 5 * TIMEOUT]) {
      const [before, , meanwhile] = await Promise.all([ask('/small'), ask(`/busy/${milliseconds}`), ask('/small')])
      t.same([before, meanwhile, await ask('/small')], ['HIT', 'HIT', 'HIT'], `${milliseconds} ms`)
    }
    t.match(app.apiCache.stats(), { available: true, failures: 0 })
  })
}

t.test('many large bodies at once, and a small one beside them, are HITs', async (t) => {
  await redisCli(redis().port, 'FLUSHALL')
  // Twice the default: how long 60 MiB take depends on the machine.
  const { app } = await application(t, { redis: redis().url, timeout: 1_000 })
  const paths = ['/small', ...Array.from({ length: 60 }, (_, index) => `/large/${index}`)]
  for (const expected of ['MISS', 'HIT', 'HIT']) {
    const answers = await Promise.all(paths.map(async (path) => (await app.inject(path)).headers['x-api-cache']))
    t.same(new Set(answers), new Set([expected]))
    await app.apiCache.settled()
  }
  t.match(app.apiCache.stats(), { available: true, failures: 0 })
})

t.test('a process that was frozen until Redis had closed its connection serves HITs at once', async (t) => {
  const server = await startRedis({ args: ['--timeout', '2'] })
  t.teardown(() => server.stop())
  const child = await startChild<{ origin: string }>(require.resolve('../support/users-process.js'), server.url)
  t.teardown(() => child.kill())
  const url = `${child.hello.origin}/users`
  const connections = async (): Promise<number> =>
    (await redisCli(server.port, 'CLIENT', 'LIST')).filter((line) => !line.includes('cmd=client')).length
  await see(url)
  for (let round = 0; round < 2; round++) {
    child.process.kill('SIGSTOP')
    while (await connections() > 0) await delay(50)
    child.process.kill('SIGCONT')
    const answers = await Promise.all([1, 2, 3].map(async () => (await see(url)).cache))
    t.same([...answers, (await see(url)).cache], ['HIT', 'HIT', 'HIT', 'HIT'])
  }
})

t.test('a process that was frozen waits for its connection, though the first attempt to connect fails', async (t) => {
  const server = await startRedis()
  t.teardown(() => server.stop())
  const child = await startChild<{ origin: string }>(require.resolve('../support/users-process.js'), server.url)
  t.teardown(() => child.kill())
  const url = `${child.hello.origin}/users`
  await see(url)
  child.process.kill('SIGSTOP')
  await Promise.all([server.kill(), delay(LONG_FREEZE)])
  const refusing = createServer((socket) => socket.resetAndDestroy()).listen(server.port, '127.0.0.1')
  await once(refusing, 'listening')
  const attempt = once(refusing, 'connection')
  child.process.kill('SIGCONT')
  const answers = [see(url), see(url)]
  await attempt
  refusing.close()
  await once(refusing, 'close')
  await server.restart()
  for (const { headers } of await Promise.all(answers)) t.notMatch(headers.get('cache-status'), 'unavailable')
  t.equal((await see(url)).cache, 'HIT')
})

/** A store whose answers are always on their way. */
class ReceivingStore extends MapStore {
  received = 0
  readonly perMillisecond: number
  readonly #timer = setInterval(() => { this.received += this.perMillisecond }, 1).unref()

  constructor (perMillisecond: number) {
    super()
    this.perMillisecond = perMillisecond
  }

  transferred (): number { return this.received }
  close (): void { clearInterval(this.#timer) }
}

class NeverStore extends ReceivingStore {
  override lookup (_key: string, _names: readonly string[]): Promise<Lookup> { return new Promise(() => {}) }
}

/** Its answers take so many milliseconds. */
class SteadyStore extends ReceivingStore {
  readonly #takes: { lookup?: number, set?: number }

  constructor (takes: { lookup?: number, set?: number }) {
    super(2 ** 20)
    this.#takes = takes
  }

  override async lookup (key: string, names: readonly string[]): Promise<Lookup> {
    await delay(this.#takes.lookup)
    return await super.lookup(key, names)
  }

  override async set (key: string, entry: Entry): Promise<void> {
    await delay(this.#takes.set)
    await super.set(key, entry)
  }
}

t.test('an entry is used that arrives for longer than an operation may take without progress', async (t) => {
  const { app, request } = await serving(t, { store: new SteadyStore({ lookup: 1_200 }), timeout: 2_000 }, (app) => {
    app.get('/', { config: shared(1024) }, async () => 'from the handler')
  })
  await request('/')
  await app.apiCache.settled()
  t.equal((await request('/')).cache, 'HIT')
  t.match(app.apiCache.stats(), { available: true, failures: 0 })
})

t.test('an entry is stored however long its bytes move, because no request waits for that', async (t) => {
  const { app, request } = await serving(t, { store: new SteadyStore({ set: 5 * TIMEOUT }), timeout: TIMEOUT }, (app) => {
    app.get('/', { config: shared(1024) }, async () => 'from the handler')
  })
  await request('/')
  await app.apiCache.settled()
  t.equal((await request('/')).cache, 'HIT')
  t.match(app.apiCache.stats(), { available: true, failures: 0 })
})

for (const [how, bytes, available] of [['quickly', 2 ** 20, true], ['slowly', 1, false]] as const) {
  t.test(`a request is answered in time while bytes arrive ${how}, and the store is ${available ? 'still' : 'not'} used`, async (t) => {
    const { app, request } = await serving(t, { store: new NeverStore(bytes), timeout: TIMEOUT }, (app) => {
      app.get('/', { config: shared(1024) }, async () => 'from the handler')
    })
    t.match(await request('/'), { status: 200, text: 'from the handler', cache: 'MISS' })
    t.equal(app.apiCache.stats().available, available)
  })
}
