import t from 'tap'
import { eachStore, fileRedis, inRedis, redisCli } from '../support/each-store.js'
import { keysOf, serving } from '../support/serving.js'
import type { FastifyInstance } from 'fastify'

const test = eachStore()
const redis = fileRedis()

const users = ['Ada', 'Bob', 'Cleo']

function declareUsers (app: FastifyInstance): void {
  const names = [...users]
  app.get<{ Querystring: { skip: number, limit: number } }>('/users', {
    schema: {
      querystring: {
        type: 'object',
        properties: { skip: { type: 'integer', default: 0 }, limit: { type: 'integer', default: 100 } },
        additionalProperties: false
      }
    },
    config: { cache: { namespace: 'user-cache', expire: '1 day' } }
  }, async ({ query }) => names.slice(query.skip, query.skip + query.limit))
  app.post<{ Body: { name: string } }>('/users', { config: { cache: { invalidate: 'user-cache' } } }, async ({ body }, reply) => {
    names.push(body.name)
    return reply.code(201).send({ name: body.name })
  })
}

const post = (name: string): RequestInit => ({
  method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ name })
})

test('a GET is a HIT until a POST invalidates it', async (t, options) => {
  const { app, request } = await serving(t, options, declareUsers)
  t.match(await request('/users'), { cache: 'MISS', text: JSON.stringify(users) })
  t.match(await request('/users'), { cache: 'HIT', text: JSON.stringify(users) })

  const created = await request('/users', post('Dan'))
  t.match(created, { status: 201, text: '{"name":"Dan"}' })
  t.equal(created.cache, null)

  t.match(await request('/users'), { cache: 'MISS', text: JSON.stringify([...users, 'Dan']) })
  t.match(await request('/users'), { cache: 'HIT', text: JSON.stringify([...users, 'Dan']) })
  await app.apiCache.settled()
  t.same(app.apiCache.stats().hits, 2)
})

test('requests that mean the same to the handler share one entry', async (t, options) => {
  const { app, origin, request } = await serving(t, options, declareUsers)
  t.equal((await request('/users')).cache, 'MISS')
  for (const same of ['/users?skip=0&limit=100', '/users?limit=100&skip=0', '/users?limit=100', '/users?skip=00', '/users?undeclared=1', '/users?']) {
    t.equal((await request(same)).cache, 'HIT', same)
  }
  t.equal((await request('/users?skip=1')).cache, 'MISS')
  await app.apiCache.settled()
  t.same(await keysOf(app, 'user-cache'), [
    `api-cache|user-cache:GET /users?limit=100&skip=0 ${origin}`,
    `api-cache|user-cache:GET /users?limit=100&skip=1 ${origin}`
  ])
})

t.test('redis-cli sees the entry under its readable key, and nothing of the namespace after a POST has swept it', async (t) => {
  await redisCli(redis().port, 'FLUSHALL')
  const { app, origin, request } = await serving(t, inRedis(redis()), declareUsers)
  await request('/users')
  await request('/users?skip=2&limit=1')
  await app.apiCache.settled()
  const scan = (): Promise<string[]> => redisCli(redis().port, '--scan', '--pattern', 'api-cache|user-cache:*')
  t.same((await scan()).sort(), [
    `api-cache|user-cache:GET /users?limit=1&skip=2 ${origin}`,
    `api-cache|user-cache:GET /users?limit=100&skip=0 ${origin}`
  ])
  const [ttl] = await redisCli(redis().port, 'TTL', `api-cache|user-cache:GET /users?limit=100&skip=0 ${origin}`)
  t.ok(Number(ttl) > 86_390 && Number(ttl) <= 86_400, `${ttl} seconds to live`)

  await request('/users', post('Dan'))
  await app.apiCache.settled()
  t.same(await scan(), [])
})

t.test('an expired entry is gone from Redis', async (t) => {
  const { app, request } = await serving(t, inRedis(redis()), (app) => app.get('/short', {
    config: { cache: { namespace: 'short-cache', expire: 1 } }
  }, async () => ({ now: process.hrtime.bigint().toString() })))
  const first = await request('/short')
  await app.apiCache.settled()
  t.equal((await request('/short')).text, first.text)
  for (let seen = first; seen.text === first.text;) seen = await request('/short')
  t.pass('the handler ran again')
})

test('two routes whose policies return the same key never share an entry', async (t, options) => {
  const cache = { namespace: 'shared', expire: 60, key: () => 'the same' }
  const { app, request } = await serving(t, options, (app) => {
    for (const path of ['/one', '/two']) app.get(path, { config: { cache } }, async () => path)
  })
  for (let round = 0; round < 2; round++) {
    for (const path of ['/one', '/two']) {
      t.match(await request(path), { cache: 'MISS', text: path })
      await app.apiCache.settled()
      t.match(await request(path), { cache: 'HIT', text: path })
    }
  }
})
