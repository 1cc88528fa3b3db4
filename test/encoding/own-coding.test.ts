import { once } from 'node:events'
import { Readable } from 'node:stream'
import { brotliCompressSync, deflateSync, gunzipSync, gzipSync } from 'node:zlib'
import type { FastifyInstance, RouteHandlerMethod } from 'fastify'
import { asking, cached, open } from '../http/ask.js'
import { eachTier } from '../support/each-store.js'
import { gate } from '../support/gate.js'
import { codingOf, plainOf, text } from './encoded.js'

const test = eachTier()
const config = { cache: { namespace: 'n', expire: 60, compress: true } } as const
const zipped = gzipSync(text)

const handlers: Record<string, RouteHandlerMethod> = {
  bytes: async () => zipped,
  'a stream': async () => Readable.from([zipped.subarray(0, 100), zipped.subarray(100)]),
  'a web stream': async () => new Blob([zipped]).stream(),
  'a Response': async () => new Response(zipped, { headers: { 'content-encoding': 'gzip', 'content-type': 'text/plain' } })
}

for (const [kind, handler] of Object.entries(handlers)) {
  for (const hooks of ['no hooks', 'a hook']) {
    test(`${kind} that the handler has compressed, with ${hooks}, is decoded for those who cannot read it`, async (t, options) => {
      const { ask } = await asking(t, (app) => {
        if (hooks === 'a hook') app.addHook('onSend', async () => {})
        app.get('/:first', { config }, function (request, reply) {
          if (kind !== 'a Response') reply.type('text/plain').header('content-encoding', 'gzip').header('etag', '"own"')
          return handler.call(this, request, reply)
        })
      }, options)
      for (const first of ['gzip', 'br']) {
        for (const state of ['MISS', 'HIT', 'HIT']) {
          const read = await ask(`/${first}`, { 'accept-encoding': state === 'MISS' ? first : 'gzip' })
          t.equal(cached(read.headers), state)
          t.equal(plainOf(read), text)
          if (state === 'MISS') continue
          t.equal(codingOf(read), 'gzip')
          t.same(read.bytes, zipped, 'left alone')
          for (const accepted of ['br', 'identity', '', 'gzip;q=0, *']) {
            const decoded = await ask(`/${first}`, { 'accept-encoding': accepted })
            t.equal(codingOf(decoded), 'identity')
            t.equal(decoded.text, text)
            t.match(decoded.headers.vary, /accept-encoding/)
            t.not(decoded.headers.etag, read.headers.etag)
            const unchanged = await ask(`/${first}`, { 'accept-encoding': accepted, 'if-none-match': decoded.headers.etag! })
            t.equal(unchanged.status, 304)
          }
        }
      }
      const head = await ask('/gzip', { 'accept-encoding': 'br' }, 'HEAD')
      t.equal(head.headers['content-encoding'], undefined)
    })
  }
}

test('what cannot be decoded is sent as it is', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    const serve = (path: string, coding: string, body: Buffer): FastifyInstance => app.get(path, { config }, async (_request, reply) =>
      reply.type('text/plain').header('content-encoding', coding).send(body))
    serve('/damaged', 'gzip', Buffer.from(text))
    serve('/other', 'deflate', deflateSync(text))
    serve('/twice', 'gzip, gzip', gzipSync(zipped))
    serve('/bomb', 'gzip', gzipSync(Buffer.alloc(2 ** 21)))
  }, options)
  for (const path of ['/damaged', '/other', '/twice', '/bomb']) {
    const first = await ask(path, { 'accept-encoding': 'br' })
    for (let times = 0; times < 2; times++) {
      const answered = await ask(path, { 'accept-encoding': 'br' })
      t.equal(cached(answered.headers), 'HIT')
      t.same(answered.bytes, first.bytes)
      t.equal(codingOf(answered), codingOf(first))
      t.not(codingOf(first), 'identity')
    }
  }
})

