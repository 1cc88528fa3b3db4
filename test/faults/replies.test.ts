import Fastify, { type FastifyInstance } from 'fastify'
import { Command, Redis, type RedisOptions } from 'ioredis'
import t, { type Test } from 'tap'
import apiCache, { type ApiCacheOptions } from '../../index.js'
import { fileRedis, redisCli } from '../support/each-store.js'
import { gate } from '../support/gate.js'
import { loggingTo, type LogLine } from '../support/log.js'
import { listening, type Seen, type Serving } from '../support/serving.js'

const redis = fileRedis()
t.beforeEach(() => redisCli(redis().port, 'FLUSHALL'))

interface Application extends Serving {
  readonly client: Redis
  readonly lines: LogLine[]
}

/** An application on a client of its own, over one value. */
async function application (t: Test, options: ApiCacheOptions, clientOptions: RedisOptions = {}): Promise<Application> {
  const client = new Redis({ port: redis().port, ...clientOptions })
  t.teardown(() => { client.disconnect() })
  const lines: LogLine[] = []
  const app = Fastify(loggingTo(lines))
  await app.register(apiCache, { redis: client, timeout: 10_000, expire: '1 hour', ...options })
  return { ...await listening(t, app, declare), client, lines }
}

function declare (app: FastifyInstance): void {
  let value = 1
  app.get('/', { config: { cache: { namespace: 'values' } } }, async () => ({ value }))
  app.put('/', { config: { cache: { invalidate: 'values' } } }, async () => ({ value: ++value }))
  app.put('/strict', { config: { cache: { invalidate: 'values', strict: true } } }, async () => ({ value: ++value }))
}

const errors = (lines: LogLine[]): LogLine[] => lines.filter(({ err }) => err !== undefined)

/** The first HIT. Nobody may be given another value meanwhile. */
async function hit (t: Test, request: Serving['request'], text: string): Promise<Seen> {
  for (;;) {
    const seen = await request('/')
    if (seen.text !== text) t.equal(seen.text, text)
    if (seen.cache === 'HIT') return seen
  }
}

const tiers: Array<[where: string, local: ApiCacheOptions['local']]> = [
  ['in Redis', false], ['behind a local tier', true], ['behind a tracked local tier', { consistency: 'tracked' }]
]
/** What an application does on its own client that holds up, or changes the replies to, all other commands there. */
const occupations: Array<[what: string, occupy: (client: Redis) => unknown]> = [
  ['is inside a transaction', (client) => client.multi({ pipeline: false })],
  ['waits in a blocking command', (client) => { client.blpop('never', 0).catch(() => {}) }],
  ['subscribes', (client) => client.subscribe('channel')]
]
for (const [where, local] of tiers) {
  for (const [what, occupy] of occupations) {
    t.test(`an application's client that ${what} does not affect the cache: ${where}`, async (t) => {
      const { app, request, client } = await application(t, { local: local! })
      await hit(t, request, '{"value":1}')
      await occupy(client)
      t.match(await request('/'), { cache: 'HIT', text: '{"value":1}' })
      t.equal((await request('/strict', { method: 'PUT' })).status, 200)
      t.match(await request('/', { method: 'PUT' }), { status: 200, text: '{"value":3}' })
      await hit(t, request, '{"value":3}')
      t.match(app.apiCache.stats(), { available: true, pending: 0, failures: 0 })
    })
  }
}

t.test('on clients with stringNumbers a lease is taken at once, and two servers share the fill', async (t) => {
  const [asked, answering] = [gate(), gate()]
  let runs = 0
  const servers = await Promise.all([1, 2].map(async () => {
    const client = new Redis({ port: redis().port, stringNumbers: true })
    t.teardown(() => { client.disconnect() })
    const app = Fastify()
    await app.register(apiCache, { redis: client, host: false, timeout: 10_000, expire: '1 hour', coalesce: 'fleet', coalesceTimeout: 20_000 })
    return await listening(t, app, (app) => app.get('/', { config: { cache: { namespace: 'values' } } }, async () => {
      runs++
      asked.open()
      await answering.opened
      return 'value'
    }))
  }))
  const began = performance.now()
  const answers = Promise.all(servers.map(({ request }) => request('/')))
  await asked.opened
  while (servers.some(({ app }) => app.apiCache.stats().filling === 0)) await redisCli(redis().port, 'PING')
  answering.open()
  t.same((await answers).map(({ text }) => text), ['value', 'value'])
  t.equal(runs, 1)
  t.ok(performance.now() - began < 10_000)
})

t.test('on a client with stringNumbers sweeps are counted as numbers', async (t) => {
  const { app, request } = await application(t, {}, { stringNumbers: true })
  for (const path of ['/?a', '/?b', '/?c']) await request(path)
  await app.apiCache.settled()
  t.equal(await (await app.apiCache.invalidate('values')).swept, 3)
  t.equal(app.apiCache.stats().swept, 3)
})

t.test('a client that returns no replies delivers nothing until it returns them again', async (t) => {
  const { app, request } = await application(t, {})
  await hit(t, request, '{"value":1}')
  Command.setReplyTransformer('eval', () => undefined)
  t.teardown(() => { Command.setReplyTransformer('eval', (reply: unknown) => reply) })
  t.match(await request('/', { method: 'PUT' }), { status: 200, text: '{"value":2}' })
  t.equal(app.apiCache.stats().pending, 1)
  t.match(await request('/'), { status: 200, cache: 'MISS', text: '{"value":2}' })
  Command.setReplyTransformer('eval', (reply: unknown) => reply)
  await hit(t, request, '{"value":2}')
  t.equal(app.apiCache.stats().pending, 0)
})

t.test('a SET with a reply of another form fails, which causes a MISS and is logged once', async (t) => {
  Command.setReplyTransformer('set', () => 'STORED')
  t.teardown(() => { Command.setReplyTransformer('set', (reply: unknown) => reply) })
  const { app, request, lines } = await application(t, {})
  for (const path of ['/?a', '/?b', '/?c']) {
    t.match(await request(path), { status: 200, cache: 'MISS', text: '{"value":1}' })
    await app.apiCache.settled()
  }
  t.equal(app.apiCache.stats().failures, 3)
  t.match(errors(lines), [{ operation: 'set', err: { code: 'FST_API_CACHE_UNEXPECTED_REPLY' } }])
})
