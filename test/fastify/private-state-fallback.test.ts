import type { FastifyInstance, FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify'
import t, { type Test } from 'tap'
import apiCache from '../../index.js'
import { ask, cached, type Answered } from '../http/ask.js'
import { anotherFastify } from '../support/another-fastify.js'

const HEADERS = 'fastify.reply.headers'
const SERIALIZER = 'fastify.reply.serializer'
const CONTEXT = 'fastify.context'

const config = { cache: { namespace: 'n', expire: 60, scope: 'shared' } } as const

/** Each case runs in this one process, so that the plugin meets Fastify's own symbols, too, before and between. */
const cases: Record<string, readonly string[]> = {
  'a first copy of Fastify': [],
  'a second copy of Fastify in the process': [],
  "a Fastify that keeps a reply's headers elsewhere": [HEADERS],
  "a Fastify that keeps a reply's serializer elsewhere": [SERIALIZER],
  "a Fastify that keeps a route's hooks elsewhere": [CONTEXT],
  'a Fastify that keeps all of it elsewhere': [HEADERS, SERIALIZER, CONTEXT],
  'a third copy of Fastify in the process': []
}

const own = (payload: unknown): string => `own ${typeof payload === 'string' ? payload : JSON.stringify(payload)}`

interface Kind {
  readonly handler: RouteHandlerMethod
  /** Typed text is not stored by a Fastify whose serializers cannot be seen. */
  readonly isTypedText?: boolean
  readonly hasSerializer?: boolean
}

const kinds: Record<string, Kind> = {
  'an object': { handler: async (_request, reply) => { reply.header('x-own', 'set'); return { secret: 'top' } } },
  'a string': { handler: async () => 'secret' },
  'a string with a content type': {
    handler: async (_request, reply) => reply.type('application/json').send('{"secret":"top"}'), isTypedText: true
  },
  'a string with a serializer of its own': {
    handler: async (_request, reply) => reply.type('text/x-own').serializer(own).send('secret'), isTypedText: true, hasSerializer: true
  },
  'an object with a serializer of its own': {
    handler: async (_request, reply) => reply.serializer(own).send({ secret: 'top' }), hasSerializer: true
  },
  'a Buffer': { handler: async () => Buffer.from('secret bytes') }
}

/** What hooks do to the response: nothing, write to the very bytes, or make another body. */
const hooks: Record<string, (payload: unknown, reply: FastifyReply) => unknown> = {
  'without an onSend hook': (payload) => payload,
  'with an onSend hook that writes to what it is given': (payload, reply) => {
    reply.header('x-hook', 'seen')
    if (!Buffer.isBuffer(payload)) return `${String(payload)} and more`
    payload[0]! += 1
    return payload
  }
}

/** Lets in whoever has the key, as late as a hook can; the error's own response passes. */
async function refuse (request: FastifyRequest, _reply: FastifyReply, payload: unknown): Promise<unknown> {
  if (request.headers['x-key'] === 'owner' || request.headers['x-refused'] === 'yes') return payload
  request.headers['x-refused'] = 'yes'
  throw Object.assign(new Error('forbidden'), { statusCode: 403 })
}

/** What says nothing of the answer: the plugin's own fields and what differs from one response to the next. */
function comparable ({ status, text, headers }: Answered): unknown {
  const { date, connection, 'keep-alive': _, 'x-api-cache': __, 'cache-status': ___, age, etag, 'cache-control': ____, ...rest } = headers
  return { status, text, headers: rest }
}

async function listening (t: Test, renamed: readonly string[], withPlugin: boolean, declare: (app: FastifyInstance) => void) {
  const app = anotherFastify(renamed)() as FastifyInstance
  t.teardown(() => app.close())
  if (withPlugin) await app.register(apiCache, { store: 'memory' })
  declare(app)
  const origin = await app.listen({ host: '127.0.0.1', port: 0 })
  return async (headers?: Record<string, string>) => {
    const answered = await ask(`${origin}/`, headers)
    if (withPlugin) await app.apiCache.settled()
    return answered
  }
}

for (const [which, renamed] of Object.entries(cases)) {
  for (const [kind, { handler, isTypedText, hasSerializer }] of Object.entries(kinds)) {
    const isStored = !(isTypedText && renamed.includes(SERIALIZER))

    for (const [how, change] of Object.entries(hooks)) {
      t.test(`${which} answers ${kind} ${how} as without the plugin, on a MISS and on each HIT`, async (t) => {
        const declare = (app: FastifyInstance): void => {
          if (how !== 'without an onSend hook') app.addHook('onSend', async (_request, reply, payload) => change(payload, reply))
          app.get('/', { config }, handler)
        }
        const expected = comparable(await (await listening(t, renamed, false, declare))())
        const ask = await listening(t, renamed, true, declare)
        for (const state of ['MISS', 'HIT', 'HIT']) {
          const answered = await ask()
          t.equal(cached(answered.headers), isStored ? state : 'MISS')
          t.same(comparable(answered), expected, `on a ${state}`)
        }
      })
    }

    t.test(`${which} answers ${kind} that an onSend hook refuses as without the plugin`, async (t) => {
      const declare = (app: FastifyInstance): void => {
        app.addHook('onSend', refuse)
        app.get('/', { config }, handler)
      }
      const expected = comparable(await (await listening(t, renamed, false, declare))())
      const ask = await listening(t, renamed, true, declare)
      const miss = await ask()
      // A serializer that cannot be seen is not there for the error either.
      if (hasSerializer && renamed.includes(SERIALIZER)) t.match(miss, { status: 403, text: /forbidden/ })
      else t.same(comparable(miss), expected, 'on a MISS')
      t.match((await ask({ 'x-key': 'owner' })).text, 'secret')
      t.equal(cached((await ask({ 'x-key': 'owner' })).headers), isStored ? 'HIT' : 'MISS')
      const hit = await ask()
      // The handler did not run, so no serializer of its own is there for the error.
      if (hasSerializer) t.match(hit, { status: 403, text: /forbidden/ })
      else t.same(comparable(hit), expected, 'on a HIT')
      t.notMatch(hit.text, 'secret')
      t.equal(cached(hit.headers), 'MISS', 'an error is no HIT')
    })
  }
}
