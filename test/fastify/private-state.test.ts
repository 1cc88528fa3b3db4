import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import t from 'tap'
import {
  onSendHooks, ownHeaders, ownSerializer, preSerializationHooks, wrapPreSerialization
} from '../../lib/fastify/private-state.js'
import { replyToNobody, withoutClient } from '../../lib/fastify/without-client.js'

/*
 * What the plugin relies on although Fastify does not promise it. The plugin works without each of these (see
 * private-state-fallback.test.ts), but slower, or it stores less.
 */

/** What to do when a test fails with a new Fastify. */
const advice = (file: string, what: string): string =>
  `Fastify no longer ${what}. The plugin still works, by its fallback: look up in Fastify's lib/ how it does this now, and change lib/fastify/${file}`

/** Runs `look` in a handler of a plain Fastify, between what a preHandler hook does and the rest. */
async function inHandler<T> (prepare: (reply: FastifyReply) => unknown, look: (request: FastifyRequest, reply: FastifyReply) => T): Promise<T> {
  const app = Fastify()
  let seen: T
  app.addHook('onSend', async () => {})
  app.get('/', {
    onSend: async () => {},
    preHandler: async (_request, reply) => { prepare(reply) }
  }, async (request, reply) => {
    seen = look(request, reply)
    return 'done'
  })
  const { statusCode, body } = await app.inject('/')
  t.equal(statusCode, 200, body)
  await app.close()
  return seen!
}

t.test("Fastify keeps a reply's headers behind the symbol that putHeaders looks for", async (t) => {
  const own = await inHandler((reply) => reply.header('X-One', 'a'), (_request, reply) => ({ ...ownHeaders(reply) }))
  t.same(own, { 'x-one': 'a' }, advice('private-state.ts', "keeps a reply's headers in an object behind Symbol(fastify.reply.headers)"))
})

t.test("Fastify sends an object that replaces a reply's headers", async (t) => {
  const app = Fastify()
  app.get('/', async (_request, reply) => {
    const symbol = Object.getOwnPropertySymbols(reply).find(({ description }) => description === 'fastify.reply.headers')!
    Object.assign(reply, { [symbol]: { 'x-replaced': 'yes' } })
    return 'done'
  })
  const { headers } = await app.inject('/')
  t.equal(headers['x-replaced'], 'yes', advice('private-state.ts', 'sends the object that replaceOwnHeaders puts on a reply'))
  await app.close()
})

t.test("Fastify keeps a reply's serializer behind the symbol that serializerOf looks for", async (t) => {
  const mine = (payload: unknown): string => String(payload)
  const what = 'keeps what reply.serializer(…) sets behind Symbol(fastify.reply.serializer), and null before'
  t.equal(await inHandler(() => {}, (_request, reply) => ownSerializer(reply)), null, advice('private-state.ts', what))
  t.equal(await inHandler((reply) => { reply.serializer(mine) }, (_request, reply) => ownSerializer(reply)), mine,
    advice('private-state.ts', what))
})

t.test('A reply whose serializer is set to null is serialized as one that never had one', async (t) => {
  const app = Fastify()
  app.get('/', async (_request, reply) => {
    reply.serializer(() => 'mine').serializer(null as unknown as () => string)
    return { a: 1 }
  })
  t.equal((await app.inject('/')).body, '{"a":1}',
    advice('serializer.ts', 'takes null for no serializer: serializeOnce has to give the reply back otherwise'))
  await app.close()
})

t.test("Fastify keeps a route's onSend hooks behind the symbol that hasOtherOnSendHooks looks for", async (t) => {
  t.equal(await inHandler(() => {}, (request) => onSendHooks(request)), 2,
    advice('private-state.ts', "keeps all of a route's onSend hooks in a list behind Symbol(fastify.context)"))
})

