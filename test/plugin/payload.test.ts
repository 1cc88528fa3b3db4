import { Readable } from 'node:stream'
import compress from '@fastify/compress'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import t from 'tap'
import apiCache, { type Invalidation } from '../../index.js'
import { eachStore } from '../support/each-store.js'
import { complaints, loggingTo, type LogLine } from '../support/log.js'
import { listening, serving } from '../support/serving.js'
import { errorHandlers, whole, writing, type Handler, type Send } from './writing.js'

const test = eachStore()

/** What a handler may send, made anew for each response. */
const payloads: Record<string, () => unknown> = {
  'an object': () => ({ id: 7 }),
  'a list': () => [1, 2],
  'a string': () => 'text',
  'an empty string': () => '',
  'a Buffer': () => Buffer.from('bytes'),
  'a Uint8Array': () => new Uint8Array([1, 2, 3]),
  'a stream': () => Readable.from(['a', 'b']),
  'a web stream': () => new Blob(['a', 'b']).stream(),
  'a Response': () => new Response('done', { status: 202, headers: { 'x-own': 'own' } }),
  'a number': () => 7,
  null: () => null
}

const ways: Record<string, Send> = {
  'returns it': async (_request, _reply, payload) => payload,
  'returns it at once': (_request, _reply, payload) => payload,
  'sends it': (_request, reply, payload) => { reply.send(payload) },
  'sends it in a callback': (_request, reply, payload) => { setImmediate(() => { reply.send(payload) }) },
  'sends it and returns the reply': async (_request, reply, payload) => reply.code(201).header('x-own', 'own').send(payload),
  'takes send off the reply': (_request, reply, payload) => {
    const send = reply.send.bind(reply)
    setImmediate(() => { send(payload) })
  },
  'puts a send of its own there': (_request, reply, payload) => {
    const { send } = reply
    reply.send = function (this: FastifyReply, sent?: unknown) { return send.call(this, sent) }
    reply.send(payload)
  },
  'returns a thenable of its own': (_request, _reply, payload) => ({
    then (resolve: (value: unknown) => void) { setImmediate(() => { resolve(payload) }) }
  })
}

for (const [what, make] of Object.entries(payloads)) {
  for (const [how, send] of Object.entries(ways)) {
    t.test(`a handler that ${how}: the function gets ${what}, and the response is the same as without the plugin`, async (t) => {
      let made: unknown
      const handler: Handler = (request, reply) => {
        made = make()
        return send(request, reply, made)
      }
      const [without, with_] = [await writing(t, false, handler), await writing(t, true, handler)]
      const expected = whole(await without.post())
      t.same(whole(await with_.post()), expected)
      t.not(with_.told.length, 0)
      for (const payload of with_.told) t.equal(payload, made)
      t.same(with_.logged(), without.logged())
    })
  }

  t.test(`hooks that change ${what} do not change what the function gets`, async (t) => {
    let made: unknown
    const change = (app: FastifyInstance): void => {
      app.addHook('preSerialization', async (_request, _reply, payload) => ({ changed: payload }))
      app.addHook('onSend', async () => 'changed')
    }
    const { post, told } = await writing(t, true, async () => {
      made = make()
      return made
    }, change)
    t.equal((await post()).text, 'changed')
    t.equal(told[0], made)
  })
}

for (const order of ['before', 'after']) {
  for (const [what, make] of Object.entries({ 'a text': () => 'x'.repeat(5_000), 'an object': () => ({ text: 'x'.repeat(5_000) }), 'a Buffer': () => Buffer.alloc(5_000, 'x') })) {
    test(`with @fastify/compress ${order} the plugin ${what} says what to invalidate, not its compressed bytes`, async (t, options) => {
      const app = Fastify()
      if (order === 'before') await app.register(compress, { threshold: 0 })
      await app.register(apiCache, options)
      if (order === 'after') await app.register(compress, { threshold: 0 })
      const { request } = await listening(t, app, () => {
        for (const name of ['x', 'other']) app.get(`/${name}`, { config: { cache: { namespace: `${name}-cache`, expire: 60 } } }, async () => name)
        const invalidate: Invalidation = (_request, payload) => {
          const text = typeof payload === 'object' && !Buffer.isBuffer(payload) ? (payload as { text: string }).text : String(payload)
          return `${text.slice(0, 1)}-cache`
        }
        app.post('/', { config: { cache: { invalidate } } }, async (_request, reply) => reply.type(what === 'an object' ? 'application/json' : 'text/plain').send(make()))
      })
      for (const name of ['x', 'other']) await request(`/${name}`)
      await app.apiCache.settled()
      const { status, headers } = await request('/', { method: 'POST', headers: { 'accept-encoding': 'gzip' } })
      t.same([status, headers.get('content-encoding')], [200, 'gzip'])
      t.equal((await request('/other')).cache, 'HIT')
      t.equal((await request('/x')).cache, 'MISS')
    })
  }
}

