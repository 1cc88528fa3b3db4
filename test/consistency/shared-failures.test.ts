import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyReply } from 'fastify'
import { eachStore } from '../support/each-store.js'
import { gate } from '../support/gate.js'
import { serving } from '../support/serving.js'

/*
 * Those who wait for a fill that fails get the same failure, each through its own hooks and error handler.
 */

const each = eachStore()
const shared = { namespace: 'things', expire: '1h', scope: 'shared' } as const

const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => make(index))

/** How a handler can fail, and what its callers get. */
const failures: Record<string, { fail (reply: FastifyReply): unknown, status: number, body: RegExp, header?: string }> = {
  'an error is thrown': { fail () { throw new Error('the database is down') }, status: 500, body: /the database is down/ },
  'an error with a status is thrown': {
    fail () { throw Object.assign(new Error('try later'), { statusCode: 503 }) },
    status: 503,
    body: /try later/
  },
  'an error is thrown after a status and a header were set': {
    fail (reply) {
      reply.code(502).header('retry-after', '7')
      throw new Error('upstream')
    },
    status: 502,
    body: /upstream/,
    header: '7'
  },
  'an error is sent': { fail: (reply) => reply.send(new Error('sent')), status: 500, body: /sent/ },
  'a status is sent that is not stored': {
    fail: (reply) => reply.code(503).header('retry-after', '7').send({ down: true }),
    status: 503,
    body: /^{"down":true}$/,
    header: '7'
  },
  'a 404 is sent': { fail: (reply) => reply.code(404).type('text/plain').send('nothing here'), status: 404, body: /^nothing here$/ },
  'a stream is sent with a status that is not stored': {
    fail: (reply) => reply.code(502).send(new Response('from upstream').body),
    status: 502,
    body: /^from upstream$/
  },
  'a Response is sent with a status that is not stored': {
    fail: () => new Response('from upstream', { status: 502, headers: { 'retry-after': '7' } }),
    status: 502,
    body: /^from upstream$/,
    header: '7'
  },
  'an empty response is sent with a status that is not stored': { fail: (reply) => reply.code(503).send(), status: 503, body: /^$/ },
  'the payload cannot be serialized': {
    fail () {
      const circular: Record<string, unknown> = {}
      return (circular.self = circular)
    },
    status: 500,
    body: /circular/
  }
}

for (const [how, { fail, status, body, header }] of Object.entries(failures)) {
  each(`of 100 requests one runs the handler, and all fail when ${how}`, async (t, options) => {
    let runs = 0
    let arrived = 0
    const allArrived = gate()
    const ids: string[] = []
    const { app, request } = await serving(t, options, (app) => {
      app.addHook('onSend', async (request, reply) => { reply.header('x-request', request.id) })
      app.addHook('preHandler', async () => { if (++arrived === 100) allArrived.open() })
      app.get('/probe', { config: { cache: { ...shared, namespace: 'probe' } } }, async () => 'ok')
      app.get('/things', { config: { cache: shared } }, async (_request, reply) => {
        const isFirst = ++runs === 1
        await allArrived.opened
        // It goes the same way to the store and back as those that arrived before it.
        if (isFirst) await app.inject('/probe')
        return fail(reply)
      })
    })
    const answers = await Promise.all(times(100, () => request('/things')))
    t.equal(runs, 1)
    for (const answer of answers) {
      if (answer.status !== status || !body.test(answer.text) || answer.cache !== 'MISS') t.fail(JSON.stringify(answer))
      if (header !== undefined && answer.headers.get('retry-after') !== header) t.fail(JSON.stringify([...answer.headers]))
      ids.push(String(answer.headers.get('x-request')))
    }
    t.equal(new Set(ids).size, 100, 'each went through its own hooks')
    const collapsed = answers.filter(({ headers }) => String(headers.get('cache-status')).includes('collapsed'))
    t.equal(collapsed.length, 99)
    const types = new Set(answers.map(({ type }) => type))
    t.equal(types.size, 1)
    await app.apiCache.settled()
    t.equal(app.apiCache.stats().filling, 0)
    t.equal((await request('/things')).status, status)
    t.equal(runs, 2, 'the next request begins a new fill')
  })
}

each('after a failure, requests still wait for one handler', async (t, options) => {
  let runs = 0
  let arrived = 0
  const allArrived = gate()
  const { request } = await serving(t, options, (app) => {
    app.addHook('preHandler', async () => { if (++arrived === 101) allArrived.open() })
    app.get('/things', { config: { cache: shared } }, async (_request, reply) => {
      if (++runs === 1) return reply.code(503).send('down')
      await allArrived.opened
      await delay(50)
      return { run: runs }
    })
  })
  t.equal((await request('/things')).status, 503)
  const answers = await Promise.all(times(100, () => request('/things')))
  t.equal(runs, 2)
  t.ok(answers.every(({ text }) => text === '{"run":2}'))
})

each('each who waits for a failure meets its own error handler', async (t, options) => {
  let arrived = 0
  const allArrived = gate()
  const { request } = await serving(t, options, (app) => {
    app.addHook('preHandler', async () => { if (++arrived === 5) allArrived.open() })
    app.setErrorHandler((error, request, reply) => {
      void reply.code(500).send(`${(error as Error).message} for ${String(request.headers['x-name'])}`)
    })
    app.get('/things', { config: { cache: shared } }, async () => {
      await allArrived.opened
      await delay(20)
      throw new Error('down')
    })
  })
  const answers = await Promise.all(times(5, (index) => request('/things', { headers: { 'x-name': `caller ${index}` } })))
  t.same(answers.map(({ text }) => text), times(5, (index) => `down for caller ${index}`))
})

