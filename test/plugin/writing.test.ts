import { mock } from 'node:test'
import { Cluster, Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { ApiCacheOptions, WritingNames } from '../../index.js'
import { eachTier, fileRedis } from '../support/each-store.js'
import { gate } from '../support/gate.js'
import { MapStore } from '../support/map-store.js'
import { startCluster } from '../support/redis-cluster.js'
import { startRedis } from '../support/redis-server.js'
import { serving, type Serving } from '../support/serving.js'

const each = eachTier()
const redis = fileRedis()

interface Written extends Serving {
  readonly database: { value: number }
}

const PATHS = ['/value', '/tagged', '/payload']

/** One value in a namespace, behind a tag, and behind one of the payload. */
async function application (t: Test, options: ApiCacheOptions, database = { value: 1 }): Promise<Written> {
  const served = await serving(t, options, (app) => {
    app.get('/value', { config: { cache: { namespace: 'value', expire: '1 hour' } } }, async () => database.value)
    app.get('/tagged', { config: { cache: { namespace: 'others', tags: ['tag'], expire: '1 hour' } } }, async () => database.value)
    app.get('/payload', { config: { cache: { namespace: 'others', tags: (_request, _payload) => ['tag'], expire: '1 hour' } } }, async () => database.value)
    app.get('/other', { config: { cache: { namespace: 'others', expire: '1 hour' } } }, async () => database.value)
    const strict = options.store instanceof MapStore ? undefined : true
    app.post('/strict', { config: { cache: { invalidate: 'value', ...(strict && { strict }) } } }, async () => 'done')
  })
  for (const path of [...PATHS, '/other']) {
    await served.request(path)
    await served.app.apiCache.settled()
    t.equal((await served.request(path)).cache, 'HIT')
  }
  return { ...served, database }
}

async function answersAgain (t: Test, { app, request }: Serving, path: string, text: string): Promise<void> {
  for (;;) {
    const seen = await request(path)
    if (seen.text !== text) t.equal(seen.text, text)
    if (seen.cache === 'HIT') return
    await app.apiCache.settled()
  }
}

const ALL: WritingNames = { namespaces: 'value', tags: ['tag'] }

each('writing() holds its names while its function runs, and invalidates them when it has settled', async (t, options) => {
  const served = await application(t, options)
  const [begun, goOn] = [gate(), gate()]
  const written = served.app.apiCache.writing(ALL, async () => {
    begun.open()
    await goOn.opened
    served.database.value = 2
    return 'what it returns'
  })
  await begun.opened
  for (let round = 0; round < 2; round++) {
    for (const path of PATHS) t.match(await served.request(path), { cache: 'MISS', text: '1' }, path)
    await served.app.apiCache.settled()
  }
  t.equal((await served.request('/other')).cache, 'HIT', 'others are served')
  goOn.open()
  t.equal(await written, 'what it returns')
  for (const path of PATHS) t.match(await served.request(path), { cache: 'MISS', text: '2' }, path)
  for (const path of PATHS) await answersAgain(t, served, path, '2')
})

each('writing() invalidates whatever its outcome is', async (t, options) => {
  const served = await application(t, options)
  const error = new Error('after the commit')
  const failures = [async () => { served.database.value++; throw error }, () => { served.database.value++; throw error }]
  for (const run of failures) {
    await t.rejects(served.app.apiCache.writing('value', run), error)
    await answersAgain(t, served, '/value', String(served.database.value))
  }
  t.equal(await served.app.apiCache.writing(['value'], () => ++served.database.value), 4, 'also what does not wait')
  await answersAgain(t, served, '/value', '4')
})

each('a strict write and a second writing() at the same time do not end the hold of the first', async (t, options) => {
  const served = await application(t, options)
  const [begun, goOn] = [gate(), gate()]
  const written = served.app.apiCache.writing('value', async () => {
    begun.open()
    await goOn.opened
    served.database.value = 2
  })
  await begun.opened
  await served.request('/strict', { method: 'POST' })
  await served.app.apiCache.writing('value', () => {})
  await served.app.apiCache.invalidate('value')
  for (let round = 0; round < 3; round++) {
    t.match(await served.request('/value'), { cache: 'MISS', text: '1' })
    await served.app.apiCache.settled()
  }
  goOn.open()
  await written
  await answersAgain(t, served, '/value', '2')
})

t.test('on a Cluster, writing() holds names on several masters, for all processes', async (t) => {
  const cluster = await startCluster()
  t.teardown(() => cluster.stop())
  const clients = [1, 2].map(() => new Cluster([...cluster.startupNodes]))
  t.teardown(() => { for (const client of clients) client.disconnect() })
  const database = { value: 1 }
  const [here, there] = [await application(t, { redis: clients[0]!, timeout: 10_000 }, database), await application(t, { redis: clients[1]!, timeout: 10_000 }, database)]
  await here.app.apiCache.writing(ALL, async () => {
    for (const path of PATHS) t.match(await there.request(path), { cache: 'MISS', text: '1' }, path)
    await there.app.apiCache.settled()
    for (const path of PATHS) t.match(await there.request(path), { cache: 'MISS', text: '1' }, path)
    database.value = 2
  })
  for (const path of PATHS) await answersAgain(t, there, path, '2')
})

t.test("writing() rejects before it runs anything if its intent cannot be recorded, unless unrecorded is 'run'", async (t) => {
  const server = await startRedis()
  t.teardown(async () => {
    server.resume()
    await server.stop()
  })
  const served = await application(t, { redis: server.url, timeout: 200 })
  server.pause()
  const refusal = { code: 'FST_API_CACHE_STORE_UNAVAILABLE', message: /unrecorded: 'run'/ }
  await t.rejects(served.app.apiCache.writing('value', () => { t.fail('it runs') }), refusal)
  t.equal(await served.app.apiCache.writing('value', () => ++served.database.value, { unrecorded: 'run' }), 2)
  t.equal(served.app.apiCache.stats().pending, 1)
  t.match(await served.request('/value'), { cache: 'MISS', text: '2' })
  server.resume()
  await answersAgain(t, served, '/value', '2')
})

t.test('a store without intents records none', async (t) => {
  const served = await application(t, { store: new MapStore() })
  await t.rejects(served.app.apiCache.writing('value', () => { t.fail('it runs') }), { code: 'FST_API_CACHE_STORE_UNAVAILABLE' })
  await served.app.apiCache.writing('value', () => { served.database.value++ }, { unrecorded: 'run' })
  await answersAgain(t, served, '/value', '2')
})

t.test('invalid names are a coded error before the function is called', async (t) => {
  const { app } = await serving(t, { store: 'memory' }, () => {})
  for (const wrong of ['', [''], 1, null, undefined, { tags: '' }, { namespaces: [1] }]) {
    await t.rejects(app.apiCache.writing(wrong as string, () => { t.fail('it runs') }), { code: 'FST_API_CACHE_INVALID_NAME' })
  }
})

t.test('an intent is renewed while its write is running', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] })
  t.teardown(() => { mock.timers.reset() })
  const control = new Redis(redis().port, '127.0.0.1')
  t.teardown(() => { control.disconnect() })
  const { app } = await serving(t, { redis: redis().url, prefix: 'renewed', timeout: 10_000 }, () => {})
  const version = 'renewed!version:value'
  await app.apiCache.writing('value', async () => {
    for (let round = 0; round < 3; round++) {
      await control.pexpire(version, 5_000)
      mock.timers.tick(10_000)
      while (await control.pttl(version) < 20_000);
      t.ok(await control.pttl(version) <= 30_000)
    }
  })
  t.equal(await control.exists(version), 0, 'and nothing is left of it')
  mock.timers.tick(60_000)
  await app.apiCache.settled()
  t.equal(await control.exists(version), 0)
})

