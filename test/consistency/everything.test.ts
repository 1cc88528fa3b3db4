import t, { type Test } from 'tap'
import type { ApiCacheOptions, ReadPolicy, WritePolicy } from '../../index.js'
import { eachStore, fileRedis, inRedis, redisCli } from '../support/each-store.js'
import { gate } from '../support/gate.js'
import { complaints, loggingTo, type LogLine } from '../support/log.js'
import { FullStore } from '../support/map-store.js'
import { serving, type Serving } from '../support/serving.js'
import { startProxy } from '../support/tcp-proxy.js'

const each = eachStore()
const redis = fileRedis()

/** A write that nobody knows the names of. */
const unknown: WritePolicy = { invalidate: () => { throw new Error('no name') } }

const nameOf = (request: { params: unknown }): string => (request.params as { name: string }).name

/** One value; whatever is asked for shows it, and `written` tells it. */
async function valued (
  t: Test, options: ApiCacheOptions, lines: LogLine[] = []
): Promise<Serving & { readonly written: () => number }> {
  let value = 0
  const expire = '1h'
  const reads: Record<string, ReadPolicy> = {
    namespace: { expire, namespace: nameOf },
    request: { expire, namespace: 'tagged', tags: (request) => [nameOf(request)] },
    payload: { expire, namespace: 'labelled', tags: (_request, payload) => [(payload as { name: string }).name] }
  }
  const served = await serving(t, options, (app) => {
    for (const [kind, cache] of Object.entries(reads)) {
      app.get<{ Params: { name: string } }>(`/${kind}/:name`, { config: { cache } }, async ({ params }) => ({ value, name: params.name }))
    }
    app.post('/write', { config: { cache: unknown } }, async () => ({ value: ++value }))
  }, loggingTo(lines))
  return { ...served, written: () => value }
}

async function warm (t: Test, { app, request }: Serving, paths: readonly string[]): Promise<void> {
  for (const path of paths) await request(path)
  await app.apiCache.settled()
  for (const path of paths) t.equal((await request(path)).cache, 'HIT', path)
}

const PATHS = ['/namespace/a', '/namespace/b', '/request/a', '/payload/a']

each('everything is invalidated if it is unknown what a write made stale', async (t, options) => {
  const server = await valued(t, options)
  for (let round = 1; round <= 3; round++) {
    await warm(t, server, PATHS)
    t.match(await server.request('/write', { method: 'POST' }), { status: 200, text: `{"value":${round}}` })
    for (const path of PATHS) t.match(await server.request(path), { cache: 'MISS', text: new RegExp(`"value":${round}`) })
    await server.app.apiCache.settled()
  }
})

each('thousands of namespaces are all invalidated', async (t, options) => {
  const server = await valued(t, options)
  for (let index = 0; index < 2_500; index++) await server.app.inject(`/namespace/namespace-${index}`)
  await server.app.apiCache.settled()
  const paths = Array.from({ length: 50 }, (_, index) => `/namespace/namespace-${index * 50}`)
  await warm(t, server, paths)
  await server.request('/write', { method: 'POST' })
  for (const path of paths) t.match(await server.request(path), { cache: 'MISS', text: /"value":1/ })
})

each('a version that a strict write holds meanwhile is not restored if that write fails', async (t, options) => {
  const [begun, goOn] = [gate(), gate()]
  let value = 0
  const { app, request } = await serving(t, options, (app) => {
    app.get('/value', { config: { cache: { namespace: 'value', expire: '1h' } } }, async () => ({ value }))
    app.post('/strict', { config: { cache: { invalidate: 'value', strict: true } } }, async (_request, reply) => {
      begun.open()
      await goOn.opened
      return reply.code(409).send({})
    })
    app.post('/write', { config: { cache: unknown } }, async () => ({ value: ++value }))
  })
  await request('/value')
  await app.apiCache.settled()
  t.equal((await request('/value')).cache, 'HIT')
  const strict = request('/strict', { method: 'POST' })
  await begun.opened
  await request('/write', { method: 'POST' })
  goOn.open()
  t.equal((await strict).status, 409)
  await app.apiCache.settled()
  t.match(await request('/value'), { text: '{"value":1}' })
})

for (const [tier, local] of Object.entries({ 'without a local tier': false, 'with a strict one': true })) {
  t.test(`another process sees that everything was bumped, ${tier}`, async (t) => {
    await redisCli(redis().port, 'FLUSHALL')
    const options = { ...inRedis(redis()), local }
    const [here, there] = [await valued(t, options), await valued(t, options)]
    await warm(t, here, PATHS)
    await warm(t, there, PATHS)
    await here.request('/write', { method: 'POST' })
    for (const path of PATHS) t.equal((await there.request(path)).cache, 'MISS', path)
  })
}

t.test('tag groups are bumped first and together, then every version, but no lease', async (t) => {
  const bumps: string[][] = []
  const store = new class extends FullStore {
    override async bump (names: readonly string[], fresh: string): Promise<void> {
      bumps.push([...names])
      await super.bump(names, fresh)
    }

    override async * keys (prefix: string): AsyncGenerator<string, void, undefined> {
      for (const key of ['api-cache!lease:a', 'api-cache|a:GET /']) if (key.startsWith(prefix)) yield key
      yield * super.keys(prefix)
    }
  }()
  const server = await valued(t, { store })
  await warm(t, server, PATHS)
  bumps.length = 0
  await server.request('/write', { method: 'POST' })
  t.same(bumps[0], Array.from({ length: 64 }, (_, group) => `api-cache!tags:{${group}}`))
  const rest = bumps.slice(1).flat().sort()
  t.same(rest, [...store.tokens.keys()].filter((name) => !name.startsWith('api-cache!tags:')).sort())
  t.equal(rest.length, 5, 'four namespaces and a tag')
})

