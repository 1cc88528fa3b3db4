import type { FastifyRequest } from 'fastify'
import { Cluster, Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { ApiCacheOptions } from '../../index.js'
import { fileRedis, inRedis } from '../support/each-store.js'
import { gate } from '../support/gate.js'
import { startCluster } from '../support/redis-cluster.js'
import { serving, type Serving } from '../support/serving.js'

const redis = fileRedis()
const MINUTES = 600
const MONTHS = 10_000_000

async function tagged (t: Test, options: ApiCacheOptions): Promise<Serving> {
  return await serving(t, options, (app) => {
    app.get<{ Params: { id: string } }>('/users/:id', {
      config: { cache: { namespace: 'users', expire: '1 day', tags: ({ params }) => [(params as { id: string }).id] } }
    }, async ({ params }, reply) => {
      if (params.id.startsWith('no')) reply.code(404)
      return { id: params.id }
    })
  })
}

const places: Record<string, () => ApiCacheOptions> = {
  'in Redis': () => inRedis(redis()),
  'in the strict tier': () => ({ ...inRedis(redis()), local: true }),
  'in the tracked tier': () => ({ ...inRedis(redis()), local: { consistency: 'tracked' } })
}

/** Seconds that the versions of a tag have left, by the tag. */
async function lives (client: Redis | Cluster, nodes: readonly Redis[]): Promise<Record<string, number>> {
  const found: Record<string, number> = {}
  for (const node of nodes) {
    for (const key of await node.keys('*!tag:*')) found[key.replace(/.*}/, '')] = await client.ttl(key)
  }
  return found
}

async function prove (t: Test, server: Serving, read: () => Promise<Record<string, number>>): Promise<void> {
  await server.request('/users/nobody')
  t.equal((await server.request('/users/ada')).cache, 'MISS')
  await server.app.apiCache.settled()
  const { nobody, ada } = await read()
  t.ok(nobody! > 0 && nobody! <= MINUTES, `nothing was stored under it, and it lives for ${nobody} s`)
  t.ok(ada! > MONTHS, `an entry was stored under it, and it lives for ${ada} s`)
  t.equal((await server.request('/users/ada')).cache, 'HIT')

  await server.app.apiCache.invalidateTags('ada', { settle: '1m' })
  t.equal((await server.request('/users/ada')).cache, 'MISS')
  await server.app.apiCache.settled()
  t.ok((await read())['ada']! <= 60, 'the version of a window is not prolonged')
}

for (const [place, options] of Object.entries(places)) {
  t.test(`a name from a request lives for minutes until something is stored under it: ${place}`, async (t) => {
    const client = new Redis(redis().port, '127.0.0.1')
    t.teardown(() => { client.disconnect() })
    await client.flushall()
    await prove(t, await tagged(t, options()), async () => await lives(client, [client]))
  })
}

t.test('a name from a request lives for minutes until something is stored under it: on a Cluster', async (t) => {
  const servers = await startCluster()
  t.teardown(() => servers.stop())
  const client = new Cluster([...servers.startupNodes])
  t.teardown(() => { client.disconnect() })
  await prove(t, await tagged(t, { redis: client, timeout: 10_000 }), async () => await lives(client, client.nodes('master')))
})

/** How a strict write ends, and the requests that come while it holds its name. */
const ENDS: Record<string, { status: number, meanwhile: string[] }> = {
  'has written': { status: 200, meanwhile: [] },
  'is refused with a 4xx': { status: 409, meanwhile: [] },
  'is refused with a 4xx while a plain write comes': { status: 409, meanwhile: ['/plain/'] },
  'has written while a plain write comes': { status: 200, meanwhile: ['/plain/'] }
}

async function written (t: Test, options: ApiCacheOptions): Promise<Serving> {
  const served = await serving(t, { ...options, host: false }, (app) => {
    const tags = ({ params }: FastifyRequest): string[] => [(params as { id: string }).id]
    app.get<{ Params: { id: string } }>('/users/:id', { config: { cache: { namespace: 'users', expire: '1 day', tags } } }, async ({ params }, reply) => {
      if (params.id.startsWith('no')) reply.code(404)
      return { id: params.id }
    })
    app.post<{ Params: { id: string } }>('/plain/:id', { config: { cache: { invalidateTags: (request) => tags(request) } } }, async () => 'written')
    app.post<{ Params: { id: string, end: string } }>('/strict/:end/:id', {
      config: { cache: { invalidateTags: (request) => tags(request), strict: true } }
    }, async ({ params }, reply) => {
      const { status, meanwhile } = ENDS[decodeURIComponent(params.end)]!
      for (const path of meanwhile) await served.request(path + params.id, { method: 'POST' })
      return await reply.code(status).send('ended')
    })
  })
  return served
}