for (const what of ['was restarted without data', 'hung until the hold had expired']) {
  t.test(`a Redis that ${what} gets the intents of writes in progress as soon as it answers`, async (t) => {
    mock.timers.enable({ apis: ['setInterval'] })
    t.teardown(() => { mock.timers.reset() })
    const server = await startRedis()
    t.teardown(() => server.stop())
    const served = await application(t, { redis: server.url, timeout: 1_000 })
    const hold = async (...command: [string, ...string[]]): Promise<unknown> => {
      const control = new Redis(server.port, '127.0.0.1')
      try {
        return await control.call(command[0], 'api-cache!version:value', ...command.slice(1))
      } finally {
        control.disconnect()
      }
    }
    const isHeld = async (): Promise<boolean> => String(await hold('GET')).startsWith('~')
    await served.app.apiCache.writing('value', async () => {
      if (what === 'was restarted without data') {
        await server.kill()
        await server.restart()
      } else {
        await hold('PEXPIRE', '1')
        server.pause()
        while (served.app.apiCache.stats().available) await served.request('/value')
        server.resume()
      }
      while (!await isHeld());
      served.database.value = 2
    })
    await answersAgain(t, served, '/value', '2')
    t.equal(await isHeld(), false, 'and nothing is held afterwards')
  })
}

