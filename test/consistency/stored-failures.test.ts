import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import type { ApiCacheOptions, ReadPolicy } from '../../index.js'
import { eachStore } from '../support/each-store.js'
import { gate } from '../support/gate.js'
import { serving, type Seen, type Serving } from '../support/serving.js'

/*
 * What the application answers to a handler that fails is stored like what a handler sends, where the policy stores
 * that status; and nothing in it is only about the caller whose request failed.
 */

const each = eachStore()
const policy = { namespace: 'things', expire: { 200: '1h', 404: '30s' }, scope: 'shared' } as const

class NotFound extends Error {
  readonly statusCode = 404
  readonly code = 'NO_SUCH_THING'
}

const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => make(index))
const detailOf = ({ headers }: Seen): string | undefined => /detail=([\w-]+)/.exec(String(headers.get('cache-status')))?.[1]

interface Case {
  /** What the handler does. */
  fail (request: FastifyRequest, reply: FastifyReply): unknown
  declare? (app: FastifyInstance): unknown
  readonly schema?: object
  readonly body: RegExp
  readonly type?: string
}

const json = 'application/json; charset=utf-8'
const thrown = (): never => { throw new NotFound('nothing here') }

const cases: Record<string, Case> = {
  'an error is thrown that the default error handler answers': {
    fail: thrown, body: /^{"statusCode":404,"code":"NO_SUCH_THING","error":"Not Found","message":"nothing here"}$/, type: json
  },
  'an error with `status` is thrown': { fail: () => { throw Object.assign(new Error('none'), { status: 404 }) }, body: /"message":"none"/, type: json },
  'an error is thrown after a moment': { fail: async () => { await delay(1); thrown() }, body: /nothing here/, type: json },
  'an error is sent': { fail: (_request, reply) => reply.send(new NotFound('sent')), body: /"message":"sent"/, type: json },
  'an error is sent after a status': { fail: (_request, reply) => reply.code(404).send(new Error('sent')), body: /"message":"sent"/, type: json },
  'an error handler answers with an object': {
    fail: thrown,
    declare (app) { app.setErrorHandler((error, _request, reply) => reply.code(404).send({ title: (error as Error).message })) },
    body: /^{"title":"nothing here"}$/,
    type: json
  },
  'an async error handler returns an object of its own type': {
    fail: thrown,
    declare (app) {
      app.setErrorHandler(async (_error, _request, reply) => {
        await delay(1)
        reply.code(404).type('application/problem+json')
        return { title: 'gone' }
      })
    },
    body: /^{"title":"gone"}$/,
    type: 'application/problem+json; charset=utf-8'
  },
  'an error handler maps what has no status': {
    fail: () => { throw Object.assign(new Error('no row'), { code: 'P2025' }) },
    declare (app) { app.setErrorHandler((_error, _request, reply) => reply.code(404).send('no such row')) },
    body: /^no such row$/,
    type: 'text/plain; charset=utf-8'
  },
  'an error handler answers with bytes': {
    fail: thrown,
    declare (app) { app.setErrorHandler((_error, _request, reply) => reply.code(404).type('image/png').send(Buffer.from('pixels'))) },
    body: /^pixels$/,
    type: 'image/png'
  },
  'an error handler answers with nothing': {
    fail: thrown, declare (app) { app.setErrorHandler((_error, _request, reply) => reply.code(404).send()) }, body: /^$/
  },
  'an object is thrown that is no error': {
    fail: () => { throw { statusCode: 404, why: 'no error' } }, // eslint-disable-line no-throw-literal
    declare (app) { app.setErrorHandler((error, _request, reply) => reply.code(404).send({ why: (error as unknown as { why: string }).why })) },
    body: /^{"why":"no error"}$/,
    type: json
  },
  'the response has a schema': {
    fail: thrown,
    schema: { response: { 404: { type: 'object', properties: { message: { type: 'string' } } } } },
    body: /^{"message":"nothing here"}$/,
    type: json
  },
  'hooks change the response': {
    fail: thrown,
    declare (app) {
      app.setErrorHandler((_error, _request, reply) => reply.code(404).send({ title: 'gone' }))
      app.addHook('preSerialization', async (_request, _reply, payload) => ({ ...payload as object, serialized: true }))
      app.addHook('onSend', async (_request, _reply, payload) => `<${String(payload)}>`)
    },
    body: /^<{"title":"gone","serialized":true}>$/,
    type: json
  },
  'hooks change the default response': {
    fail: thrown,
    declare (app) { app.addHook('onSend', async (_request, _reply, payload) => `<${String(payload)}>`) },
    body: /^<{"statusCode":404,.*}>$/,
    type: json
  },
  'the default not-found handler is called': {
    fail: (_request, reply) => reply.callNotFound(), body: /"message":"Route GET:\/things not found"/, type: json
  },
  'a not-found handler is called that answers with an object': {
    fail: (_request, reply) => { reply.callNotFound() },
    declare (app) { app.setNotFoundHandler((_request, reply) => reply.code(404).send({ page: 'none' })) },
    body: /^{"page":"none"}$/,
    type: json
  },
  'a not-found handler is called that answers with a page': {
    fail: (_request, reply) => reply.callNotFound(),
    declare (app) { app.setNotFoundHandler(async (_request, reply) => { reply.code(404).type('text/html'); return '<p>none</p>' }) },
    body: /^<p>none<\/p>$/,
    type: 'text/html'
  },
  'a not-found handler is called that throws': {
    fail: (_request, reply) => reply.callNotFound(),
    declare (app) { app.setNotFoundHandler(thrown) },
    body: /"message":"nothing here"/,
    type: json
  }
}