const blames: Record<string, (reply: FastifyReply) => unknown> = {
  'an error': () => { throw new Error('unknown locale') },
  'a 400': (reply) => reply.code(400).send('unknown locale'),
  'a 422 as a stream': (reply) => reply.code(422).send(new Response('unknown locale').body)
}

for (const [what, fail] of Object.entries(blames)) {
  each(`${what} is not shared with a request that has other headers: it may depend on them`, async (t, options) => {
    const begun = gate()
    let arrived = 0
    const allArrived = gate()
    const { request } = await serving(t, options, (app) => {
      app.addHook('preHandler', async () => { if (++arrived === 10) allArrived.open() })
      app.get('/things', { config: { cache: shared } }, async (request, reply) => {
        begun.open()
        await allArrived.opened
        await delay(20)
        return request.headers['x-locale'] === 'garbage' ? fail(reply) : { ok: true }
      })
    })
    const hostile = request('/things', { headers: { 'x-locale': 'garbage' } })
    await begun.opened
    const answers = await Promise.all(times(9, () => request('/things')))
    t.ok((await hostile).status >= 400)
    t.ok(answers.every(({ status }) => status === 200))
  })
}

each('a hook that fails for one request does not fail for those who wait', async (t, options) => {
  const begun = gate()
  let arrived = 0
  const allArrived = gate()
  const { request } = await serving(t, options, (app) => {
    app.addHook('preHandler', async () => { if (++arrived === 10) allArrived.open() })
    app.addHook('onSend', async (request) => { if (request.headers['x-fails'] !== undefined) throw new Error('in a hook') })
    app.get('/things', { config: { cache: shared } }, async () => {
      begun.open()
      await allArrived.opened
      await delay(20)
      return { ok: true }
    })
  })
  const first = request('/things', { headers: { 'x-fails': '1' } })
  await begun.opened
  const answers = await Promise.all(times(9, () => request('/things')))
  t.equal((await first).status, 500)
  t.ok(answers.every(({ status }) => status === 200))
})

each('a failure that varies on a header that is not part of the key is not shared', async (t, options) => {
  let arrived = 0
  const allArrived = gate()
  const { request } = await serving(t, options, (app) => {
    app.addHook('preHandler', async () => { if (++arrived === 5) allArrived.open() })
    app.get('/things', { config: { cache: shared } }, async (request, reply) => {
      await allArrived.opened
      await delay(20)
      return reply.code(404).header('vary', 'accept-language').send(`nothing in ${String(request.headers['accept-language'])}`)
    })
  })
  const answers = await Promise.all(times(5, (index) => request('/things', { headers: { 'accept-language': `l${index}` } })))
  t.same(answers.map(({ text }) => text), times(5, (index) => `nothing in l${index}`))
})

each('two routes whose keys are one text do not wait for each other', async (t, options) => {
  const never = gate()
  const started = gate()
  const { request } = await serving(t, options, (app) => {
    const cache = { ...shared, key: () => 'the same' }
    app.get('/hanging', { config: { cache } }, async () => {
      started.open()
      await never.opened
      return 'late'
    })
    app.get('/quick', { config: { cache } }, async () => 'quick')
  })
  const hanging = request('/hanging')
  await started.opened
  const began = performance.now()
  t.equal((await request('/quick')).text, 'quick')
  t.ok(performance.now() - began < 2_000)
  never.open()
  t.equal((await hanging).text, 'late')
})

each('a request that refuses stored responses cannot switch off waiting for others', async (t, options) => {
  let runs = 0
  let arrived = 0
  const allArrived = gate()
  const { request } = await serving(t, options, (app) => {
    app.addHook('onSend', async (request, reply) => {
      if (request.headers['cache-control'] !== undefined) reply.header('set-cookie', 'seen=1')
    })
    app.addHook('preHandler', async () => { if (++arrived === 101) allArrived.open() })
    app.get('/things', { config: { cache: shared } }, async (request) => {
      runs++
      if (request.headers['cache-control'] === undefined) await allArrived.opened
      await delay(20)
      return { ok: true }
    })
  })
  await request('/things', { headers: { 'cache-control': 'no-cache' } })
  await Promise.all(times(100, () => request('/things')))
  t.equal(runs, 2)
})

each('a failure that is shared has no Content-Type that the handler did not send', async (t, options) => {
  let arrived = 0
  const allArrived = gate()
  const { request } = await serving(t, options, (app) => {
    app.addHook('preHandler', async () => { if (++arrived === 10) allArrived.open() })
    app.get('/probe', { config: { cache: { ...shared, namespace: 'probe' } } }, async () => 'ok')
    app.get('/things', { config: { cache: shared } }, async (_request, reply) => {
      await allArrived.opened
      await app.inject('/probe')
      return await reply.code(502).send(new Response('from upstream').body)
    })
  })
  const answers = await Promise.all(times(10, () => request('/things')))
  t.equal(answers.filter(({ headers }) => String(headers.get('cache-status')).includes('collapsed')).length, 9)
  t.ok(answers.every(({ type, text }) => type === null && text === 'from upstream'))
})