class Refused extends Error { readonly statusCode = 409 }

const object = { thrown: 'object' }
/** Handlers that fail. */
const failing: Record<string, Send> = {
  'throws an error': () => { throw new Refused('no') },
  'throws an error later': async () => { throw new Refused('no') },
  'sends an error': (_request, reply) => { reply.send(new Refused('no')) },
  'returns an error': async () => new Refused('no'),
  'throws an object': () => { throw object },
  'throws an object later': async () => { throw object },
  'throws a string later': async () => { throw String('no') },
  'throws nothing later': async () => { throw undefined }, // eslint-disable-line no-throw-literal
  'puts a send of its own there and throws': (_request, reply) => {
    const { send } = reply
    reply.send = function (this: FastifyReply, sent?: unknown) { return send.call(this, sent) }
    throw new Refused('no')
  }
}
for (const [how, send] of Object.entries(failing)) {
  for (const [whose, { prepare, succeeds }] of Object.entries(errorHandlers)) {
    t.test(`a handler that ${how} is answered by ${whose} error handler as without the plugin`, async (t) => {
      const handler: Handler = (request, reply) => send(request, reply, undefined)
      const [with_, without] = [await writing(t, true, handler, prepare), await writing(t, false, handler, prepare)]
      t.same(whole(await with_.post()), whole(await without.post()))
      t.same(with_.logged(), without.logged())
      t.same(with_.told, succeeds ? [{ id: 'error' }] : [])
    })
  }
}

const readers: Record<string, Invalidation> = {
  'declares it': (_request, payload) => (payload as { name: string }).name,
  'has a default for it': (_request, payload: unknown = { name: 'none' }) => (payload as { name: string }).name,
  'takes it from the rest': (...all) => (all[1] as { name: string }).name,
  'takes it from arguments': function () { return (arguments[1] as { name: string }).name }
}
for (const [how, invalidate] of Object.entries(readers)) {
  test(`a function that ${how} gets the payload`, async (t, options) => {
    const { request } = await serving(t, options, (app) => {
      app.get('/', { config: { cache: { namespace: 'things', expire: 60 } } }, async () => 'thing')
      app.post('/', { config: { cache: { invalidate } } }, async () => ({ name: 'things' }))
    })
    await request('/')
    t.equal((await request('/')).cache, 'HIT')
    t.equal((await request('/', { method: 'POST' })).status, 200)
    t.equal((await request('/')).cache, 'MISS')
  })
}

test('a hook that answers before the handler has no payload, and a function that fails then invalidates nothing', async (t, options) => {
  const lines: LogLine[] = []
  const { request } = await serving(t, options, (app) => {
    const cached = (namespace: string): object => ({ config: { cache: { namespace, expire: 60 } } })
    app.get('/things', cached('things'), async () => 'things')
    app.get('/others', cached('others'), async () => 'others')
    const toLogin = async (_request: FastifyRequest, reply: FastifyReply): Promise<unknown> => reply.redirect('/login')
    const config = { cache: { invalidate: () => 'things', invalidateTags: (_request: FastifyRequest, payload: unknown) => (payload as { tag: string }).tag } }
    app.post('/', { config, preHandler: toLogin }, async () => ({ tag: 'a' }))
  }, loggingTo(lines))
  for (const path of ['/things', '/others']) await request(path)
  t.equal((await request('/', { method: 'POST' })).status, 302)
  t.same([(await request('/things')).cache, (await request('/others')).cache], ['MISS', 'HIT'])
  t.match(complaints(lines).find(({ route }) => route === 'POST /'), { level: 40, msg: /nothing is invalidated/ })
})
