import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { brotliDecompressSync } from 'node:zlib'
import Fastify, { type FastifyInstance } from 'fastify'
import apiCache, { type Decision } from '../../index.js'
import { Encodings } from '../../lib/encoding/encodings.js'
import { asking, ask as askOnce, cached } from '../http/ask.js'
import { eachTier } from '../support/each-store.js'
import { listening } from '../support/serving.js'
import { codingOf, kept, plainOf, rows, rowsOf, text } from './encoded.js'

const test = eachTier()
const cache = { namespace: 'n', expire: 60, compress: true } as const
const BR = { 'accept-encoding': 'br' }

test('the first HIT of a coding has the body encoded once more, and the next ones get those bytes', async (t, options) => {
  const { ask } = await asking(t, (app) => app.get('/', { config: { cache } }, async () => rows), options)
  for (const coding of ['br', 'gzip'] as const) {
    const first = await ask('/', { 'accept-encoding': coding })
    t.equal(cached(first.headers), coding === 'br' ? 'MISS' : 'HIT')
    t.notOk(first.bytes.equals(kept[coding](text)), 'made for one response')
    if (coding === 'br') await ask('/', BR)
    for (let hits = 0; hits < 2; hits++) {
      const answered = await ask('/', { 'accept-encoding': coding })
      t.equal(cached(answered.headers), 'HIT')
      t.same(answered.bytes, kept[coding](text))
      t.equal(answered.headers['content-type'], 'application/json; charset=utf-8')
    }
  }
  const plain = await ask('/')
  t.equal(cached(plain.headers), 'HIT')
  t.equal(plain.text, text)
  t.same((await ask('/', BR)).bytes, kept.br(text), 'both codings are kept')
})

test('a decision tells the length of the plain body, in whatever coding it is sent', async (t, options) => {
  const lengths: unknown[] = []
  const note = (decision: unknown): void => { lengths.push((decision as Decision).bytes) }
  subscribe('fastify-api-cache:decision', note)
  t.teardown(() => unsubscribe('fastify-api-cache:decision', note))
  const { ask } = await asking(t, (app) => {
    app.get('/', { config: { cache } }, async () => text)
    app.get('/stored', { config: { cache: { ...cache, storeCompressed: true } } }, async () => text)
  }, options)
  for (const path of ['/', '/stored']) {
    for (let times = 0; times < 3; times++) await ask(path, BR)
  }
  t.same(lengths, Array.from({ length: 6 }, () => text.length))
})

test('a write ends the plain and the encoded body at once', async (t, options) => {
  let count = 300
  const { app, ask } = await asking(t, (app) => app.get('/', { config: { cache } }, async () => rowsOf(count)), options)
  for (let times = 0; times < 4; times++) await ask('/', BR)
  t.same((await ask('/', BR)).bytes, kept.br(text))
  count = 200
  await app.apiCache.invalidate('n')
  const after = await ask('/', BR)
  t.equal(cached(after.headers), 'MISS')
  t.equal(plainOf(after), JSON.stringify(rowsOf(200)))
  await ask('/', BR)
  t.same((await ask('/', BR)).bytes, kept.br(JSON.stringify(rowsOf(200))))
})

test('a body that is filled anew under the same versions is not answered with the old encoded one', async (t, options) => {
  let count = 300
  const { ask } = await asking(t, (app) => app.get('/', { config: { cache } }, async () => rowsOf(count)), options)
  for (let times = 0; times < 4; times++) await ask('/', BR)
  count = 200
  t.equal(cached((await ask('/', { 'cache-control': 'no-cache' })).headers), 'MISS', 'a reload')
  for (let times = 0; times < 3; times++) {
    const answered = await ask('/', BR)
    t.equal(cached(answered.headers), 'HIT')
    t.equal(plainOf(answered), JSON.stringify(rowsOf(200)))
  }
})

