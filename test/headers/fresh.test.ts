import { randomUUID } from 'node:crypto'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Test } from 'tap'
import apiCache, { type ApiCacheOptions } from '../../index.js'
import { patientStores } from '../support/patient-stores.js'
import { listening, serving, type Serving } from '../support/serving.js'

const test = patientStores()
const config = { cache: { namespace: 'headed', expire: 60, scope: 'shared' as const } }

/** What an application sets for each request, whatever the route. */
function perRequest (request: FastifyRequest, reply: FastifyReply, place: string): void {
  const nonce = randomUUID()
  reply.headers({
    [`x-request-id-${place}`]: String(request.headers['x-id']),
    [`x-ratelimit-remaining-${place}`]: nonce,
    [`content-security-policy-${place}`]: `script-src 'nonce-${nonce}'`
  })
  reply.header('access-control-allow-origin', request.headers.origin ?? '*')
  reply.header('vary', 'Origin')
}

const STAGES = ['onRequest', 'preParsing', 'preValidation', 'preHandler', 'onSend'] as const
type Stage = typeof STAGES[number]

function hook (app: FastifyInstance, stage: Stage, place: string): void {
  app.addHook(stage as 'onSend', hookOf(place))
}

/** For any stage: Fastify counts the arguments of an async hook. */
function hookOf (place: string) {
  return async (request: FastifyRequest, reply: FastifyReply, ...[payload]: unknown[]): Promise<unknown> => {
    perRequest(request, reply, place)
    return payload
  }
}

async function placed (t: Test, options: ApiCacheOptions, stage: Stage, handler: (reply: FastifyReply) => unknown): Promise<Serving> {
  const app = Fastify()
  hook(app, stage, 'before')
  await app.register(apiCache, options)
  hook(app, stage, 'after')
  await app.register(async (child) => {
    hook(child, stage, 'child')
    child.get('/', {
      config,
      [stage]: hookOf('route')
    }, async (_request, reply) => handler(reply))
  })
  hook(app, stage, 'late')
  return await listening(t, app)
}

for (const stage of STAGES) {
  test(`headers that hooks in ${stage} set for each request are fresh on a HIT`, async (t, options) => {
    const { app, request } = await placed(t, options, stage, () => ({ body: true }))
    const seen = new Set<string>()
    for (const [id, cache] of ['MISS', 'HIT', 'HIT', 'HIT'].entries()) {
      const { headers, cache: told } = await request('/', { headers: { 'x-id': String(id), origin: `http://${id}.example` } })
      t.equal(told, cache)
      t.equal(headers.get('access-control-allow-origin'), `http://${id}.example`)
      t.equal(headers.get('vary'), 'Origin')
      for (const place of ['before', 'after', 'child', 'late', 'route']) {
        t.equal(headers.get(`x-request-id-${place}`), String(id))
        seen.add(headers.get(`x-ratelimit-remaining-${place}`)!)
        t.match(headers.get(`content-security-policy-${place}`), headers.get(`x-ratelimit-remaining-${place}`)!)
      }
      await app.apiCache.settled()
    }
    t.equal(seen.size, 20, 'each one once')
  })
}

test('headers that a preSerialization hook sets are stored with the response, like the payload that it returns', async (t, options) => {
  let answers = 0
  const { app, request } = await serving(t, options, (app) => {
    app.addHook('preSerialization', async (_request, reply, payload) => {
      reply.header('x-total', String(++answers))
      return payload
    })
    app.get('/', { config }, async () => ({ body: true }))
  })
  for (const cache of ['MISS', 'HIT', 'HIT']) {
    const seen = await request('/')
    t.equal(seen.cache, cache)
    t.equal(seen.headers.get('x-total'), '1')
    await app.apiCache.settled()
  }
})

test('headers that the handler set are replayed, and replace those of a hook', async (t, options) => {
  const { app, request } = await placed(t, options, 'onRequest', (reply) => {
    reply.headers({
      link: ['</a>; rel="next"', '</b>; rel="prev"'],
      'x-handler': 'own',
      'x-number': 7,
      'x-empty': '',
      'x-request-id-after': 'of the handler',
      'content-language': 'de'
    })
    reply.removeHeader('x-request-id-before')
    reply.raw.setHeader('x-raw', ['1', '2'])
    return { body: true }
  })
  for (const cache of ['MISS', 'HIT', 'HIT']) {
    const { headers, cache: told } = await request('/', { headers: { 'x-id': '1' } })
    t.equal(told, cache)
    t.equal(headers.get('link'), '</a>; rel="next", </b>; rel="prev"')
    t.equal(headers.get('x-raw'), '1, 2')
    t.equal(headers.get('x-handler'), 'own')
    t.equal(headers.get('x-number'), '7')
    t.equal(headers.get('x-empty'), '')
    t.equal(headers.get('x-request-id-after'), 'of the handler')
    t.equal(headers.get('content-language'), 'de')
    t.equal(headers.get('x-request-id-before'), null)
    t.equal(headers.get('x-request-id-late'), '1')
    await app.apiCache.settled()
  }
})

