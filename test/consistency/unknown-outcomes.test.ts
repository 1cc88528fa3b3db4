import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { mock } from 'node:test'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import apiCache, { type ApiCacheOptions, type WritePolicy } from '../../index.js'
import { eachTier } from '../support/each-store.js'
import { gate, type Gate } from '../support/gate.js'
import { complaints, loggingTo, type LogLine } from '../support/log.js'
import { listening, type Serving } from '../support/serving.js'

const each = eachTier()

type Handler = (this: unknown, request: FastifyRequest, reply: FastifyReply) => unknown

/** A database with one value, and what a test decides about the write under way. */
interface Database {
  value: number
  /** Opened when the write's handler has begun. */
  readonly begun: Gate
  /** Awaited by handlers that are to take their time. */
  readonly goOn: Gate
  /** Opened by handlers when they have committed. */
  readonly committed: Gate
}

interface Written extends Serving {
  readonly database: Database
  readonly lines: LogLine[]
}

async function application (
  t: Test, options: ApiCacheOptions, policy: Partial<WritePolicy>, handler: (database: Database) => Handler,
  prepare: (app: FastifyInstance) => unknown = () => {}
): Promise<Written> {
  const database: Database = { value: 1, begun: gate(), goOn: gate(), committed: gate() }
  const lines: LogLine[] = []
  const app = Fastify(loggingTo(lines))
  await app.register(apiCache, options)
  const served = await listening(t, app, () => {
    prepare(app)
    app.get('/value', { config: { cache: { namespace: 'value', expire: '1 hour', tags: ['value'] } } }, async () => `value ${database.value}`)
    const cache = { invalidate: 'value', ...policy } as WritePolicy
    app.post('/value', { config: { cache }, handlerTimeout: 5_000 }, handler(database) as never)
    app.post('/timed', { config: { cache }, handlerTimeout: 50 }, handler(database) as never)
  })
  await served.request('/value')
  await app.apiCache.settled()
  t.match(await served.request('/value'), { cache: 'HIT', text: 'value 1' })
  return { ...served, database, lines }
}

/** Reads until the cache answers with this text, and checks that it never answers with another. */
async function answersAgain (t: Test, { app, request }: Serving, text: string): Promise<void> {
  for (;;) {
    const seen = await request('/value')
    t.equal(seen.text, text)
    if (seen.cache === 'HIT') return
    await app.apiCache.settled()
  }
}

const refused = (statusCode: number): Error => Object.assign(new Error('no'), { statusCode })

/** Outcomes that do not tell what was written. */
const unknown: Record<string, (database: Database) => Handler> = {
  'commits and throws': (database) => async () => {
    database.value = 2
    throw new Error('after the commit')
  },
  'throws at once': (database) => () => {
    database.value = 2
    throw new Error('after the commit')
  },
  'throws an error with status 502': (database) => async () => {
    database.value = 2
    throw refused(502)
  },
  'answers 500': (database) => async (_request, reply) => {
    database.value = 2
    return reply.code(500).send('no')
  },
  'sends an error in a callback': (database) => (_request, reply) => {
    setImmediate(() => {
      database.value = 2
      reply.send(new Error('no'))
    })
  },
  'answers a Response of 503': (database) => async () => {
    database.value = 2
    return new Response('no', { status: 503 })
  }
}

/** What the application itself refuses. */
const refusals: Record<string, Handler> = {
  'answers 409': async (_request, reply) => reply.code(409).send('no'),
  'answers 404 at once': (_request, reply) => reply.code(404).send('no'),
  'sets 422 and returns': async (_request, reply) => { reply.code(422); return 'no' },
  'throws an error with status 409': async () => { throw refused(409) },
  'throws one at once': () => { throw refused(400) },
  'sends one in a callback': (_request, reply) => { setImmediate(() => { reply.send(refused(404)) }) },
  'answers a Response of 403': async () => new Response('no', { status: 403 }),
  'calls callNotFound': (_request, reply) => { reply.callNotFound() },
  'throws an error that the error handler answers with 418': async () => { throw new Error('teapot') }
}

const policies: Record<string, Partial<WritePolicy>> = {
  "with invalidateOn: 'settled'": { invalidateOn: 'settled' },
  'with strict: true': { strict: true },
  "with functions and invalidateOn: 'settled'": { invalidate: () => 'other', invalidateTags: (_request: FastifyRequest, _payload: unknown) => 'value', invalidateOn: 'settled' }
}