/** A route that fails, and hooks that tell requests apart. */
async function failing (
  t: Test, options: ApiCacheOptions, { fail, declare, schema = {} }: Pick<Case, 'fail' | 'declare' | 'schema'>, cache: ReadPolicy = policy
): Promise<Serving & { runs: () => number }> {
  let runs = 0
  const served = await serving(t, options, (app) => {
    app.addHook('onSend', async (request, reply) => { reply.header('x-request', request.id) })
    declare?.(app)
    app.get('/things', { config: { cache }, schema }, async (request, reply) => {
      runs++
      return await fail(request, reply)
    })
  })
  return { ...served, runs: () => runs }
}

for (const [how, one] of Object.entries(cases)) {
  each(`a 404 is stored like one that is sent when ${how}`, async (t, options) => {
    const { app, request, runs } = await failing(t, options, one)
    const miss = await request('/things')
    t.match(miss, { status: 404, cache: 'MISS', text: one.body })
    await app.apiCache.settled()
    const hit = await request('/things')
    t.match(hit, { status: 404, cache: 'HIT', text: miss.text, type: miss.type })
    if (one.type !== undefined) t.equal(hit.type, one.type)
    t.not(hit.headers.get('x-request'), miss.headers.get('x-request'), 'hooks set their headers for each request')
    t.match(hit.headers.get('cache-status'), /;hit;ttl=(?:30|2\d)$/)
    t.equal(runs(), 1)
    await app.apiCache.invalidate('things')
    t.match(await request('/things'), { status: 404, cache: 'MISS' })
    t.equal(runs(), 2)
  })

  each(`it is not stored where the policy does not store that status, when ${how}`, async (t, options) => {
    const { app, request, runs } = await failing(t, options, one, { ...policy, expire: { 200: '1h', 410: '1h' } })
    for (const run of [1, 2]) {
      t.match(await request('/things'), { status: 404, cache: 'MISS', text: one.body })
      await app.apiCache.settled()
      t.equal(runs(), run)
    }
  })
}