test('what was encoded while a write moved the version is not kept', async (t, options) => {
  let count = 3000
  const { app, origin } = await asking(t, (app) => app.get('/', { config: { cache } }, async () => rowsOf(count)), options)
  await askOnce(`${origin}/`, BR)
  await app.apiCache.settled()
  await askOnce(`${origin}/`, BR)
  count = 200
  await app.apiCache.invalidate('n')
  t.equal(cached((await askOnce(`${origin}/`, BR)).headers), 'MISS')
  await app.apiCache.settled()
  const answered = await askOnce(`${origin}/`, BR)
  t.equal(cached(answered.headers), 'HIT')
  t.equal(plainOf(answered), JSON.stringify(rowsOf(200)))
})

test('a body that does not become smaller is kept and sent as it is, and its readers do not have it encoded', async (t, options) => {
  const noise = Buffer.from(Array.from({ length: 2_000 }, (_, at) => Math.floor(Math.abs(Math.sin(at * 12.9898) * 43758.5453) % 1 * 256)))
  const { ask } = await asking(t, (app) => app.get('/', { config: { cache } }, async (_request, reply) =>
    reply.type('text/plain').send(noise)), options)
  const encoded = t.capture(Encodings.prototype, 'now', Encodings.prototype.now)
  for (let times = 0; times < 4; times++) {
    const answered = await ask('/', BR)
    t.equal(codingOf(answered), 'identity')
    t.same(answered.bytes, noise)
    t.match(answered.headers.etag, /^"/)
    t.equal(answered.headers.vary, 'accept-encoding')
  }
  t.equal(encoded().length, 2, 'on the MISS and the first HIT')
})

test('each kind of body is kept encoded', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    app.get('/text', { config: { cache } }, async () => text)
    app.get('/bytes', { config: { cache } }, async (_request, reply) => reply.type('text/css').send(Buffer.from(text)))
    app.get('/stream', { config: { cache } }, async (_request, reply) => {
      reply.type('application/json')
      return new Blob([text]).stream()
    })
    app.get('/response', { config: { cache } }, async () => new Response(text, { headers: { 'content-type': 'text/html' } }))
  }, options)
  for (const path of ['/text', '/bytes', '/stream', '/response']) {
    const miss = await ask(path, BR)
    t.equal(plainOf(miss), text)
    t.match(miss.headers.vary, 'accept-encoding')
    await ask(path, BR)
    const hit = await ask(path, BR)
    t.same(hit.bytes, kept.br(text), path)
    t.equal(hit.headers['content-type'], miss.headers['content-type'])
    const plain = await ask(path)
    t.equal(cached(plain.headers), 'HIT')
    t.equal(plain.text, text)
  }
})

test('another process finds what the first one has encoded, and other variants are encoded apart', async (t, options) => {
  const declare = (app: FastifyInstance): void => {
    app.get('/', { config: { cache: { ...cache, host: false } } }, async (request, reply) => {
      reply.header('vary', 'accept-language')
      return [request.headers['accept-language'], ...rows]
    })
  }
  const { ask } = await asking(t, declare, options)
  for (const language of ['de', 'en']) {
    const expected = JSON.stringify([language, ...rows])
    for (let times = 0; times < 2; times++) await ask('/', { ...BR, 'accept-language': language })
    const answered = await ask('/', { ...BR, 'accept-language': language })
    t.same(answered.bytes, kept.br(expected))
    t.match(answered.headers.vary, /accept-language/)
    t.match(answered.headers.vary, /accept-encoding/)
    if (options.store === 'memory') continue
    const other = Fastify()
    await other.register(apiCache, options)
    const { origin } = await listening(t, other, declare)
    const elsewhere = await askOnce(`${origin}/`, { ...BR, 'accept-language': language })
    t.equal(cached(elsewhere.headers), 'HIT')
    t.equal(brotliDecompressSync(elsewhere.bytes).toString(), expected)
    t.same(elsewhere.bytes, kept.br(expected))
  }
})