const teapots = (app: FastifyInstance): unknown => app.setErrorHandler((error: Error, _request, reply) => {
  if (error.message === 'teapot') reply.code(418)
  reply.send(error)
})

/** A status that says the client is to blame, which a timeout of the handler does not. */
const timeouts = (app: FastifyInstance): unknown => app.setErrorHandler((error: Error & { code?: string }, _request, reply) => {
  if (error.code === 'FST_ERR_HANDLER_TIMEOUT') reply.code(408).send('too late')
  else reply.send(error)
})

for (const [kind, policy] of Object.entries(policies)) {
  for (const [how, handler] of Object.entries(unknown)) {
    each(`a write ${kind} that ${how} has written`, async (t, options) => {
      const served = await application(t, options, policy, handler)
      t.ok((await served.request('/value', { method: 'POST' })).status >= 500)
      t.match(await served.request('/value'), { cache: 'MISS', text: 'value 2' })
      await answersAgain(t, served, 'value 2')
    })
  }

  each(`a write ${kind} invalidates nothing if the application refuses it`, async (t, options) => {
    for (const [how, handler] of Object.entries(refusals)) {
      const served = await application(t, options, policy, () => handler, teapots)
      const { status } = await served.request('/value', { method: 'POST' })
      t.ok(status >= 400 && status < 500, `${how}: ${status}`)
      await served.app.apiCache.settled()
      t.equal((await served.request('/value')).cache, 'HIT', how)
      await (await served.app.apiCache.invalidate('value')).swept
    }
  })

  each(`a write ${kind} that hijacks its reply has written`, async (t, options) => {
    for (const isAsync of [true, false]) {
      const served = await application(t, options, policy, (database) => {
        const hijacks: Handler = (_request, reply) => {
          reply.hijack()
          database.value = 2
          reply.raw.end('done')
        }
        return isAsync ? async (request, reply) => { hijacks(request, reply) } : hijacks
      })
      await served.request('/value', { method: 'POST' })
      await served.app.apiCache.settled()
      await answersAgain(t, served, 'value 2')
      await (await served.app.apiCache.invalidate('value')).swept
    }
  })

  each(`a write ${kind} whose client disconnects has written when its handler has settled`, async (t, options) => {
    const served = await application(t, options, policy, (database) => async (_request, reply) => {
      const closed = once(reply.raw, 'close')
      database.begun.open()
      await closed
      database.value = 2
      database.committed.open()
    })
    const { port } = served.app.server.address() as AddressInfo
    const socket = connect(port, '127.0.0.1')
    socket.write('POST /value HTTP/1.1\r\nhost: any\r\ncontent-length: 0\r\n\r\n')
    await served.database.begun.opened
    socket.destroy()
    await served.database.committed.opened
    await served.app.apiCache.settled()
    await answersAgain(t, served, 'value 2')
  })

  for (const [style, late] of Object.entries({
    'that returns a promise': (database: Database): Handler => async () => {
      await database.goOn.opened
      database.value = 2
      return 'done'
    },
    'that throws late': (database: Database): Handler => async () => {
      await database.goOn.opened
      database.value = 2
      throw new Error('late')
    },
    'that sends in a callback': (database: Database): Handler => (_request, reply) => {
      void database.goOn.opened.then(() => {
        database.value = 2
        reply.send('done')
      })
    }
  })) {
    for (const [whose, prepare, status] of [
      ["Fastify's own error", () => {}, 503], ['an error handler', teapots, 503], ['an error handler, with 408,', timeouts, 408]
    ] as const) {
      each(`a write ${kind} ${style}, commits after ${whose} has answered the timeout, and has written`, async (t, options) => {
        const served = await application(t, options, policy, late, prepare)
        t.equal((await served.request('/timed', { method: 'POST' })).status, status)
        // What is read meanwhile is old already.
        for (let round = 0; round < 3; round++) {
          const seen = await served.request('/value')
          t.equal(seen.text, 'value 1')
          if (policy.strict === true) t.equal(seen.cache, 'MISS', 'not served while the handler is at work')
          await served.app.apiCache.settled()
        }
        served.database.goOn.open()
        await new Promise(setImmediate)
        await served.app.apiCache.settled()
        await answersAgain(t, served, 'value 2')
      })
    }
  }

  each(`a write ${kind} that continues after its response invalidates again when it has settled`, async (t, options) => {
    const served = await application(t, options, policy, (database) => async (_request, reply) => {
      reply.send('soon')
      await database.goOn.opened
      database.value = 2
    })
    t.match(await served.request('/value', { method: 'POST' }), { status: 200, text: 'soon' })
    await served.request('/value')
    await served.app.apiCache.settled()
    t.equal((await served.request('/value')).cache, policy.strict === true ? 'MISS' : 'HIT')
    served.database.goOn.open()
    await new Promise(setImmediate)
    await served.app.apiCache.settled()
    await answersAgain(t, served, 'value 2')
  })

  t.test(`a write ${kind} whose handler never settles counts as done after ten minutes, and the log says so`, async (t) => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.teardown(() => { mock.timers.reset() })
    const served = await application(t, { store: 'memory' }, policy, (database) => async (_request, reply) => {
      reply.send('soon')
      await database.goOn.opened
    })
    await served.request('/value', { method: 'POST' })
    await served.request('/value')
    await served.app.apiCache.settled()
    served.database.value = 2
    mock.timers.tick(599_000)
    await served.app.apiCache.settled()
    t.match(await served.request('/value'), { text: policy.strict === true ? 'value 2' : 'value 1' })
    mock.timers.tick(1_000)
    await served.app.apiCache.settled()
    await answersAgain(t, served, 'value 2')
    t.match(complaints(served.lines), [{ route: 'POST /value', msg: /has not settled/ }])
  })
}

