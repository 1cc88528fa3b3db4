import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import apiCache, { type ApiCacheOptions, type ReadPolicy } from '../../index.js'
import { eachStore } from '../support/each-store.js'
import { loggingTo, type LogLine } from '../support/log.js'
import { serving, type Seen, type Serving } from '../support/serving.js'

const each = eachStore()

/** Seconds of freshness left; undefined on a MISS. */
function ttlOf ({ headers }: Seen): number | undefined {
  const told = /;ttl=(-?\d+)/.exec(String(headers.get('cache-status')))?.[1]
  return told === undefined ? undefined : Number(told)
}

const near = (t: Test, seen: Seen, seconds: number): void => {
  const ttl = ttlOf(seen)
  if (ttl === undefined || ttl > seconds || ttl < seconds - 10) t.fail(`${String(ttl)} is not about ${seconds}: ${String(seen.headers.get('cache-status'))}`)
  else t.pass()
}

const detailOf = ({ headers }: Seen): string | undefined => /detail=([\w-]+)/.exec(String(headers.get('cache-status')))?.[1]

/** A route that answers with the status that its path names. */
const statuses = async (t: Test, options: ApiCacheOptions, policy: Partial<ReadPolicy>, headers = {}): Promise<Serving> =>
  await serving(t, options, (app) => {
    app.get('/:status', { config: { cache: { namespace: 'statuses', ...policy } as ReadPolicy } }, async (request, reply) => {
      const { status } = request.params as { status: string }
      return reply.code(Number(status)).headers(headers).send({ status })
    })
  })

each('a table gives each status a lifetime of its own, and stores no other', async (t, options) => {
  const { app, request } = await statuses(t, options, { expire: { 200: '1h', 404: '30s', 501: 90 } })
  for (const [status, seconds] of [[200, 3_600], [404, 30], [501, 90]] as const) {
    t.equal((await request(`/${status}`)).cache, 'MISS')
    await app.apiCache.settled()
    const hit = await request(`/${status}`)
    t.match(hit, { status, cache: 'HIT', text: `{"status":"${status}"}` })
    near(t, hit, seconds)
  }
  for (const status of [201, 301, 500]) {
    t.equal(detailOf(await request(`/${status}`)), 'status')
    await app.apiCache.settled()
    t.equal((await request(`/${status}`)).cache, 'MISS')
  }
})

each("the response's own Cache-Control wins over a table and a function", async (t, options) => {
  let asked = 0
  const policies: Array<Partial<ReadPolicy>> = [
    { expire: { 200: '1h' } },
    { expire: () => { asked++; return '1h' } }
  ]
  for (const [index, policy] of policies.entries()) {
    const { app, request } = await statuses(t, { ...options, prefix: `own${index}` }, policy, { 'cache-control': 'max-age=90' })
    await request('/200')
    await app.apiCache.settled()
    near(t, await request('/200'), 90)
  }
  t.equal(asked, 0, 'a function is not asked what the response says itself')
})

each('a hook that says a lifetime wins over a function', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => {
    app.addHook('onSend', async (_request, reply) => { reply.header('cache-control', 'max-age=90') })
    app.get('/', { config: { cache: { namespace: 'hooks', expire: () => '1h' } } }, async () => 'x')
  })
  await request('/')
  await app.apiCache.settled()
  near(t, await request('/'), 90)
})

each('a table on a route takes the place of the statuses and of the expire of the plugin', async (t, options) => {
  const { app, request } = await statuses(t, { ...options, expire: '1 day', statuses: [200, 410] }, { expire: { 200: '1h', 404: '30s' } })
  for (const status of [200, 404, 410]) await request(`/${status}`)
  await app.apiCache.settled()
  near(t, await request('/200'), 3_600)
  near(t, await request('/404'), 30)
  t.equal((await request('/410')).cache, 'MISS')
})

each('a duration on a route takes the place of a table of the plugin', async (t, options) => {
  const { app, request } = await statuses(t, { ...options, expire: { 404: '30s' } }, { expire: '1h' })
  for (const status of [200, 404]) await request(`/${status}`)
  await app.apiCache.settled()
  near(t, await request('/200'), 3_600)
  t.equal((await request('/404')).cache, 'MISS')
})