/** A store whose list of keys is given out when the test says so. */
class GatedStore extends FullStore {
  passes = 0
  listing = gate()
  goOn = gate()

  override async * keys (prefix: string): AsyncGenerator<string, void, undefined> {
    const keys: string[] = []
    for await (const key of super.keys(prefix)) keys.push(key)
    this.passes++
    this.listing.open()
    await this.goOn.opened
    yield * keys
  }
}

t.test('writes that arrive while everything is being bumped share one more pass, and wait for it', async (t) => {
  const store = new GatedStore()
  const { app, request, written } = await valued(t, { store })
  let answered = 0
  const write = async (): Promise<void> => {
    await request('/write', { method: 'POST' })
    answered++
  }
  const first = write()
  await store.listing.opened
  const others = [write(), write(), write()]
  while (written() < 4) await request('/uncached')
  // What is on its way out of a handler anyway is out before another request is answered.
  await request('/uncached')
  t.equal(answered, 0)
  store.goOn.open()
  await Promise.all([first, ...others])
  t.equal(store.passes, 2)
  t.equal(app.apiCache.stats().pending, 0)
})

t.test('however many responses wait while everything is bumped, the store gets one ping at a time', async (t) => {
  const store = new class extends GatedStore {
    pings = 0
    unanswered = 0
    most = 0

    async ping (): Promise<void> {
      this.pings++
      this.most = Math.max(this.most, ++this.unanswered)
      await new Promise(setImmediate)
      this.unanswered--
    }
  }()
  const { app, request } = await valued(t, { store, timeout: 100 })
  const writes = Array.from({ length: 20 }, () => request('/write', { method: 'POST' }))
  while (store.pings < 3) await request('/uncached')
  store.goOn.open()
  for (const { status } of await Promise.all(writes)) t.equal(status, 200)
  t.equal(store.most, 1)
  t.equal(app.apiCache.stats().pending, 0)
})

t.test('a response waits for a few seconds at most; versions that are not bumped by then are bypassed in this process until they are', async (t) => {
  const store = new GatedStore()
  const lines: LogLine[] = []
  const server = await valued(t, { store }, lines)
  await warm(t, server, PATHS)
  const began = performance.now()
  t.equal((await server.request('/write', { method: 'POST' })).status, 200)
  const took = performance.now() - began
  t.ok(took > 4_000 && took < 8_000, `${took} ms`)
  t.ok(server.app.apiCache.stats().pending > 0)
  for (const path of PATHS) t.match(await server.request(path), { cache: 'MISS', text: /"value":1/ })
  t.ok(complaints(lines).some(({ msg, versions }) => msg.includes('could not be delivered yet') && versions === 'everything'))
  store.goOn.open()
  while (server.app.apiCache.stats().pending > 0) await server.request('/uncached')
  t.equal(store.passes, 1)
  await warm(t, server, PATHS)
})

t.test('a pass that takes too long does not count for invalidations that came after it began', async (t) => {
  const store = new class extends GatedStore {
    refuses = false
    answersPings = true

    async ping (): Promise<void> {
      if (!this.answersPings) throw new Error('no answer')
    }

    override async bump (names: readonly string[], fresh: string): Promise<void> {
      if (this.refuses) throw new Error('refused')
      await super.bump(names, fresh)
    }
  }()
  const { app, request } = await valued(t, { store, timeout: 100 })
  const write = request('/write', { method: 'POST' })
  await store.listing.opened
  // More than is remembered one by one.
  store.refuses = true
  await app.apiCache.invalidate(Array.from({ length: 12_000 }, (_, index) => `namespace-${index}`))
  store.refuses = store.answersPings = false
  t.equal((await write).status, 200)
  store.answersPings = true
  store.goOn.open()
  while (app.apiCache.stats().pending > 0) await request('/uncached')
  t.equal(store.passes, 2)
})

t.test('a Redis that hangs before everything is bumped delays no response for long, and gets the bumps later', async (t) => {
  await redisCli(redis().port, 'FLUSHALL')
  const there = await valued(t, inRedis(redis()))
  const here = await valued(t, { redis: redis().url, timeout: 300 })
  await warm(t, there, PATHS)
  redis().pause()
  try {
    const began = performance.now()
    t.equal((await here.request('/write', { method: 'POST' })).status, 200)
    t.ok(performance.now() - began < 2_000)
    t.ok(here.app.apiCache.stats().pending > 0)
  } finally {
    redis().resume()
  }
  while (here.app.apiCache.stats().pending > 0) await here.request('/uncached')
  for (const path of PATHS) t.equal((await there.request(path)).cache, 'MISS', path)
})

t.test('a Redis that hangs while everything is bumped delays no response for long, and gets the bumps later', async (t) => {
  await redisCli(redis().port, 'FLUSHALL')
  const there = await valued(t, inRedis(redis()))
  const proxy = await startProxy(redis().port)
  t.teardown(() => proxy.stop())
  const here = await valued(t, { redis: proxy.url, timeout: 300 })
  await warm(t, there, PATHS)
  const held = proxy.holdAnswer('scan')
  const began = performance.now()
  const write = here.request('/write', { method: 'POST' })
  const answer = await held
  t.equal((await write).status, 200)
  t.ok(performance.now() - began < 2_000)
  t.ok(here.app.apiCache.stats().pending > 0)
  t.equal((await here.request('/namespace/a')).cache, 'MISS', 'everything is bypassed here')
  answer.release()
  while (here.app.apiCache.stats().pending > 0) await here.request('/uncached')
  for (const path of PATHS) t.equal((await there.request(path)).cache, 'MISS', path)
})
