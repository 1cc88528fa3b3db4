import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import compress from '@fastify/compress'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import apiCache from '../../index.js'
import { ask, cached, type Answered } from '../http/ask.js'
import { listening } from '../support/serving.js'

const config = { cache: { namespace: 'compress', expire: 60 } }
const rows = Array.from({ length: 500 }, (_, id) => ({ id, name: `name ${id}` }))
const expected = JSON.stringify(rows)

const plain = ({ bytes, headers }: Answered): string => {
  switch (headers['content-encoding']) {
    case 'gzip': return gunzipSync(bytes).toString()
    case 'br': return brotliDecompressSync(bytes).toString()
    default: return bytes.toString()
  }
}

const orders: Record<string, (app: FastifyInstance) => Promise<unknown>> = {
  'before the cache': async (app) => {
    await app.register(compress)
    await app.register(apiCache, { store: 'memory' })
  },
  'after the cache': async (app) => {
    await app.register(apiCache, { store: 'memory' })
    await app.register(compress)
  }
}

const handlers: Record<string, (app: FastifyInstance) => unknown> = {
  'an object': (app) => app.get('/', { config }, async () => rows),
  'a stream': (app) => app.get('/', { config }, async (_request, reply) => {
    reply.type('application/json')
    return new Blob([expected]).stream()
  }),
  'what the handler compressed itself': (app) => app.get('/', { config }, (_request, reply) => {
    reply.type('application/json').compress(expected)
  })
}

async function app (t: Test, register: (app: FastifyInstance) => Promise<unknown>, declare: (app: FastifyInstance) => unknown): Promise<(headers?: Record<string, string>) => Promise<Answered>> {
  const app = Fastify()
  await register(app)
  const { origin } = await listening(t, app, declare)
  return async (headers = {}) => {
    const answered = await ask(`${origin}/`, headers)
    await app.apiCache.settled()
    return answered
  }
}

for (const [order, register] of Object.entries(orders)) {
  for (const [kind, declare] of Object.entries(handlers)) {
    t.test(`${kind} is right for each client with @fastify/compress ${order}`, async (t) => {
      const get = await app(t, register, declare)
      for (const round of [1, 2]) {
        for (const encoding of ['gzip', '', 'br', 'identity']) {
          const answered = await get(encoding === '' ? {} : { 'accept-encoding': encoding })
          t.equal(answered.status, 200)
          t.equal(answered.headers['content-encoding'] ?? 'identity', encoding || 'identity')
          t.equal(plain(answered), expected, `${encoding} in round ${round}`)
          if (encoding === 'gzip' || encoding === 'br') t.match(answered.headers.vary, /accept-encoding/i)
          if (answered.headers['content-length'] !== undefined) t.equal(Number(answered.headers['content-length']), answered.bytes.length)
          if (round === 2) t.equal(cached(answered.headers), 'HIT')
        }
      }
    })
  }

  t.test(`a strong ETag becomes weak if @fastify/compress ${order} encoded the bytes, and both give a 304`, async (t) => {
    const get = await app(t, register, handlers['an object']!)
    for (const state of ['MISS', 'HIT']) {
      const encoded = await get({ 'accept-encoding': 'gzip' })
      t.equal(cached(encoded.headers), state)
      t.match(encoded.headers.etag, /^W\/"/)
    }
    const identity = await get()
    t.match(identity.headers.etag, /^"/)
    for (const etag of [identity.headers.etag!, `W/${identity.headers.etag!}`]) {
      const { status, bytes } = await get({ 'if-none-match': etag, 'accept-encoding': 'gzip' })
      t.equal(status, 304)
      t.equal(bytes.length, 0)
    }
  })

  t.test(`a range selects bytes of the uncompressed body with @fastify/compress ${order}`, async (t) => {
    const get = await app(t, register, handlers['an object']!)
    await get()
    const part = await get({ range: 'bytes=0-9', 'accept-encoding': 'gzip' })
    t.equal(part.status, 206)
    t.notOk(part.headers['content-encoding'])
    t.equal(part.text, expected.slice(0, 10))
  })
}