each('a function of request, reply and payload says how long its response is fresh, and 0 that it is not stored', async (t, options) => {
  const seen: Array<[url: string, status: number, payload: unknown]> = []
  const expire = (request: FastifyRequest, reply: FastifyReply, payload: unknown): number | string => {
    seen.push([request.url, reply.statusCode, payload])
    const { items } = payload as { items: number }
    return items === 0 ? 0 : items === 1 ? '1m' : 3_600
  }
  const { app, request } = await serving(t, options, (app) => {
    app.get('/:items', { config: { cache: { namespace: 'items', expire, statuses: [200, 203] } } }, async (request, reply) => {
      const items = Number((request.params as { items: string }).items)
      return reply.code(items === 4 ? 500 : items === 3 ? 203 : 200).send({ items })
    })
  })
  for (const items of [0, 1, 2, 3, 4]) await request(`/${items}`)
  await app.apiCache.settled()
  t.same(seen, [['/0', 200, { items: 0 }], ['/1', 200, { items: 1 }], ['/2', 200, { items: 2 }], ['/3', 203, { items: 3 }]],
    'it is not asked about a response that is not stored anyway')
  near(t, await request('/1'), 60)
  near(t, await request('/2'), 3_600)
  near(t, await request('/3'), 3_600)
  t.match(await request('/4'), { cache: 'MISS', status: 500 })
  const unstored = await request('/0')
  t.match(unstored, { cache: 'MISS', text: '{"items":0}' })
  t.equal(detailOf(unstored), 'expire')
})

each('a function does not make an old response fresh', async (t, options) => {
  const { app, request } = await statuses(t, options, { expire: () => 60 }, { age: '60' })
  t.equal(detailOf(await request('/200')), 'expired')
  await app.apiCache.settled()
  t.equal((await request('/200')).cache, 'MISS')
})

each('a function of the lifetime may look at a stream, and is asked before it is read', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => {
    const expire = (_request: unknown, _reply: unknown, payload: unknown): string => payload instanceof ReadableStream ? '1m' : '1h'
    app.get('/', { config: { cache: { namespace: 'streams', expire } } }, async () => new Response('streamed').body)
  })
  t.equal((await request('/')).text, 'streamed')
  await app.apiCache.settled()
  const hit = await request('/')
  t.match(hit, { cache: 'HIT', text: 'streamed' })
  near(t, hit, 60)
})