each('a write without invalidateOn or strict invalidates nothing when it throws, times out or responds with 500', async (t, options) => {
  for (const [how, handler] of Object.entries(unknown)) {
    const served = await application(t, options, {}, handler)
    t.ok((await served.request('/value', { method: 'POST' })).status >= 500)
    await served.app.apiCache.settled()
    t.equal((await served.request('/value')).cache, 'HIT', how)
    await (await served.app.apiCache.invalidate('value')).swept
  }
})

each('a hook that fails before the handler has written nothing', async (t, options) => {
  for (const policy of Object.values(policies)) {
    const served = await application(t, options, policy, () => async () => 'done', (app) => {
      app.addHook('preHandler', async ({ method }) => { if (method === 'POST') throw new Error('no') })
    })
    t.equal((await served.request('/value', { method: 'POST' })).status, 500)
    await served.app.apiCache.settled()
    t.equal((await served.request('/value')).cache, 'HIT')
  }
})

each('a function of a settled write gets what the handler sent, also after a timeout, and undefined if the handler threw', async (t, options) => {
  const told: unknown[] = []
  const policy: WritePolicy = {
    invalidate: (_request, payload) => {
      told.push(payload)
      return 'value'
    },
    invalidateOn: 'settled'
  }
  const served = await application(t, options, policy, (database) => async ({ url }) => {
    if (url === '/value') throw new Error('no')
    await database.goOn.opened
    return { id: 7 }
  })
  t.equal((await served.request('/value', { method: 'POST' })).status, 500)
  t.same(told.splice(0), [undefined])
  t.equal((await served.request('/timed', { method: 'POST' })).status, 503)
  t.same(told.splice(0), [undefined])
  served.database.goOn.open()
  await new Promise(setImmediate)
  t.same(told, [{ id: 7 }])
})

t.test("invalidateOn is checked, and 'success' is refused for a strict write", async (t) => {
  const app = Fastify()
  await app.register(apiCache, { store: 'memory' })
  const declare = (cache: unknown): unknown => app.post('/', { config: { cache: cache as WritePolicy } }, async () => 'done')
  t.throws(() => declare({ invalidate: 'a', strict: true, invalidateOn: 'success' }),
    { code: 'FST_API_CACHE_INVALID_FIELD', message: /'invalidateOn' must be left out or 'settled' with strict: true/ })
  t.throws(() => declare({ invalidate: 'a', invalidateOn: 'always' }),
    { code: 'FST_API_CACHE_INVALID_FIELD', message: /'invalidateOn' must be 'success' or 'settled'/ })
  await app.close()
})
