import { once } from 'node:events'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import Fastify from 'fastify'
import { Redis } from 'ioredis'
import t from 'tap'
import apiCache, { type StoreEvent } from '../../index.js'
import { fileRedis, inRedis, redisCli } from '../support/each-store.js'
import { loggingTo, type LogLine } from '../support/log.js'
import { listening } from '../support/serving.js'

const redis = fileRedis()

t.test('a body that Redis refuses to store is neither in the log nor in an event', async (t) => {
  const lines: LogLine[] = []
  const events: StoreEvent[] = []
  const listener = (event: unknown): void => { events.push(event as StoreEvent) }
  subscribe('fastify-api-cache:store', listener)
  t.teardown(() => { unsubscribe('fastify-api-cache:store', listener) })
  const app = Fastify(loggingTo(lines))
  await app.register(apiCache, inRedis(redis()))
  const { request } = await listening(t, app, (app) => app.get('/', { config: { cache: { namespace: 'a', expire: 60 } } }, async (_request, reply) => reply.header('x-own', 'a-header').send('a-body')))
  await request('/')
  await app.apiCache.settled()
  // The version of the namespace is there: only the entry cannot be set.
  await redisCli(redis().port, 'ACL', 'SETUSER', 'default', '-set')
  t.teardown(() => redisCli(redis().port, 'ACL', 'SETUSER', 'default', '+set'))
  t.match(await request('/?again'), { status: 200, text: 'a-body' })
  await app.apiCache.settled()
  t.match(events.filter(({ operation }) => operation === 'set'), [{ state: 'failed', error: { message: /NOPERM/, command: { name: 'set' } } }])
  t.match(lines.filter(({ operation }) => operation === 'set'), [{ err: { message: /NOPERM/, command: { name: 'set' } } }])
  const bytes = (text: string): string => [...Buffer.from(text)].join()
  for (const text of ['a-body', 'a-header']) {
    for (const form of [text, bytes(text)]) t.notOk(JSON.stringify([lines, events]).includes(form), form)
  }
})

t.test('a password that Redis refuses is not in the log', async (t) => {
  const lines: LogLine[] = []
  const url = new URL(redis().url)
  url.password = 's3cret'
  const client = new Redis(redis().url)
  t.teardown(() => { client.disconnect() })
  await once(client, 'ready')
  await client.config('SET', 'requirepass', 'another')
  t.teardown(() => client.config('SET', 'requirepass', ''))
  const app = Fastify(loggingTo(lines))
  await app.register(apiCache, { redis: url.href })
  const { request } = await listening(t, app, (app) => app.get('/', { config: { cache: { namespace: 'a', expire: 60 } } }, async () => 'answer'))
  t.match(await request('/'), { status: 200, text: 'answer' })
  t.match(lines, [
    { err: { message: /WRONGPASS/, command: { name: 'hello' } }, msg: /connection to Redis failed/ },
    { err: { message: /WRONGPASS/ }, msg: /does not answer yet/ }
  ])
  t.notMatch(JSON.stringify(lines), 's3cret')
})
