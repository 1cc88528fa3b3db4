import { Readable } from 'node:stream'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import apiCache, { type ApiCacheOptions } from '../../index.js'
import { eachStore } from '../support/each-store.js'
import { listening, type Serving } from '../support/serving.js'

const test = eachStore()
const config = { cache: { namespace: 'hooked', expire: 60 } }

/** An application whose hooks stand before and behind the plugin, in every place that there is. */
async function hooked (t: Test, options: ApiCacheOptions, hook: (app: FastifyInstance, place: string) => unknown, answer: () => unknown): Promise<Serving> {
  const app = Fastify()
  hook(app, 'before')
  await app.register(apiCache, options)
  hook(app, 'after')
  await app.register(async (child) => {
    hook(child, 'child')
    child.get('/', { config }, async () => answer())
  })
  hook(app, 'late')
  return await listening(t, app)
}

test('onSend hooks of the application run once on a MISS and once on a HIT', async (t, options) => {
  const footer = (app: FastifyInstance, place: string) => app.addHook('onSend', async (_request, _reply, payload) => `${String(payload)} ${place}`)
  const { app, request } = await hooked(t, options, footer, () => 'body')
  const miss = await request('/')
  await app.apiCache.settled()
  const hit = await request('/')
  t.same([miss.cache, hit.cache], ['MISS', 'HIT'])
  t.equal(miss.text, 'body before after child late')
  t.equal(hit.text, miss.text)
  t.equal(hit.headers.get('content-length'), miss.headers.get('content-length'))
})

test('an onSend hook of the route runs once on a MISS and once on a HIT', async (t, options) => {
  const app = Fastify()
  await app.register(apiCache, options)
  app.get('/', { config, onSend: async (_request, _reply, payload) => `${String(payload)} route` }, async () => 'body')
  const { request } = await listening(t, app)
  t.match(await request('/'), { cache: 'MISS', text: 'body route' })
  t.match(await request('/'), { cache: 'HIT', text: 'body route' })
})

test('hooks of the route, and those that a later plugin adds to it, are applied once to what a MISS and a HIT send', async (t, options) => {
  const app = Fastify()
  await app.register(apiCache, options)
  app.addHook('onRoute', (route) => {
    route.preSerialization = [route.preSerialization ?? [], async (_request: unknown, _reply: unknown, payload: unknown) => ({ later: payload })].flat()
    route.onSend = [route.onSend ?? [], async (_request: unknown, _reply: unknown, payload: unknown) => `${String(payload)} later`].flat()
  })
  app.get('/', {
    config,
    preSerialization: async (_request, _reply, payload) => ({ route: payload }),
    onSend: async (_request, _reply, payload) => `${String(payload)} route`
  }, async () => ({ a: 1 }))
  const { request } = await listening(t, app)
  const text = '{"later":{"route":{"a":1}}} route later'
  t.match(await request('/'), { cache: 'MISS', text })
  t.match(await request('/'), { cache: 'HIT', text })
})

test('a preSerialization hook is applied once to what a MISS and a HIT send', async (t, options) => {
  const wrap = (app: FastifyInstance, place: string) => app.addHook('preSerialization', async (_request, _reply, payload) => ({ [place]: payload }))
  const { request } = await hooked(t, options, wrap, () => ({ a: 1 }))
  const text = '{"late":{"child":{"after":{"before":{"a":1}}}}}'
  t.match(await request('/'), { cache: 'MISS', text })
  t.match(await request('/'), { cache: 'HIT', text })
})

const payloads: Record<string, unknown> = {
  'an object': { a: 1 }, text: 'text', 'empty text': '', 'a Buffer': Buffer.from('bytes'), 'an empty Buffer': Buffer.alloc(0), nothing: undefined, null: null, 'a number': 7
}
for (const [what, answer] of Object.entries(payloads)) {
  test(`onSend hooks get the same type and content type on a MISS and on a HIT if the handler sends ${what}`, async (t, options) => {
    const seen: string[] = []
    const look = (app: FastifyInstance, place: string) => app.addHook('onSend', async (_request, reply, payload) => {
      seen.push(`${place}: ${Buffer.isBuffer(payload) ? 'Buffer' : typeof payload} ${String(payload)} ${String(reply.getHeader('content-type'))} ${reply.statusCode}`)
      return payload
    })
    const { app, request } = await hooked(t, options, look, () => answer)
    t.equal((await request('/')).cache, 'MISS')
    await app.apiCache.settled()
    const onMiss = seen.splice(0)
    t.equal(onMiss.length, 4)
    t.equal((await request('/')).cache, 'HIT')
    t.same(seen, onMiss)
  })
}