for (const isReplaced of [true, false]) {
  t.test(`a plain write while Redis is full ${isReplaced ? 'bumps versions' : 'cannot bump versions'} and does not end the hold of a strict write`, async (t) => {
    const server = await startRedis()
    const control = new Redis(server.port, '127.0.0.1')
    t.teardown(async () => {
      control.disconnect()
      await server.stop()
    })
    const served = await application(t, { redis: server.url, timeout: 10_000 })
    if (!isReplaced) await control.acl('SETUSER', 'default', '-set')
    const { app, request } = served
    if (isReplaced) {
      const written = app.apiCache.writing('value', async () => {
        await control.config('SET', 'maxmemory', '1')
        await app.apiCache.invalidate('value')
        t.match(await control.get('api-cache!version:value'), /^~!~/, 'held still')
        t.match(await request('/value'), { cache: 'MISS', text: '1' })
        served.database.value = 2
      })
      await written
      t.equal(app.apiCache.stats().pending, 0)
      await control.config('SET', 'maxmemory', '0')
    } else {
      const hold = '~before~other:99999999999999'
      await control.acl('SETUSER', 'default', '+set')
      await control.set('api-cache!version:value', hold, 'PX', 60_000)
      await control.acl('SETUSER', 'default', '-set')
      const { delivered } = await app.apiCache.invalidate('value')
      t.equal(delivered, false)
      t.equal(await control.get('api-cache!version:value'), hold)
      t.equal((await request('/value')).cache, 'MISS')
      served.database.value = 2
      await control.acl('SETUSER', 'default', '+set')
      await control.del('api-cache!version:value')
      while (app.apiCache.stats().pending > 0) await control.ping()
    }
    await answersAgain(t, served, '/value', '2')
  })
}

t.test('writing() refuses what would hold nothing by mistake, before its function is called', async (t) => {
  const { app } = await serving(t, { store: 'memory' }, () => {})
  const run = (): void => { t.fail('it runs') }
  await t.rejects(app.apiCache.writing({ namespace: 'value' } as object, run), {
    code: 'FST_API_CACHE_UNKNOWN_FIELD', message: "writing has no field 'namespace'; did you mean 'namespaces'?"
  })
  await t.rejects(app.apiCache.writing({ namespaces: 'value', tag: 'a' } as object, run), { code: 'FST_API_CACHE_UNKNOWN_FIELD' })
  await t.rejects(app.apiCache.writing('value', run, { unrecordd: 'run' } as object), {
    code: 'FST_API_CACHE_UNKNOWN_FIELD', message: "writing has no field 'unrecordd'; did you mean 'unrecorded'?"
  })
  await t.rejects(app.apiCache.writing('value', run, { unrecorded: 'wait' } as object), { code: 'FST_API_CACHE_INVALID_FIELD' })
  await t.rejects(app.apiCache.writing('value', run, 'tag' as never), { code: 'FST_API_CACHE_INVALID_FIELD' })
  for (const wrong of [undefined, 'tag', {}, Promise.resolve()]) {
    await t.rejects(app.apiCache.writing('value', wrong as () => void), {
      code: 'FST_API_CACHE_INVALID_FIELD', message: /^writing: 'run' must be a function, got /
    })
  }
  t.match(app.apiCache.stats(), { invalidations: 0 })
})