each('of 50 requests one runs a handler whose error is stored, and all get the response', async (t, options) => {
  for (const [index, fail] of [thrown, (_: unknown, reply: FastifyReply) => reply.callNotFound()].entries()) {
    let arrived = 0
    const allArrived = gate()
    const { request, runs } = await failing(t, { ...options, prefix: `waiting${index}` }, {
      declare (app) { app.addHook('preHandler', async () => { if (++arrived === 50) allArrived.open() }) },
      async fail (request, reply) {
        await allArrived.opened
        await delay(20)
        return await fail(request, reply)
      }
    })
    const answers = await Promise.all(times(50, () => request('/things')))
    t.equal(runs(), 1)
    t.equal(new Set(answers.map(({ text }) => text)).size, 1)
    t.ok(answers.every(({ status, type }) => status === 404 && type === json))
    t.equal(new Set(answers.map(({ headers }) => headers.get('x-request'))).size, 50)
  }
})

each('those who wait for an error that is not stored, under a policy that stores others, get the error', async (t, options) => {
  let arrived = 0
  const allArrived = gate()
  const { request, runs } = await failing(t, options, {
    declare (app) {
      app.addHook('preHandler', async () => { if (++arrived === 20) allArrived.open() })
      app.setErrorHandler((error, request, reply) => reply.code(500).send(`${(error as Error).message} for ${request.id}`))
    },
    async fail () {
      await allArrived.opened
      await delay(20)
      throw new Error('down')
    }
  })
  const answers = await Promise.all(times(20, () => request('/things')))
  t.equal(runs(), 1)
  t.equal(new Set(answers.map(({ text }) => text)).size, 20, 'each from its own error handler')
  t.ok(answers.every(({ status, cache }) => status === 500 && cache === 'MISS'))
})

each('requests of one URL share the response of a not-found handler that is not stored, others do not', async (t, options) => {
  let arrived = 0
  const allArrived = gate()
  const { request, runs } = await failing(t, options, {
    declare (app) { app.addHook('preHandler', async () => { if (++arrived % 10 === 0) allArrived.open() }) },
    async fail (_request, reply) {
      await allArrived.opened
      await delay(20)
      return reply.callNotFound()
    }
  }, { ...policy, expire: '1h', ignoreQuery: ['utm_*'] })
  const same = await Promise.all(times(10, () => request('/things')))
  t.equal(runs(), 1)
  t.ok(same.every(({ text }) => text.includes('GET:/things not found')))
  const others = await Promise.all(times(10, (index) => request(`/things?utm_source=${index}`)))
  others.forEach(({ text }, index) => { t.match(text, `GET:/things?utm_source=${index} not found`) })
})

/** Error handlers that repeat what only their caller has sent. */
const echoes: Record<string, (request: FastifyRequest) => unknown> = {
  'the id of the request': (request) => ({ message: 'gone', requestId: request.id }),
  'the id of the request in a text': (request) => `gone (${request.id})`,
  'the address of the caller': (request) => ({ message: `gone for ${request.ip}` }),
  'a header': (request) => ({ trace: request.headers['x-trace'] }),
  'the id in a header': (request) => ({ trace: String(request.headers['traceparent']).split('-')[1] }),
  'a header with quotes': (request) => ({ named: request.headers['x-named'] }),
  'a credential': (request) => ({ token: String(request.headers.authorization).slice(7) }),
  'the noise in the URL': (request) => ({ path: request.url }),
  'the noise in the URL, escaped for a page': (request) => `<a href="${request.url.replaceAll('&', '&amp;')}">`,
  'the query': (request) => ({ query: request.query })
}

for (const [what, body] of Object.entries(echoes)) {
  each(`the response of an error handler that repeats ${what} is not stored`, async (t, options) => {
    const { app, request } = await failing(t, options, {
      declare (app) {
        app.setErrorHandler((_error, request, reply) => { void reply.code(404).send(body(request)) })
      },
      fail: thrown
    }, { ...policy, ignoreQuery: ['utm_*'] })
    for (const caller of ['first', 'second']) {
      const trace = caller === 'first' ? '4bf92f3577b34da6a3ce929d0e0e4736' : '00f067aa0ba902b7aaaaaaaaaaaaaaaa'
      const seen = await request(`/things?utm_source=${caller}&utm_x=1`, {
        headers: {
          'x-trace': `trace of ${caller}`,
          traceparent: `00-${trace}-00f067aa0ba902b7-01`,
          'x-named': `"${caller}"`,
          authorization: `Bearer token-of-the-${caller}-caller`
        }
      })
      t.match(seen, { status: 404, cache: 'MISS' })
      t.equal(detailOf(seen), 'of-caller')
      await app.apiCache.settled()
    }
    t.equal(app.apiCache.stats().stored, 0)
  })
}