/** A name that a request has made before the write, one that none has, and one that has an entry. */
async function proveStrict (t: Test, { app, request }: Serving, read: () => Promise<Record<string, number>>): Promise<void> {
  for (const [end, { status, meanwhile }] of Object.entries(ENDS)) {
    for (const id of ['nobody', 'ada']) await request(`/users/${id}`)
    await app.apiCache.settled()
    for (const id of ['nobody', 'none', 'ada']) await request(`/strict/${encodeURIComponent(end)}/${id}`, { method: 'POST' })
    await app.apiCache.settled()
    const { nobody = 0, none = 0, ada = 0 } = await read()
    t.ok(nobody <= MINUTES && none <= MINUTES, `a write that ${end} leaves names for ${nobody} and ${none} s`)
    const isKept = status === 409 && meanwhile.length === 0
    t.equal(ada > MONTHS, isKept, `a write that ${end} leaves a name with an entry for ${ada} s`)
    t.equal((await request('/users/ada')).cache, isKept ? 'HIT' : 'MISS')
    await app.apiCache.settled()
    t.equal((await request('/users/ada')).cache, 'HIT')
    t.ok((await read())['ada']! > MONTHS, 'an entry is stored under it')
  }
}

for (const [place, options] of Object.entries(places)) {
  t.test(`strict writes leave no name for longer under which nothing is stored: ${place}`, async (t) => {
    const client = new Redis(redis().port, '127.0.0.1')
    t.teardown(() => { client.disconnect() })
    await client.flushall()
    await proveStrict(t, await written(t, options()), async () => await lives(client, [client]))
  })
}

t.test('strict writes leave no name for longer under which nothing is stored: on a Cluster', async (t) => {
  const servers = await startCluster()
  t.teardown(() => servers.stop())
  const client = new Cluster([...servers.startupNodes])
  t.teardown(() => { client.disconnect() })
  await proveStrict(t, await written(t, { redis: client, timeout: 10_000 }), async () => await lives(client, client.nodes('master')))
})

t.test('a name under which an entry was stored while a refused write held it is prolonged by the next entry', async (t) => {
  const client = new Redis(redis().port, '127.0.0.1')
  t.teardown(() => { client.disconnect() })
  await client.flushall()
  const [begun, goOn] = [gate(), gate()]
  const { app, request } = await serving(t, inRedis(redis()), (app) => {
    app.get<{ Params: { id: string } }>('/users/:id', { config: { cache: { namespace: 'users', expire: '1 day' } } }, async ({ params: { id } }) => {
      if (id !== 'slow') return id
      begun.open()
      await goOn.opened
      return id
    })
    app.post('/refused', { config: { cache: { invalidate: 'users', strict: true } } }, async (_request, reply) => {
      goOn.open()
      await slow
      await app.apiCache.settled()
      return await reply.code(409).send('refused')
    })
  })
  const slow = request('/users/slow')
  await begun.opened
  await request('/refused', { method: 'POST' })
  await app.apiCache.settled()
  t.equal((await request('/users/slow')).cache, 'HIT')
  await request('/users/other')
  await app.apiCache.settled()
  t.ok(await client.ttl('api-cache!version:users') > MONTHS)
})

t.test('another process that stores an entry under a name prolongs it, too', async (t) => {
  const client = new Redis(redis().port, '127.0.0.1')
  t.teardown(() => { client.disconnect() })
  await client.flushall()
  const [one, other] = [await tagged(t, inRedis(redis())), await tagged(t, inRedis(redis()))]
  await one.request('/users/ada', { headers: { authorization: 'x' } })
  await one.request('/users/nobody')
  const before = await client.get('api-cache!version:users')
  await other.request('/users/ada')
  await other.app.apiCache.settled()
  t.equal(await client.get('api-cache!version:users'), before)
  t.ok(await client.ttl('api-cache!version:users') > MONTHS)
})
