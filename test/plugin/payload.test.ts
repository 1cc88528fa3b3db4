import { Readable } from 'node:stream'
import compress from '@fastify/compress'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import apiCache, { type Invalidation } from '../../index.js'
import { eachStore } from '../support/each-store.js'
import { complaints, loggingTo, type LogLine } from '../support/log.js'
import { listening, serving, type Seen } from '../support/serving.js'

const test = eachStore()

type Send = (request: FastifyRequest, reply: FastifyReply, payload: unknown) => unknown

/** An application with one write, with the plugin or without it. */
interface Written {
  readonly post: () => Promise<Seen>
  /** What the policy's function was told. */
  readonly told: unknown[]
  /** The level and text of what Fastify logged as a warning or worse. */
  readonly logged: () => string[]
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => unknown

async function writing (t: Test, plugin: boolean, handler: Handler, prepare: (app: FastifyInstance) => unknown = () => {}): Promise<Written> {
  const [told, lines]: [unknown[], LogLine[]] = [[], []]
  const app = Fastify(loggingTo(lines))
  if (plugin) await app.register(apiCache, { store: 'memory' })
  await prepare(app)
  const invalidate: Invalidation = (_request, payload) => { told.push(payload); return [] }
  // Without the plugin there is no more than an onSend hook that comes later, as the plugin's does.
  const onSend = plugin ? [] : [async (_request: unknown, _reply: unknown, payload: unknown) => payload]
  const { request } = await listening(t, app, () => app.post('/', { config: { cache: { invalidate } }, onSend }, (request, reply) => handler(request, reply)))
  return {
    post: () => request('/', { method: 'POST' }),
    told,
    logged: () => lines.filter(({ level }) => level >= 40).map(({ level, msg }) => `${level} ${msg}`)
  }
}

/** Everything of a response that a client sees, but the time. */
const whole = ({ status, headers, text }: Seen): unknown => ({ status, text, headers: [...headers].filter(([name]) => name !== 'date') })

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
/** Handlers that do something wrong, and what of it is a payload that a function gets where an error handler answers with a success. */
const wrong: Record<string, { send: Send, sent?: unknown }> = {
  'throws an error': { send: () => { throw new Refused('no') } },
  'throws an error later': { send: async () => { throw new Refused('no') } },
  'sends an error': { send: (_request, reply) => { reply.send(new Refused('no')) } },
  'returns an error': { send: async () => new Refused('no') },
  'throws an object': { send: () => { throw object } },
  'throws an object later': { send: async () => { throw object } },
  'throws a string later': { send: async () => { throw String('no') } },
  'throws nothing later': { send: async () => { throw undefined } }, // eslint-disable-line no-throw-literal
  'sends twice': { send: (_request, reply) => { reply.send({ id: 1 }); reply.send({ id: 2 }) }, sent: { id: 1 } },
  'sends and returns something else': { send: async (_request, reply) => { reply.send({ id: 1 }); return { id: 2 } }, sent: { id: 1 } },
  'sends and throws': { send: async (_request, reply) => { reply.send({ id: 1 }); throw new Refused('late') }, sent: { id: 1 } },
  'puts a send of its own there and throws': {
    send: (_request, reply) => {
      const { send } = reply
      reply.send = function (this: FastifyReply, sent?: unknown) { return send.call(this, sent) }
      throw new Refused('no')
    }
  }
}
const errorHandlers: Record<string, { prepare: (app: FastifyInstance) => unknown, succeeds: boolean }> = {
  'Fastify\'s own': { prepare: () => {}, succeeds: false },
  'one that sends 200': { prepare: (app) => app.setErrorHandler((_error, _request, reply) => { reply.code(200).send({ id: 'error' }) }), succeeds: true },
  'one that returns for 200': { prepare: (app) => app.setErrorHandler(async (_error, _request, reply) => { reply.code(200); return { id: 'error' } }), succeeds: true },
  'one that throws': { prepare: (app) => app.setErrorHandler(async (error) => { throw error }), succeeds: false }
}
for (const [how, { send, sent }] of Object.entries(wrong)) {
  for (const [whose, { prepare, succeeds }] of Object.entries(errorHandlers)) {
    t.test(`a handler that ${how} is answered by ${whose} error handler as without the plugin`, async (t) => {
      const handler: Handler = (request, reply) => send(request, reply, undefined)
      const [with_, without] = [await writing(t, true, handler, prepare), await writing(t, false, handler, prepare)]
      t.same(whole(await with_.post()), whole(await without.post()))
      t.same(with_.logged(), without.logged())
      if (sent !== undefined) t.same(with_.told[0], sent)
      else t.same(with_.told, succeeds ? [{ id: 'error' }] : [])
    })
  }
}

for (const how of ['sends it', 'puts a send of its own there']) {
  t.test(`the function gets the first of two payloads if a handler ${how} twice`, async (t) => {
    const later = (app: FastifyInstance): unknown => app.addHook('onSend', async () => { await new Promise(setImmediate) })
    const { post, told } = await writing(t, true, (request, reply) => {
      for (const id of [1, 2]) ways[how]!(request, reply, { id })
    }, later)
    t.equal((await post()).text, '{"id":1}')
    t.same(told[0], { id: 1 })
  })
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