each('what is part of the key may be in the response of an error handler', async (t, options) => {
  const { app, request, runs } = await failing(t, options, {
    declare (app) {
      app.setErrorHandler((_error, request, reply) => {
        void reply.code(404).send({ url: request.url, tenant: request.headers['x-tenant'] })
      })
    },
    fail: thrown
  }, { ...policy, vary: ['x-tenant'] })
  for (const tenant of ['tenant-a', 'tenant-b']) {
    for (const cache of ['MISS', 'HIT']) {
      t.match(await request('/things?a=1&b=2', { headers: { 'x-tenant': tenant } }), { status: 404, cache, text: new RegExp(tenant) })
      await app.apiCache.settled()
    }
  }
  t.equal(runs(), 2)
})

each('what only hooks of the browser or of a proxy say in general does not keep a response from being stored', async (t, options) => {
  const { app, request } = await failing(t, options, {
    declare (app) { app.setErrorHandler((_error, _request, reply) => { void reply.code(404).send('no such document; close') }) },
    fail: thrown
  })
  const headers = { 'sec-fetch-dest': 'document', accept: 'document', 'cache-control': 'max-stale' }
  for (const cache of ['MISS', 'HIT']) {
    t.equal((await request('/things', { headers })).cache, cache)
    await app.apiCache.settled()
  }
})

each('a header of an error handler is kept, but not one that repeats what its caller has sent', async (t, options) => {
  const { app, request } = await failing(t, options, {
    declare (app) {
      app.setErrorHandler((_error, request, reply) => {
        void reply.code(404).headers({ 'x-error': 'gone', 'x-request-id': request.id, 'x-trace': request.headers['x-trace'] }).send('gone')
      })
    },
    fail: () => { throw Object.assign(new NotFound('x'), { headers: { 'retry-after': '7' } }) }
  })
  const miss = await request('/things', { headers: { 'x-trace': 'first trace' } })
  t.ok(miss.headers.get('x-request-id'))
  t.equal(miss.headers.get('x-trace'), 'first trace')
  await app.apiCache.settled()
  const hit = await request('/things', { headers: { 'x-trace': 'second trace' } })
  t.equal(hit.cache, 'HIT')
  t.equal(hit.headers.get('x-error'), 'gone')
  t.equal(hit.headers.get('x-request-id'), null)
  t.equal(hit.headers.get('x-trace'), null)
})

each('headers of the error itself are kept, and its Cache-Control decides', async (t, options) => {
  for (const [index, [cacheControl, ttl]] of ([['max-age=90', /ttl=(?:90|8\d)$/], ['no-store', undefined], ['private', undefined]] as const).entries()) {
    const { app, request } = await failing(t, { ...options, prefix: `own${index}` }, {
      fail: () => { throw Object.assign(new NotFound('x'), { headers: { 'retry-after': '7', 'cache-control': cacheControl } }) }
    })
    await request('/things')
    await app.apiCache.settled()
    const second = await request('/things')
    t.equal(second.cache, ttl === undefined ? 'MISS' : 'HIT')
    t.equal(second.headers.get('retry-after'), '7')
    t.equal(second.headers.get('cache-control'), cacheControl)
    if (ttl !== undefined) t.match(second.headers.get('cache-status'), ttl)
  }
})

each('an error of another status than the policy stores is not stored, nor what an error handler turns into a success', async (t, options) => {
  let status = 500
  const { app, request, runs } = await failing(t, options, {
    declare (app) { app.setErrorHandler((_error, _request, reply) => { void reply.code(status).send('answered') }) },
    fail: thrown
  })
  for (status of [500, 503, 200]) {
    t.match(await request('/things'), { status, cache: 'MISS' })
    await app.apiCache.settled()
  }
  t.equal(runs(), 3)
  t.equal(app.apiCache.stats().stored, 0)
})

