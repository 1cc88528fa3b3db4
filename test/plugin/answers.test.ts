import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { eachStore } from '../support/each-store.js'
import { listening, serving } from '../support/serving.js'

const test = eachStore()
const cache = { namespace: 'answers', expire: 60, statuses: [200, 201, 204, 404] }
const config = { cache }
const varied = { cache: { ...cache, vary: ['accept'] } }

type Declare = (app: FastifyInstance, run: () => void) => void

const odd = Buffer.from([0, 255, 254, 128, 10, 13, 0])
const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))

// Each declares GET / and calls `run` when its handler runs.
const answers: Record<string, Declare> = {
  'an object that an async handler returns': (app, run) => app.get('/', { config }, async () => { run(); return { users: [{ id: 1, name: 'Zoë' }] } }),
  'an object that an async handler returns after waiting': (app, run) => app.get('/', { config }, async () => {
    await new Promise((resolve) => { setImmediate(resolve) })
    run()
    return { late: true }
  }),
  'an object that an async handler sends and returns': (app, run) => app.get('/', { config }, async (_request, reply) => { run(); return reply.send({ sent: 1 }) }),
  'an object that an async handler sends before it returns the reply': (app, run) => app.get('/', { config }, async (_request, reply) => { run(); reply.send({ sent: 2 }); return reply }),
  'an object that an async handler sends later': (app, run) => app.get('/', { config }, async (_request, reply) => {
    setImmediate(() => { run(); reply.send({ sent: 3 }) })
    return reply
  }),
  'an object that a callback-style handler sends': (app, run) => app.get('/', { config }, (_request, reply) => { run(); reply.send({ sent: 4 }) }),
  'an object that a callback-style handler sends later': (app, run) => app.get('/', { config }, (_request, reply) => {
    setImmediate(() => { run(); reply.send({ sent: 5 }) })
  }),
  'an object that a handler without arguments returns as a promise': (app, run) => app.get('/', { config }, () => { run(); return Promise.resolve({ promised: true }) }),
  'an array': (app, run) => app.get('/', { config }, async () => { run(); return [1, 'two', null] }),
  'an empty array': (app, run) => app.get('/', { config }, async () => { run(); return [] }),
  'a number': (app, run) => app.get('/', { config }, async () => { run(); return 42 }),
  zero: (app, run) => app.get('/', { config }, async () => { run(); return 0 }),
  true: (app, run) => app.get('/', { config }, async () => { run(); return true }),
  false: (app, run) => app.get('/', { config }, async () => { run(); return false }),
  null: (app, run) => app.get('/', { config }, async () => { run(); return null }),
  'null that is sent': (app, run) => app.get('/', { config }, (_request, reply) => { run(); reply.send(null) }),
  text: (app, run) => app.get('/', { config }, async () => { run(); return 'grüße 👋' }),
  'text with half a surrogate pair': (app, run) => app.get('/', { config }, async () => { run(); return 'a\ud83d' }),
  'empty text': (app, run) => app.get('/', { config }, async () => { run(); return '' }),
  nothing: (app, run) => app.get('/', { config }, async (_request, reply) => { run(); return reply.send() }),
  'nothing from an async handler': (app, run) => app.get('/', { config }, async () => { run() }),
  'nothing with status 204': (app, run) => app.get('/', { config }, async (_request, reply) => { run(); return reply.code(204).send() }),
  'nothing with status 404': (app, run) => app.get('/', { config }, async (_request, reply) => { run(); return reply.code(404).send() }),
  'an object with status 201': (app, run) => app.get('/', { config }, async (_request, reply) => { run(); reply.code(201); return { created: true } }),
  'an object with status 404': (app, run) => app.get('/', { config }, async (_request, reply) => { run(); reply.code(404); return { missing: true } }),
  HTML: (app, run) => app.get('/', { config }, async (_request, reply) => { run(); reply.type('text/html'); return '<p>hello</p>' }),
  'text of a type of its own': (app, run) => app.get('/', { config }, async (_request, reply) => { run(); reply.type('application/vnd.own'); return 'own' }),
  'JSON that is text already': (app, run) => app.get('/', { config }, async (_request, reply) => { run(); reply.type('application/json'); return '{ "spaced":  1 }' }),
  'an object of a JSON type of its own': (app, run) => app.get('/', { config }, async (_request, reply) => { run(); reply.type('application/problem+json'); return { title: 'none' } }),
  'a Buffer': (app, run) => app.get('/', { config }, async () => { run(); return bytes }),
  'a Buffer that is no text': (app, run) => app.get('/', { config }, async (_request, reply) => { run(); reply.type('image/png'); return odd }),
  'an empty Buffer': (app, run) => app.get('/', { config }, async () => { run(); return Buffer.alloc(0) }),
  'a Buffer that is JSON': (app, run) => app.get('/', { config }, async (_request, reply) => { run(); reply.type('application/json'); return Buffer.from('{"a":1}') }),
  'a part of a larger Uint8Array': (app, run) => app.get('/', { config }, async () => { run(); return new Uint8Array(bytes.buffer, bytes.byteOffset + 3, 20) }),
  'a typed array of wider elements': (app, run) => app.get('/', { config }, async () => { run(); return new Uint32Array([1, 2, 0xffffffff]) }),
  'a reply with a serializer of its own': (app, run) => app.get('/', { config }, async (_request, reply) => {
    run()
    reply.type('text/csv').serializer((rows: unknown) => (rows as number[][]).map((row) => row.join(',')).join('\n'))
    return [[1, 2], [3, 4]]
  }),
  'a reply whose serializer gives a Buffer': (app, run) => app.get('/', { config }, async (_request, reply) => {
    run()
    // Fastify sends Buffers of a serializer, which its type leaves out.
    reply.type('application/x-own').serializer((() => odd) as unknown as () => string)
    return { any: 'thing' }
  }),
  'text for a serializer of its own': (app, run) => app.get('/', { config }, async (_request, reply) => {
    run()
    reply.type('text/x-shout').serializer((text: unknown) => String(text).toUpperCase())
    return 'hello'
  }),
  'a serializer that a hook sets, on a route that varies': (app, run) => {
    app.addHook('onRequest', async (_request, reply) => { reply.serializer((payload: unknown) => `<${JSON.stringify(payload)}>`) })
    app.get('/', { config: varied }, async () => { run(); return { wrapped: true } })
  },
  'a serializer that a hook sets, for a type that the handler sets, on a route that varies': (app, run) => {
    app.addHook('onRequest', async (_request, reply) => { reply.serializer((payload: unknown) => `<${JSON.stringify(payload)}>`) })
    app.get('/', { config: varied }, async (_request, reply) => { run(); reply.type('text/x-wrapped'); return { wrapped: true } })
  },
  'a serializer of the application': (app, run) => {
    app.setReplySerializer((payload, status) => JSON.stringify({ status, payload }))
    app.get('/', { config }, async () => { run(); return { own: true } })
  },
  'a response schema that leaves out what it does not know': (app, run) => app.get('/', {
    config,
    schema: { response: { 200: { type: 'object', properties: { id: { type: 'integer' } } } } }
  }, async () => { run(); return { id: '7', secret: true } }),
  'a response schema for a class of statuses': (app, run) => app.get('/', {
    config,
    schema: { response: { '2xx': { type: 'object', properties: { id: { type: 'integer' } } } } }
  }, async (_request, reply) => { run(); reply.code(201); return { id: '7', secret: true } }),
  'a default response schema': (app, run) => app.get('/', {
    config,
    schema: { response: { default: { type: 'object', properties: { id: { type: 'integer' } } } } }
  }, async () => { run(); return { id: '7', secret: true } }),
  ...byContentType('application/json', { full: 1, short: 2 }),
  ...byContentType('application/vnd.short+json; charset=utf-8', { full: 1, short: 2 }),
  ...byContentType('application/vnd.unknown+json', { full: 1, short: 2 }),
  ...byContentType(undefined, { full: 1, short: 2 }),
  'a reply with a serializer of its own beside a schema for each content type': (app, run) => app.get('/', {
    config, schema: contentSchema
  }, async (_request, reply) => { run(); reply.serializer(() => 'from the reply'); return { full: 1 } }),
  'a serializer of the application beside a schema for each content type': (app, run) => {
    app.setReplySerializer(() => 'from the application')
    app.get('/', { config, schema: contentSchema }, async () => { run(); return { full: 1 } })
  },
  'a response schema with a serializer compiler of the route': (app, run) => app.get('/', {
    config,
    schema: { response: { 200: { type: 'object' } } },
    serializerCompiler: () => (payload: unknown) => `compiled ${JSON.stringify(payload)}`
  }, async () => { run(); return { a: 1 } }),
  'headers of the handler': (app, run) => app.get('/', { config }, async (_request, reply) => {
    run()
    reply.headers({ 'x-one': '1', 'x-number': 2, link: ['</a>', '</b>'] })
    return { a: 1 }
  })
}

