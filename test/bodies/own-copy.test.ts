import { Readable } from 'node:stream'
import Fastify, { type FastifyReply, type RouteHandlerMethod } from 'fastify'
import apiCache, { type ApiCacheOptions } from '../../index.js'
import { asking, cached } from '../http/ask.js'
import { eachTier } from '../support/each-store.js'
import { gate } from '../support/gate.js'
import { listening } from '../support/serving.js'

const test = eachTier()
const config = { cache: { namespace: 'n', expire: 60 } }
const LINKS = ['</a>', '</b>']
const BYTES = Buffer.from('0123456789')

const handlers: Record<string, RouteHandlerMethod> = {
  'a Buffer': async (_request, reply) => reply.header('link', [...LINKS]).send(Buffer.from(BYTES)),
  'a Uint8Array': async (_request, reply) => reply.header('link', [...LINKS]).send(new Uint8Array(BYTES)),
  'a stream': async (_request, reply) => reply.header('link', [...LINKS]).send(Readable.from([Buffer.from(BYTES)])),
  'a string': async (_request, reply) => reply.header('link', [...LINKS]).send(BYTES.toString())
}

/** What a hook of an application may do to what is its own. */
function scribble (reply: FastifyReply, payload: unknown): void {
  const link = reply.getHeader('link')
  if (Array.isArray(link)) link.push('</someone>')
  if (Buffer.isBuffer(payload)) payload.fill('x')
}

for (const [kind, handler] of Object.entries(handlers)) {
  test(`a hook that changes the headers and bytes of ${kind} does not affect other responses`, async (t, options) => {
    const { ask } = await asking(t, (app) => {
      app.addHook('onSend', async (request, reply, payload) => {
        if (request.headers['x-scribble'] !== undefined) scribble(reply, payload)
        return payload
      })
      app.get('/', { config }, handler)
    }, options)
    for (const [headers, states] of [[{ 'x-scribble': 'yes' }, ['MISS', 'HIT', 'HIT']], [{}, ['HIT', 'HIT']]] as const) {
      for (const state of states) {
        const { bytes, headers: received } = await ask('/', headers)
        t.equal(cached(received), state)
        if ('x-scribble' in headers) t.equal(received.link, '</a>, </b>, </someone>')
        else t.same([bytes.toString(), received.link], [BYTES.toString(), LINKS.join(', ')])
      }
    }
    for (const range of ['bytes=0-3', 'bytes=0-3']) await ask('/', { range, 'x-scribble': 'yes' })
    t.equal((await ask('/')).text, BYTES.toString())
  })

  test(`a hook that changes a range of ${kind} on a MISS does not change what is stored`, async (t, options) => {
    const { ask } = await asking(t, (app) => {
      app.addHook('onSend', async (request, reply, payload) => {
        if (request.headers.range !== undefined) scribble(reply, payload)
        return payload
      })
      app.get('/', { config }, handler)
    }, options)
    await ask('/', { range: 'bytes=0-3' })
    const { text, headers } = await ask('/')
    t.same([text, cached(headers), headers.link], [BYTES.toString(), 'HIT', LINKS.join(', ')])
  })
}

test('requests that share one fill, or one lookup, each get their own copy of the response', async (t, options) => {
  const { origin, app } = await concurrently(options)
  t.teardown(() => app.close())
  const wanted = [BYTES.toString(), LINKS.join(', ')]
  for (const state of ['collapsed', 'HIT']) {
    const seen = await Promise.all(Array.from({ length: 20 }, async (_, caller) => {
      const response = await fetch(origin, caller % 2 === 0 ? {} : { headers: { 'x-scribble': 'yes' } })
      return { scribbled: caller % 2 === 1, got: [await response.text(), response.headers.get('link')] }
    }))
    for (const { scribbled, got } of seen) if (!scribbled) t.same(got, wanted, state)
    await app.apiCache.settled()
  }
  t.same(app.apiCache.stats().misses, 1)

  async function concurrently (options: ApiCacheOptions): Promise<{ origin: string, app: ReturnType<typeof Fastify> }> {
    const app = Fastify()
    await app.register(apiCache, options)
    const all = gate()
    let arrived = 0
    app.addHook('onRequest', async () => { if (++arrived === 20) all.open() })
    app.addHook('onSend', async (request, reply, payload) => {
      if (request.headers['x-scribble'] !== undefined) scribble(reply, payload)
      return payload
    })
    app.get('/', { config }, async (request, reply) => {
      await all.opened
      return await (handlers['a Buffer'] as (...args: unknown[]) => Promise<unknown>).call(app, request, reply)
    })
    return { origin: (await listening(t, app)).origin, app }
  }
})

test('a handler that changes its payload after sending it does not change what is stored', async (t, options) => {
  const payload = { rows: ['row'] }
  const bytes = Buffer.from('bytes')
  const { ask } = await asking(t, (app) => {
    app.get('/object', { config }, async () => payload)
    app.get('/bytes', { config }, async () => bytes)
    app.addHook('onResponse', async (request) => {
      if (request.url === '/object') payload.rows.push('another')
      else bytes.fill('x')
    })
  }, options)
  for (const path of ['/object', '/bytes']) await ask(path)
  t.equal((await ask('/object')).text, '{"rows":["row"]}')
  t.equal((await ask('/bytes')).text, 'bytes')
})