each('a response that a hook refuses or makes private for one caller is not stored for others', async (t, options) => {
  const hooks: Record<string, (request: FastifyRequest, reply: FastifyReply) => unknown> = {
    'set-cookie': (_request, reply) => { reply.header('set-cookie', 'id=1') },
    'no-store': (_request, reply) => { reply.header('cache-control', 'no-store') },
    throws: () => { throw new NotFound('a hook failed') }
  }
  for (const [name, hook] of Object.entries(hooks)) {
    let isFirst = true
    const { app, request, runs } = await failing(t, { ...options, prefix: `hook-${name}` }, {
      declare (app) {
        app.addHook('onSend', async (request, reply) => {
          if (!isFirst) return
          isFirst = name === 'throws' ? false : isFirst
          hook(request, reply)
        })
      },
      fail: thrown
    })
    t.equal((await request('/things')).status, 404)
    await app.apiCache.settled()
    isFirst = false
    t.match(await request('/things'), { status: 404, cache: 'MISS', text: /nothing here/ }, name)
    t.equal(runs(), 2)
    await app.apiCache.settled()
    t.match(await request('/things'), { status: 404, cache: 'HIT', text: /nothing here/ }, name)
  }
})

each('the response of a not-found handler with hooks of its own is not stored, as a HIT would skip them', async (t, options) => {
  let checked = 0
  const { app, request } = await failing(t, options, {
    declare (app) {
      app.addHook('preHandler', async () => {})
      app.setNotFoundHandler({ preHandler: async () => { checked++ } }, (_request, reply) => { void reply.code(404).send({ page: 'none' }) })
    },
    fail: (_request, reply) => reply.callNotFound()
  })
  for (const round of [1, 2]) {
    t.match(await request('/things'), { status: 404, cache: 'MISS', text: '{"page":"none"}' })
    t.equal(checked, round)
    await app.apiCache.settled()
  }
})

each('a response with noise in its URL is not stored, and the next one without is', async (t, options) => {
  const { app, request, runs } = await failing(t, options, { fail: (_request, reply) => reply.callNotFound() }, { ...policy, ignoreQuery: ['utm_*'] })
  t.match(await request('/things?utm_source=%3Cscript%3E'), { cache: 'MISS', text: /utm_source/ })
  await app.apiCache.settled()
  t.match(await request('/things'), { cache: 'MISS', text: /GET:\/things not found/ })
  await app.apiCache.settled()
  t.match(await request('/things?utm_source=b'), { cache: 'HIT', text: /GET:\/things not found/ })
  t.equal(runs(), 2)
})

each('a page that a not-found handler sends with 200 is stored like any other', async (t, options) => {
  const { app, request, runs } = await failing(t, options, {
    declare (app) { app.setNotFoundHandler((_request, reply) => { void reply.code(200).type('text/html').send('<p>the app</p>') }) },
    fail: (_request, reply) => reply.callNotFound()
  })
  for (const cache of ['MISS', 'HIT']) {
    t.match(await request('/things'), { status: 200, cache, text: '<p>the app</p>' })
    await app.apiCache.settled()
  }
  t.equal(runs(), 1)
})

each('a function of the lifetime and when get the error, or what the error handler sent', async (t, options) => {
  const seen: unknown[] = []
  const note = (_request: unknown, _reply: unknown, payload: unknown): number => { seen.push(payload); return 60 }
  const cache: ReadPolicy = { namespace: 'things', statuses: [200, 404], expire: note, when: (...all) => note(...all) === 60, scope: 'shared' }
  const byDefault = await failing(t, { ...options, prefix: 'default' }, { fail: thrown }, cache)
  await byDefault.request('/things')
  t.match(seen.splice(0), [new NotFound('nothing here'), new NotFound('nothing here')])
  const own = await failing(t, { ...options, prefix: 'own' }, {
    declare (app) { app.setErrorHandler((_error, _request, reply) => { void reply.code(404).send({ title: 'gone' }) }) }, fail: thrown
  }, cache)
  await own.request('/things')
  t.same(seen, [{ title: 'gone' }, { title: 'gone' }])
  await own.app.apiCache.settled()
  t.equal((await own.request('/things')).cache, 'HIT')
})