test('a compressed stream is decoded as it comes', async (t, options) => {
  const more = gate()
  const { origin } = await asking(t, (app) => app.get('/', { config }, async (_request, reply) => {
    reply.type('text/plain').header('content-encoding', 'gzip')
    return Readable.from((async function * () {
      yield zipped.subarray(0, zipped.length - 8)
      await more.opened
      yield zipped.subarray(zipped.length - 8)
    })())
  }), options)
  const response = await open(`${origin}/`, { 'accept-encoding': 'identity' })
  const [first] = await once(response, 'data') as [Buffer]
  t.ok(text.startsWith(first.toString()))
  more.open()
  response.resume()
  await once(response, 'end')
  t.equal(gunzipSync(zipped).toString(), text)
})

test('a client that cannot read the coding gets the whole body decoded, whatever range it asks for', async (t, options) => {
  const { ask } = await asking(t, (app) => app.get('/', { config }, async (_request, reply) =>
    reply.type('text/plain').header('content-encoding', 'gzip').send(zipped)), options)
  for (const state of ['MISS', 'HIT']) {
    const answered = await ask('/', { 'accept-encoding': 'identity', range: 'bytes=0-9' })
    t.equal(cached(answered.headers), state)
    t.equal(answered.status, 200)
    t.equal(codingOf(answered), 'identity')
    t.equal(answered.text, text)
  }
  const part = await ask('/', { 'accept-encoding': 'gzip', range: 'bytes=0-9' })
  t.equal(part.status, 206)
  t.equal(codingOf(part), 'gzip')
  t.same(part.bytes, zipped.subarray(0, 10))
})

const wrappers: Record<string, (payload: Buffer) => unknown> = {
  'a stream': (payload) => Readable.from([payload]),
  'a web stream': (payload) => new Blob([payload]).stream(),
  'a Response': (payload) => new Response(payload)
}

for (const [kind, wrap] of Object.entries(wrappers)) {
  test(`a body that a hook makes ${kind} of is decoded all the same`, async (t, options) => {
    const { ask } = await asking(t, (app) => {
      app.addHook('onSend', async (_request, _reply, payload) => wrap(payload as Buffer))
      app.get('/', { config }, async (_request, reply) => reply.type('text/plain').header('content-encoding', 'gzip').send(zipped))
    }, options)
    for (const state of ['MISS', 'HIT', 'HIT']) {
      const answered = await ask('/', { 'accept-encoding': 'br' })
      t.equal(cached(answered.headers), state)
      t.equal(codingOf(answered), 'identity')
      t.equal(answered.text, text)
    }
  })
}

const hooks: Record<string, readonly [coding: string, payload: () => unknown]> = {
  'a stream of the decoded body': ['identity', () => Readable.from([text])],
  'the decoded body': ['identity', () => text],
  'a stream in another coding': ['br', () => Readable.from([brotliCompressSync(text)])],
  'a body in another coding': ['br', () => brotliCompressSync(text)]
}

for (const [what, [coding, payload]] of Object.entries(hooks)) {
  test(`a hook that makes ${what} is left to it`, async (t, options) => {
    const { ask } = await asking(t, (app) => {
      app.addHook('onSend', async (_request, reply) => {
        if (coding === 'identity') reply.removeHeader('content-encoding')
        else reply.header('content-encoding', coding)
        return payload()
      })
      app.get('/', { config }, async (_request, reply) => reply.type('text/plain').header('content-encoding', 'gzip').send(zipped))
    }, options)
    for (const state of ['MISS', 'HIT', 'HIT']) {
      const answered = await ask('/', { 'accept-encoding': 'br' })
      t.equal(cached(answered.headers), state)
      t.equal(answered.status, 200)
      t.equal(codingOf(answered), coding)
      t.equal(plainOf(answered), text)
    }
  })
}

test('what a hook forbids to transform is not decoded', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', async (_request, reply) => { reply.header('cache-control', 'max-age=9, no-transform') })
    app.get('/', { config }, async (_request, reply) => reply.type('text/plain').header('content-encoding', 'gzip').send(zipped))
  }, options)
  for (const state of ['MISS', 'HIT']) {
    const answered = await ask('/', { 'accept-encoding': 'br' })
    t.equal(cached(answered.headers), state)
    t.equal(codingOf(answered), 'gzip')
    t.same(answered.bytes, zipped)
  }
})