t.test("Fastify runs a route's preSerialization hooks from the list that wrapPreSerialization replaces", async (t) => {
  const app = Fastify()
  const ran: unknown[] = []
  app.get('/', {
    preSerialization: async function (_request, _reply, payload) { ran.push(this === app, payload) }
  }, async (request) => {
    wrapPreSerialization(request, (hook) => function (...given) {
      ran.push('wrapped')
      return hook.apply(this, given)
    })
    return { a: 1 }
  })
  app.addHook('preSerialization', async function () { ran.push('of the instance') })
  const once = ['wrapped', 'of the instance', 'wrapped', true, { a: 1 }]
  const what = "runs all of a route's preSerialization hooks from a list behind Symbol(fastify.context), read when the handler has sent"
  await app.inject('/')
  t.same(ran, once, advice('private-state.ts', what))
  await app.inject('/')
  t.same(ran, [...once, ...once], advice('private-state.ts', `keeps one such list for each route: ${what}`))
  await app.close()
})

t.test("Fastify keeps an instance's preSerialization hooks behind the symbol that preSerializationHooks looks for", async (t) => {
  const app = Fastify()
  const hook = async (): Promise<void> => {}
  let child: FastifyInstance
  await app.register(async (instance) => {
    child = instance
    instance.addHook('preSerialization', hook)
  })
  const what = "keeps an instance's hooks, with those of its parents, in lists by name behind Symbol(fastify.hooks)"
  t.same([preSerializationHooks(app), preSerializationHooks(child!)], [0, 1], advice('private-state.ts', what))
  app.addHook('preSerialization', hook)
  await app.ready()
  t.same([preSerializationHooks(app), preSerializationHooks(child!)], [1, 2], advice('private-state.ts', what))
  await app.close()
})

t.test("Fastify sends a handler's return value with the send that the reply has then", async (t) => {
  for (const payload of [{ a: 1 }, 'text', Buffer.from('bytes')]) {
    const sent: unknown[] = []
    const app = Fastify()
    app.get('/', async (_request, reply) => {
      const { send } = reply
      reply.send = function (payload) {
        sent.push(payload)
        return send.call(this, payload)
      }
      return payload
    })
    await app.inject('/')
    t.equal(sent[0], payload, advice('intercept-send.ts', 'calls reply.send with what a handler returns'))
    await app.close()
  }
})

t.test("A reply's trailer can be replaced, and the former one called on the reply", async (t) => {
  const names: string[] = []
  const app = Fastify()
  app.get('/', async (_request, reply) => {
    const { trailer } = reply
    reply.trailer = function (...given) {
      names.push(given[0])
      return trailer.apply(this, given)
    }
    reply.trailer('x-sum', async () => '1')
    return 'done'
  })
  const { trailers } = await app.inject('/')
  t.same([names, trailers], [['x-sum'], { 'x-sum': '1' }], advice('intercept-send.ts', 'lets a reply have a trailer() of its own'))
  await app.close()
})

t.test("Fastify reads a route's hooks after the turn in which the route was declared", async (t) => {
  for (const name of ['onRequest', 'preSerialization', 'onSend', 'onError', 'onResponse'] as const) {
    const app = Fastify()
    const ran: string[] = []
    const hook = (place: string) => async () => { ran.push(place) }
    app.addHook('onRoute', (route) => {
      queueMicrotask(() => { Object.assign(route, { [name]: [hook('later'), hook('last')] }) })
    })
    app.get('/', { [name]: hook('own') }, async () => {
      if (name === 'onError') throw new Error('expected')
      return {}
    })
    await app.ready()
    await app.inject('/')
    t.same(ran, ['later', 'last'], advice('last-hook.ts', `reads a route's ${name} hooks after all onRoute hooks and the microtasks they queue`))
    await app.close()
  }
})

t.test("A reply's class makes a reply of a response, a request and a log, as a refresh without a client needs it", async (t) => {
  const [made, detached] = await inHandler(() => {}, (request, reply) => {
    const detached = withoutClient(request, new AbortController().signal)
    return [replyToNobody(detached, reply), detached]
  })
  t.equal(made?.request, detached, advice('without-client.ts', 'makes a reply of a response, a request and a log'))
  t.type(made?.send, 'function')
})

t.test("Fastify's list of routes begins with '(empty' while there are none", async (t) => {
  const app = Fastify()
  const what = 'prints the list of no routes as (empty tree)'
  t.match(app.printRoutes(), /^\(empty/, advice('early-routes.ts', what))
  app.get('/', async () => 'done')
  t.notMatch(app.printRoutes(), /^\(empty/, advice('early-routes.ts', what))
  await app.close()
})