const nonsense: Record<string, (...all: unknown[]) => unknown> = {
  throws: () => { throw new Error('no lifetime') },
  'returns nothing': () => undefined,
  'returns null': () => null,
  'returns a negative number': () => -1,
  'returns NaN': () => NaN,
  'returns Infinity': () => Infinity,
  'returns half a second': () => 0.5,
  'returns two years': () => '2 years',
  'returns a text that is no duration': () => 'soon',
  'returns true': () => true,
  'returns a table': () => ({ 200: '1h' }),
  'returns a promise': () => Promise.resolve('1h'),
  'returns a promise that rejects': () => Promise.reject(new Error('too late'))
}
for (const [how, expire] of Object.entries(nonsense)) {
  t.test(`if a function of the lifetime ${how}, nothing is stored, it is logged once, and the response is the handler's`, async (t) => {
    const lines: LogLine[] = []
    const { app, request } = await serving(t, { store: 'memory' }, (app) => {
      app.get('/', { config: { cache: { namespace: 'nonsense', expire: expire as never } } }, async () => ({ fine: true }))
    }, loggingTo(lines))
    for (let round = 0; round < 3; round++) {
      const answer = await request('/')
      t.match(answer, { status: 200, cache: 'MISS', text: '{"fine":true}' })
      t.equal(detailOf(answer), 'expire')
      await app.apiCache.settled()
    }
    t.equal(app.apiCache.stats().stored, 0)
    t.equal(lines.filter(({ msg }) => /a function of the route's policy failed/.test(msg)).length, 1)
  })
}

t.test('jitter takes off up to its share of the lifetime, and adds nothing', async (t) => {
  const { app, request } = await serving(t, { store: 'memory', jitter: 0.5 }, (app) => {
    app.get('/default/:id', { config: { cache: { namespace: 'jitter', expire: 10_000 } } }, async () => 'x')
    app.get('/own/:id', { config: { cache: { namespace: 'jitter', expire: 10_000, jitter: 0 } } }, async () => 'x')
    app.get('/most/:id', { config: { cache: { namespace: 'jitter', expire: 10_000, jitter: 1 } } }, async () => 'x')
    app.get('/said/:id', { config: { cache: { namespace: 'jitter', expire: 1 } } }, async (_request, reply) =>
      reply.headers({ 'cache-control': 'max-age=12000', age: '2000' }).send('x'))
  })
  const ttls = async (path: string): Promise<number[]> => {
    const found: number[] = []
    for (let id = 0; id < 100; id++) {
      await request(`/${path}/${id}`)
      await app.apiCache.settled()
      found.push(ttlOf(await request(`/${path}/${id}`))!)
    }
    return found.sort((a, b) => a - b)
  }
  // Each bound is missed by chance less than once in a million runs.
  const own = await ttls('own')
  t.ok(own[0]! > 9_900 && own.at(-1)! <= 10_000, `without: ${own[0]} to ${own.at(-1)}`)
  for (const path of ['default', 'said']) {
    const half = await ttls(path)
    t.ok(half[0]! > 4_900 && half[0]! < 6_000 && half.at(-1)! > 9_000 && half.at(-1)! <= 10_000, `${path}: ${half[0]} to ${half.at(-1)}`)
  }
  const most = await ttls('most')
  t.ok(most[0]! < 2_000 && most.at(-1)! > 8_000 && most.at(-1)! <= 10_000, `all of it: ${most[0]} to ${most.at(-1)}`)
})

t.test('a value that reply.cachedValue keeps has the lifetime of its function', async (t) => {
  let runs = 0
  const expire = (_request: unknown, _reply: unknown, payload: unknown): number => (payload as { n: number }).n === 1 ? 0 : 60
  const policy: ReadPolicy = { namespace: 'values', key: () => 'value', expire }
  const { app, request } = await serving(t, { store: 'memory' }, (app) => {
    app.get('/', async (_request, reply) => await reply.cachedValue(policy, () => ({ n: ++runs })))
  })
  for (const n of [1, 2, 2]) {
    t.equal((await request('/')).text, `{"n":${n}}`)
    await app.apiCache.settled()
  }
})

async function refused (t: Test, options: ApiCacheOptions, cache: unknown, message: RegExp): Promise<void> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(apiCache, { store: 'memory', ...options })
  t.throws(() => { app.get('/', { config: { cache: cache as ReadPolicy } }, async () => 'x') },
    { code: 'FST_API_CACHE_INVALID_FIELD', message })
}

const wrongTables: Array<[what: string, table: unknown, got: RegExp]> = [
  ['is empty', {}, /got a value of type object; or a table of these by status, such as \{ 200: '1h', 404: '30s' \}/],
  ['has a status that is not stored', { 200: '1h', 206: '1h' }, /got a table with 206: '1h'/],
  ['has a status of no whole response', { 304: '1h' }, /got a table with 304: '1h'/],
  ['has a status below 200', { 100: '1h' }, /got a table with 100: '1h'/],
  ['has a status above 599', { 600: '1h' }, /got a table with 600: '1h'/],
  ['has a name that is no status', { ok: '1h' }, /got a table with ok: '1h'/],
  ['has a name that only reads as a status', { '0xc8': '1h' }, /got a table with 0xc8: '1h'/],
  ['has a class of statuses', { '2xx': '1h' }, /got a table with 2xx: '1h'/],
  ['has no duration', { 200: 0 }, /got a table with 200: 0/],
  ['has a function', { 200: () => '1h' }, /got a table with 200: a value of type function/],
  ['is a list', ['1h'], /got a list of 1/]
]
for (const [what, expire, got] of wrongTables) {
  t.test(`a table that ${what} is refused`, async (t) => {
    await refused(t, {}, { namespace: 'wrong', expire }, got)
    await t.rejects(async () => { await Fastify().register(apiCache, { store: 'memory', expire: expire as never }) }, { message: got })
  })
}

t.test('an async function of the lifetime is refused', async (t) => {
  await refused(t, {}, { namespace: 'wrong', expire: async () => '1h' }, /'expire' must be .*, got an async function; .* and no promise/)
})

t.test('a jitter that is no share is refused', async (t) => {
  for (const jitter of [-0.1, 1.1, NaN, '10%', true]) await refused(t, {}, { namespace: 'wrong', expire: 60, jitter }, /'jitter' must be a number from 0 to 1/)
})

t.test('statuses beside a table are refused, wherever the table is', async (t) => {
  const message = /'statuses' must be left out where expire is a table: its statuses are stored, and no others, got a list of 1/
  await refused(t, {}, { namespace: 'wrong', expire: { 200: '1h' }, statuses: [200] }, message)
  await refused(t, { expire: { 200: '1h' } }, { namespace: 'wrong', statuses: [404] }, message)
  await t.rejects(async () => { await Fastify().register(apiCache, { store: 'memory', expire: { 200: '1h' }, statuses: [404] }) }, { message })
})