test('a header with several lines has several lines on a HIT, too', async (t, options) => {
  const { app } = await serving(t, options, (app) => app.get('/', { config }, async (_request, reply) => reply.header('link', ['</a>', '</b>']).send('body')))
  for (const cache of ['MISS', 'HIT']) {
    const { headers } = await app.inject('/')
    t.equal(headers['x-api-cache'], cache)
    t.same(headers.link, ['</a>', '</b>'])
    await app.apiCache.settled()
  }
})

test('hop-by-hop headers are never replayed', async (t, options) => {
  let runs = 0
  const { app } = await serving(t, options, (app) => app.get('/', { config }, async (_request, reply) => {
    if (runs++ === 0) {
      reply.headers({
        connection: 'close, X-Listed',
        'x-listed': 'by connection',
        'keep-alive': 'timeout=9',
        'proxy-connection': 'close',
        te: 'trailers',
        upgrade: 'h2c',
        'proxy-authenticate': 'Basic',
        'proxy-authentication-info': 'x',
        'proxy-authorization': 'y',
        'set-cookie2': 'z',
        'x-kept': 'yes'
      })
    }
    return { body: true }
  }))
  t.equal((await app.inject('/')).headers['x-listed'], 'by connection')
  await app.apiCache.settled()
  const { headers } = await app.inject('/')
  t.equal(headers['x-api-cache'], 'HIT')
  t.equal(headers['x-kept'], 'yes')
  for (const name of ['x-listed', 'proxy-connection', 'te', 'upgrade', 'proxy-authenticate', 'proxy-authentication-info', 'proxy-authorization', 'set-cookie2']) {
    t.equal(headers[name], undefined, name)
  }
  t.not(headers.connection, 'close, X-Listed')
  t.not(headers['keep-alive'], 'timeout=9')
})

// Ways to set a cookie, and where it is done.
const COOKIES: Record<string, (app: FastifyInstance) => void> = {
  'the handler': () => {},
  'an onRequest hook': (app) => app.addHook('onRequest', async (request, reply) => { reply.header('set-cookie', `a=${request.id}`) }),
  'an onSend hook': (app) => app.addHook('onSend', async (request, reply, payload) => { reply.header('set-cookie', `a=${request.id}`); return payload }),
  'a hook that writes to the raw response': (app) => app.addHook('preHandler', async (request, reply) => { reply.raw.setHeader('Set-Cookie', [`a=${request.id}`, 'b=2']) })
}

for (const [who, declare] of Object.entries(COOKIES)) {
  for (const order of ['before', 'after'] as const) {
    test(`a response to which ${who} adds Set-Cookie is not stored, registered ${order} the plugin`, async (t, options) => {
      const app = Fastify()
      if (order === 'before') declare(app)
      await app.register(apiCache, options)
      if (order === 'after') declare(app)
      const { request } = await listening(t, app, (app) => app.get('/', { config }, async ({ id }, reply) => {
        if (who === 'the handler') reply.header('set-cookie', `a=${id}`)
        return { id }
      }))
      const seen = [await request('/'), await request('/'), await request('/')]
      t.same(seen.map(({ cache }) => cache), ['MISS', 'MISS', 'MISS'])
      for (const { headers, text } of seen) t.match(headers.get('set-cookie'), `a=${(JSON.parse(text) as { id: string }).id}`)
      t.equal(app.apiCache.stats().stored, 0)
    })
  }
}

test('if hooks set cookies for some requests, a HIT has only its own', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => {
    app.addHook('onSend', async (request, reply, payload) => {
      if (request.headers['x-id'] !== undefined) reply.header('set-cookie', `id=${String(request.headers['x-id'])}`)
      return payload
    })
    app.get('/', { config }, async () => ({ body: true }))
  })
  await request('/')
  await app.apiCache.settled()
  t.match(await request('/', { headers: { 'x-id': '1' } }), { cache: 'HIT' })
  t.equal((await request('/', { headers: { 'x-id': '2' } })).headers.get('set-cookie'), 'id=2')
  t.equal((await request('/')).headers.get('set-cookie'), null)
})