test('hooks before the handler run on a HIT as on a MISS, wherever they are declared', async (t, options) => {
  const ran: string[] = []
  const guard = (app: FastifyInstance, place: string): void => {
    app.addHook('onRequest', async () => { ran.push(`${place} onRequest`) })
    app.addHook('preParsing', async () => { ran.push(`${place} preParsing`) })
    app.addHook('preValidation', async () => { ran.push(`${place} preValidation`) })
    app.addHook('preHandler', async () => { ran.push(`${place} preHandler`) })
  }
  const { request } = await hooked(t, options, guard, () => 'body')
  t.equal((await request('/')).cache, 'MISS')
  const onMiss = ran.splice(0)
  t.equal(onMiss.length, 16)
  t.equal((await request('/')).cache, 'HIT')
  t.same(ran, onMiss)
})

test('a guard that refuses a request also runs on a HIT', async (t, options) => {
  const guard = (app: FastifyInstance, place: string) => app.addHook('preHandler', async (request, reply) => {
    if (request.headers['x-refused-by'] === place) return reply.code(403).send(`refused ${place}`)
  })
  const { request } = await hooked(t, options, guard, () => 'body')
  await request('/')
  t.equal((await request('/')).cache, 'HIT')
  for (const place of ['before', 'after', 'child', 'late']) {
    const refused = await request('/', { headers: { 'x-refused-by': place } })
    t.match(refused, { status: 403, text: `refused ${place}` })
    t.equal(refused.cache, null)
  }
})

test('headers that a hook sets for each request are that request\'s own on a HIT', async (t, options) => {
  let requests = 0
  const count = (app: FastifyInstance, place: string) => app.addHook('onRequest', async (_request, reply) => { reply.header(`x-${place}`, String(++requests)) })
  const { request } = await hooked(t, options, count, () => 'body')
  for (const [cache, first] of [['MISS', 1], ['HIT', 5], ['HIT', 9]] as const) {
    const seen = await request('/')
    t.equal(seen.cache, cache)
    t.same(['before', 'after', 'child', 'late'].map((place) => Number(seen.headers.get(`x-${place}`))), [first, first + 1, first + 2, first + 3])
  }
})

const wrappers: Record<string, (body: string) => unknown> = {
  'a stream': (body) => Readable.from([body]),
  'a web stream': (body) => new Blob([body]).stream(),
  'a Response': (body) => new Response(body, { headers: { 'content-type': 'text/css' } })
}

for (const [kind, wrap] of Object.entries(wrappers)) {
  test(`what an onSend hook makes ${kind} of is sent whole on a MISS and on a HIT`, async (t, options) => {
    const app = Fastify()
    await app.register(apiCache, options)
    app.get('/', { config, onSend: async (_request, _reply, payload) => wrap(payload as string) }, async () => 'body')
    const { request } = await listening(t, app)
    for (const cache of ['MISS', 'HIT', 'HIT']) {
      const answered = await request('/')
      await app.apiCache.settled()
      t.equal(answered.cache, cache)
      t.equal(answered.status, 200)
      t.equal(answered.text, 'body')
    }
  })
}

test('an onSend hook that fails fails the request and stores nothing', async (t, options) => {
  let broken = true
  const fail = (app: FastifyInstance, place: string) => app.addHook('onSend', async (_request, _reply, payload) => {
    if (broken && place === 'child') {
      broken = false
      throw new Error('broken')
    }
    return payload
  })
  const { request } = await hooked(t, options, fail, () => 'body')
  t.equal((await request('/')).status, 500)
  t.match(await request('/'), { cache: 'MISS', status: 200 })
  t.match(await request('/'), { cache: 'HIT', status: 200 })
})