const contentSchema = {
  response: {
    200: {
      content: {
        'application/json': { schema: { type: 'object', properties: { full: { type: 'integer' } } } },
        'application/vnd.short+json': { schema: { type: 'object', properties: { short: { type: 'integer' } } } }
      }
    }
  }
}

function byContentType (type: string | undefined, payload: object): Record<string, Declare> {
  const handler = (run: () => void) => async (_request: unknown, reply: FastifyReply): Promise<object> => {
    run()
    if (type !== undefined) reply.type(type)
    return payload
  }
  return {
    [`a response schema for each content type, ${type ?? 'none'} chosen`]: (app, run) => app.get('/', { config, schema: contentSchema }, handler(run)),
    [`a response schema for each content type and for all others, ${type ?? 'none'} chosen`]: (app, run) => app.get('/', {
      config,
      schema: { response: { 200: { content: { ...contentSchema.response[200].content, '*/*': { schema: { type: 'object', properties: {} } } } } } }
    }, handler(run))
  }
}

for (const [answer, declare] of Object.entries(answers)) {
  test(`${answer} is a MISS, then HITs, all as a server without a cache sends it`, async (t, options) => {
    let runs = 0
    const cached = await serving(t, options, (app) => declare(app, () => { runs++ }))
    const plain = await listening(t, Fastify(), (app) => declare(app, () => {}))
    const { status, type, bytes, headers } = await plain.request('/')

    for (const cache of ['MISS', 'HIT', 'HIT']) {
      const seen = await cached.request('/')
      t.equal(seen.cache, cache)
      t.equal(seen.status, status)
      t.equal(seen.type, type)
      t.ok(seen.bytes.equals(bytes), `'${seen.text}' and '${bytes.toString()}'`)
      for (const name of ['content-length', 'link', 'x-one', 'x-number']) t.equal(seen.headers.get(name), headers.get(name), name)
      // What a fill stores is in the store before the next answer comes from there.
      await cached.app.apiCache.settled()
    }
    t.equal(runs, 1)
  })
}