each('inside a handler an error is stored if nobody catches it', async (t, options) => {
  let runs = 0
  let caught = 0
  const { app, request } = await serving(t, options, (app) => {
    const fail = (): never => { runs++; throw new NotFound('nothing here') }
    app.get('/uncaught', async (_request, reply) => await reply.cached(policy, fail))
    app.get('/caught', async (_request, reply) => {
      try {
        return await reply.cached(policy, fail)
      } catch {
        return reply.code(404).send({ caught: ++caught })
      }
    })
  })
  for (const cache of ['MISS', 'HIT']) {
    t.match(await request('/uncaught'), { status: 404, cache, text: /nothing here/ })
    await app.apiCache.settled()
  }
  for (const run of [1, 2]) {
    t.match(await request('/caught'), { status: 404, cache: 'MISS', text: `{"caught":${run}}` })
    await app.apiCache.settled()
  }
  t.equal(runs, 3)
})

each('a write makes a stored 404 old at once, also one that was being answered', async (t, options) => {
  const things = new Map<string, string>()
  const held = gate()
  let isHeld = false
  const { app, request } = await serving(t, options, (app) => {
    app.setErrorHandler(async (error, _request, reply) => {
      if (isHeld) await held.opened
      void reply.code(404).send((error as Error).message)
      return reply
    })
    app.get('/things/:id', { config: { cache: policy } }, async (request) => {
      const { id } = request.params as { id: string }
      return things.get(id) ?? thrown()
    })
    app.put('/things/:id', { config: { cache: { invalidate: 'things' } } }, async (request) => {
      things.set((request.params as { id: string }).id, 'made')
      return 'written'
    })
  })
  await request('/things/1')
  await app.apiCache.settled()
  t.match(await request('/things/1'), { status: 404, cache: 'HIT' })
  await request('/things/1', { method: 'PUT' })
  t.match(await request('/things/1'), { status: 200, text: 'made' })
  isHeld = true
  const late = request('/things/2')
  await delay(50)
  await request('/things/2', { method: 'PUT' })
  held.open()
  t.equal((await late).status, 404)
  await app.apiCache.settled()
  t.match(await request('/things/2'), { status: 200, text: 'made' })
})

each('a refresh that finds a 404 replaces the entry, one that finds an outage does not', async (t, options) => {
  let status = 200
  const { app, request } = await failing(t, options, {
    fail () {
      if (status === 200) return 'fine'
      throw Object.assign(new Error(`status ${status}`), { statusCode: status })
    }
  }, { ...policy, expire: { 200: 1, 404: '1h', 503: '1h' }, staleIfError: '1h' })
  await request('/things')
  await app.apiCache.settled()
  await delay(1_050)
  status = 503
  t.match(await request('/things'), { status: 200, cache: 'HIT', text: 'fine' })
  await app.apiCache.settled()
  t.match(await request('/things'), { status: 200, cache: 'HIT', text: 'fine' }, 'the outage was not stored')
  status = 404
  await delay(1_050)
  t.match(await request('/things'), { status: 404 })
  await app.apiCache.settled()
  t.match(await request('/things'), { status: 404, cache: 'HIT' })
})

t.test("what Fastify sends for a handler that takes too long is not stored, whatever the policy's statuses", async (t) => {
  const held = gate()
  const { app, request } = await serving(t, { store: 'memory' }, (app) => {
    app.get('/things', { config: { cache: { ...policy, expire: { 200: '1h', 503: '1h' } } }, handlerTimeout: 100 }, async () => {
      await held.opened
      return 'fine'
    })
  })
  t.match(await request('/things'), { status: 503, cache: 'MISS' })
  held.open()
  await app.apiCache.settled()
  t.match(await request('/things'), { status: 200, cache: 'MISS', text: 'fine' })
})
