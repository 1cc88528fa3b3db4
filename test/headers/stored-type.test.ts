import { Readable } from 'node:stream'
import Fastify, { type FastifyInstance, type RouteHandlerMethod } from 'fastify'
import { asking, ask, cached } from '../http/ask.js'
import { eachTier } from '../support/each-store.js'

const test = eachTier()
const config = { cache: { namespace: 'n', expire: 60 } }

const handlers: Record<string, RouteHandlerMethod> = {
  'a string': async () => '<script>…</script>',
  'a Buffer': async () => Buffer.from('<script>…</script>'),
  'a Uint8Array': async () => new Uint8Array([1, 2, 3]),
  'an object': async () => ({ a: 1 }),
  'a string of HTML': async (_request, reply) => reply.type('text/html').send('<p>'),
  'a string of JSON': async (_request, reply) => reply.type('application/json').send('{"a":1}'),
  'a string of JSON with a trailing semicolon': async (_request, reply) => reply.type('application/json; ').send('{"a":1}'),
  'a string of a JSON dialect': async (_request, reply) => reply.type('application/ld+json').send('{"a":1}'),
  'a string of JSON with a charset': async (_request, reply) => reply.type('application/json; charset=latin1').send('{"a":1}'),
  'a string with a serializer': async (_request, reply) => reply.type('application/json').serializer((text: unknown) => text as string).send('{"a":1}'),
  'an object with a serializer and no type': async (_request, reply) => reply.serializer(() => 'a,b').send({ a: 1 }),
  'an object with a serializer of bytes and no type': async (_request, reply) =>
    reply.serializer((() => Buffer.from('a,b')) as unknown as () => string).send({ a: 1 }),
  'an object of a JSON dialect': async (_request, reply) => reply.type('application/hal+json').send({ a: 1 }),
  'a Buffer of JSON': async (_request, reply) => reply.type('application/json').send(Buffer.from('{"a":1}')),
  'a stream without a type': async () => Readable.from(['a', 'b']),
  'a stream with a type': async (_request, reply) => reply.type('text/csv').send(Readable.from(['a', 'b'])),
  'a Response': async () => new Response('text'),
  'a Response without a type': async () => new Response(Buffer.from('bytes'))
}

const firstRequests: Record<string, Record<string, string>> = {
  'a plain request': {},
  'one with If-None-Match: *': { 'if-none-match': '*' },
  'one with an unsatisfiable Range': { range: 'bytes=99999-' },
  'one with a satisfiable Range': { range: 'bytes=0-0' }
}

for (const [kind, handler] of Object.entries(handlers)) {
  for (const [which, headers] of Object.entries(firstRequests)) {
    test(`the Content-Type of ${kind} is Fastify's on each HIT, whichever request came first: ${which}`, async (t, options) => {
      const declare = (app: FastifyInstance): void => { app.get('/', { config }, handler) }
      const twin = Fastify()
      t.teardown(() => twin.close())
      declare(twin)
      const expected = await ask(`${await twin.listen({ host: '127.0.0.1', port: 0 })}/`)

      const { ask: send } = await asking(t, declare, options)
      await send('/', headers)
      for (let request = 1; request <= 2; request++) {
        const hit = await send('/')
        t.equal(hit.headers['content-type'], expected.headers['content-type'])
        t.equal(hit.text, expected.text)
        t.equal(cached(hit.headers), 'HIT')
      }
    })
  }
}

test('a range of a typed response has the type of the whole on a MISS and on a HIT', async (t, options) => {
  const { ask } = await asking(t, (app) => app.get('/', { config }, async (_request, reply) => reply.type('application/json').send('{"a":1}')), options)
  for (const state of ['MISS', 'HIT']) {
    const { status, headers, text } = await ask('/', { range: 'bytes=1-3' })
    t.match({ status, text }, { status: 206, text: '"a"' })
    t.match(headers, { 'content-type': 'application/json; charset=utf-8', 'x-api-cache': state })
  }
})

for (const kind of ['a string', 'a Buffer', 'an object', 'a string of HTML', 'a stream with a type'] as const) {
  test(`a Content-Type that an onSend hook sets for one request is not used for others: ${kind}`, async (t, options) => {
    const { ask } = await asking(t, (app) => {
      app.addHook('onSend', async (request, reply, payload) => {
        if (request.headers.accept === 'text/html') reply.type('text/html').header('x-for', 'html')
        return payload
      })
      app.get('/', { config }, handlers[kind]!)
    }, options)
    t.equal((await ask('/', { accept: 'text/html' })).headers['content-type'], 'text/html')
    const other = await ask('/')
    t.equal(cached(other.headers), 'HIT')
    t.notOk(other.headers['x-for'])
    t.not(kind === 'a string of HTML' ? undefined : other.headers['content-type'], 'text/html')
    t.equal((await ask('/', { accept: 'text/html' })).headers['content-type'], 'text/html', 'the hook still has its way')
  })
}
