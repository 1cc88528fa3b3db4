import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify'
import Fastify from 'fastify'
import type { Test } from 'tap'
import type { ApiCacheOptions } from '../../index.js'
import { asking, ask, cached, type Answered } from '../http/ask.js'
import { eachTier } from '../support/each-store.js'

const test = eachTier()
const config = { cache: { namespace: 'n', expire: 60, clientExpire: '1h', scope: 'shared' } } as const
const OWNER = { 'x-key': 'owner' }

const handlers: Record<string, RouteHandlerMethod> = {
  'an object': async () => ({ secret: 'top' }),
  'a string': async () => 'secret: top',
  'a string with a content type': async (_request, reply) => reply.type('application/json').send('{"secret":"top"}'),
  'a string with a serializer of its own': async (_request, reply) =>
    reply.type('text/x-own').serializer((payload: unknown) => `own ${String(payload)}`).send('secret: top'),
  'an object with a serializer of its own': async (_request, reply) =>
    reply.serializer((payload: unknown) => `own ${JSON.stringify(payload)}`).send({ secret: 'top' }),
  'a Buffer': async () => Buffer.from('secret: top'),
  'a Response': async () => new Response('secret: top')
}

/** The ways in which applications tell a client that it failed. */
const errorHandlers: Record<string, (app: FastifyInstance) => void> = {
  'the default error handler': () => {},
  'an error handler that returns an object': (app) => app.setErrorHandler(async (error: FastifyError, _request, reply) => {
    reply.code(error.statusCode ?? 500)
    return { error: error.message }
  }),
  'an error handler that sends a typed string': (app) => app.setErrorHandler((error: FastifyError, _request, reply) => {
    reply.code(error.statusCode ?? 500).type('application/problem+json').send(JSON.stringify({ title: error.message }))
  }),
  'an error handler that answers 200': (app) => app.setErrorHandler(async (error: FastifyError, _request, reply) => {
    reply.code(200).header('cache-control', 'no-store')
    return { degraded: error.message }
  })
}

/** Lets in whoever has the key, as late as a hook can; the error's own response passes. */
async function refuse (request: FastifyRequest, _reply: FastifyReply, payload: unknown): Promise<unknown> {
  if (request.headers['x-key'] === 'owner' || request.headers['x-refused'] === 'yes') return payload
  request.headers['x-refused'] = 'yes'
  throw Object.assign(new Error('forbidden'), { statusCode: 403 })
}

/** What says nothing of the answer: the plugin's own fields and what differs from one response to the next. */
function comparable ({ status, text, headers }: Answered): unknown {
  const { date, connection, 'keep-alive': _, 'x-api-cache': __, 'cache-status': ___, ...rest } = headers
  return { status, text, headers: rest }
}

for (const [kind, handler] of Object.entries(handlers)) {
  for (const [how, handleErrors] of Object.entries(errorHandlers)) {
    test(`if an onSend hook refuses ${kind}, the response is ${how}'s, as without the plugin`, async (t, options) => {
      const declare = (app: FastifyInstance): void => {
        handleErrors(app)
        app.addHook('onSend', refuse)
        app.get('/', { config }, handler)
      }
      const twin = Fastify()
      t.teardown(() => twin.close())
      declare(twin)
      const expected = comparable(await ask(`${await twin.listen({ host: '127.0.0.1', port: 0 })}/`))

      const { ask: send } = await asking(t, declare, options)
      const miss = await send('/')
      t.same(comparable(miss), expected, 'on a MISS')
      t.equal(cached(miss.headers), 'MISS')
      const whole = await send('/', OWNER)
      t.match(whole.text, /secret.*top/)
      t.equal(cached((await send('/', OWNER)).headers), 'HIT')
      const hit = await send('/')
      // The handler did not run, so no serializer of its own is there for the error.
      if (!kind.includes('serializer')) t.same(comparable(hit), expected, 'on a HIT')
      t.notMatch(hit.text, 'secret')
      t.not(cached(hit.headers), 'HIT', 'an error is no HIT')
      for (const name of ['etag', 'age', 'cache-status']) t.notMatch(hit.headers[name], /hit|"/, name)
      t.equal((await send('/', OWNER)).text, whole.text, 'the entry is what it was')
    })
  }
}

test('an onSend hook that changes the status to an error removes the freshness', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', async (request, reply, payload) => {
      if (request.headers['x-key'] === 'owner') return payload
      reply.code(410)
      return 'gone'
    })
    app.get('/', { config }, async () => 'secret')
  }, options)
  await ask('/', OWNER)
  for (const state of ['on a HIT', 'on a HIT again']) {
    const { status, text, headers } = await ask('/')
    t.match({ status, text }, { status: 410, text: 'gone' }, state)
    for (const name of ['etag', 'cache-control', 'age']) t.notOk(headers[name], `${name} ${state}`)
  }
})

test('a Cache-Control of the handler is kept on an error, as without the plugin', async (t: Test, options: ApiCacheOptions) => {
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', refuse)
    app.get('/', { config }, async (_request, reply) => reply.header('cache-control', 'max-age=7').send('secret'))
  }, options)
  t.equal((await ask('/')).headers['cache-control'], 'max-age=7')
  await ask('/', OWNER)
  t.equal((await ask('/')).headers['cache-control'], 'max-age=7')
})
