import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import Fastify, { type FastifyInstance, type onSendAsyncHookHandler, type RouteHandlerMethod } from 'fastify'
import type { Test } from 'tap'
import apiCache, { type ApiCacheOptions } from '../../index.js'
import { ask, cached, type Answered } from '../http/ask.js'
import { eachStore } from '../support/each-store.js'
import { listening } from '../support/serving.js'
import { codingOf, plainOf, rows, text } from './encoded.js'

/*
 * What a client reads is what it would read from the same application without the cache, whatever hooks make of it.
 */

const test = eachStore()
const zipped = gzipSync(text)

const handlers: Record<string, RouteHandlerMethod> = {
  json: async () => rows,
  text: async (_request, reply) => reply.type('text/html').send(text),
  bytes: async (_request, reply) => reply.type('text/css').send(Buffer.from(text)),
  stream: async (_request, reply) => reply.type('text/plain').send(Readable.from([text])),
  response: async () => new Response(text, { headers: { 'content-type': 'text/html' } }),
  'one-kilobyte': async () => 'x'.repeat(1_024),
  empty: async (_request, reply) => reply.send(),
  events: async (_request, reply) => reply.type('text/event-stream').send(Readable.from([`data: ${text}\n\n`])),
  image: async (_request, reply) => reply.type('image/png').send(Buffer.alloc(5_000)),
  untransformed: async (_request, reply) => reply.header('cache-control', 'max-age=60, no-transform').send(rows),
  zipped: async (_request, reply) => reply.type('text/plain').header('content-encoding', 'gzip').send(Buffer.from(zipped)),
  identity: async (_request, reply) => reply.type('text/plain').header('content-encoding', 'identity').send(text),
  missing: async (_request, reply) => reply.code(404).type('text/plain').send(text),
  broken: async () => { throw new Error(text) }
}

const isWhole = (payload: unknown): payload is string | Buffer => typeof payload === 'string' || Buffer.isBuffer(payload)

const hooks: Record<string, onSendAsyncHookHandler<unknown> | undefined> = {
  'no hook': undefined,
  'a hook that leaves it alone': async (_request, _reply, payload) => payload,
  'a hook that adds to text': async (_request, _reply, payload) => typeof payload === 'string' ? `${payload}!` : payload,
  'a hook that makes it a stream': async (_request, _reply, payload) => isWhole(payload) ? Readable.from([payload]) : payload,
  'a hook that makes it a web stream': async (_request, _reply, payload) => isWhole(payload) ? new Blob([payload]).stream() : payload,
  'a hook that makes it short': async (_request, reply) => {
    reply.removeHeader('content-encoding')
    return 'short'
  },
  'a hook that makes it an image': async (_request, reply, payload) => {
    reply.type('image/png')
    return payload
  },
  'a hook that removes its coding': async (_request, reply, payload) => {
    if (payload === text) reply.removeHeader('content-encoding')
    return payload
  },
  'a hook that encodes text': async (_request, reply, payload) => {
    if (typeof payload !== 'string' || reply.hasHeader('content-encoding')) return payload
    reply.header('content-encoding', 'gzip')
    return gzipSync(payload)
  },
  'a hook that throws': async (_request, _reply, payload) => {
    // Fastify sends the error with the handler's Content-Encoding.
    if (!Buffer.isBuffer(payload) || !payload.equals(zipped)) throw new Error('no')
    return payload
  }
}

async function serve (t: Test, hook: onSendAsyncHookHandler<unknown> | undefined, options?: ApiCacheOptions): Promise<{ app: FastifyInstance, origin: string }> {
  const app = Fastify()
  if (options !== undefined) await app.register(apiCache, options)
  if (hook !== undefined) app.addHook('onSend', hook)
  for (const [name, handler] of Object.entries(handlers)) {
    app.get(`/${name}`, options === undefined ? {} : { config: { cache: { namespace: 'n', expire: { 200: '1m', 404: '1m', 500: '1m' } } } }, handler)
  }
  const { origin } = await listening(t, app)
  return { app, origin }
}

/** How the client is told that the body is what it is. */
function isRead (t: Test, answered: Answered, { headers, bytes, status }: Answered, accepted: string, what: string): void {
  t.equal(answered.status, status, what)
  t.equal(plainOf(answered), plainOf({ headers, bytes } as Answered), what)
  t.equal(answered.headers['content-type'], headers['content-type'], what)
  const { 'content-length': length = `${answered.bytes.length}` } = answered.headers
  t.equal(Number(length), answered.bytes.length, what)
  const isHandlers = answered.headers['content-encoding'] === headers['content-encoding']
  t.ok(isHandlers || codingOf(answered) === accepted || codingOf(answered) === 'identity', what)
}

for (const [what, hook] of Object.entries(hooks)) {
  for (const storeCompressed of [false, true]) {
    test(`${what} makes the same of a body that is compressed${storeCompressed ? ', and kept only so' : ''}`, async (t, options) => {
      const without = await serve(t, hook)
      const { app, origin } = await serve(t, hook, { ...options, compress: ['br', 'gzip'], storeCompressed })
      for (const name of Object.keys(handlers)) {
        for (const accepted of ['br', 'identity', 'gzip', 'br']) {
          for (let times = 0; times < 2; times++) {
            const said = `${name} for ${accepted}`
            const answered = await ask(`${origin}/${name}`, { 'accept-encoding': accepted })
            await app.apiCache.settled()
            isRead(t, answered, await ask(`${without.origin}/${name}`), accepted, said)
          }
        }
        for (const accepted of ['br', 'identity', 'gzip']) {
          const { headers, status } = await ask(`${origin}/${name}`, { 'accept-encoding': accepted })
          if (cached(headers) !== 'HIT' || headers.etag === undefined) continue
          const unchanged = await ask(`${origin}/${name}`, { 'accept-encoding': accepted, 'if-none-match': headers.etag })
          t.equal(unchanged.status, status === 200 ? 304 : status, `${name} for ${accepted}`)
        }
      }
    })
  }
}
