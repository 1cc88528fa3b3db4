import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { asking, cached, cacheStatus, type Answered } from '../http/ask.js'
import { eachTier } from '../support/each-store.js'

/*
 * What the handler did to headers is stored, not a difference of what was there before and after.
 */

const test = eachTier()
const config = { cache: { namespace: 'n', expire: 60, scope: 'shared' } } as const

/** The responses to one caller who fills the cache and to another who then gets a HIT. */
async function twoCallers (t: Test, options: Parameters<typeof asking>[2], declare: (app: FastifyInstance) => unknown): Promise<Answered[]> {
  const { ask } = await asking(t, declare, options)
  const answers = [await ask('/', { 'x-caller': 'one' }), await ask('/', { 'x-caller': 'two' })]
  t.same(answers.map(({ headers }) => cached(headers)), ['MISS', 'HIT'])
  return answers
}

test("a header that a handler sets to a hook's value is the handler's on each HIT", async (t, options) => {
  const answers = await twoCallers(t, options, (app) => {
    app.addHook('onRequest', async (request, reply) => {
      reply.header('content-language', request.headers['x-caller'] === 'one' ? 'en' : 'de')
    })
    app.get('/', { config }, async (_request, reply) => {
      reply.header('content-language', 'en')
      return 'Hello'
    })
  })
  t.same(answers.map(({ headers }) => headers['content-language']), ['en', 'en'])
})

test('a header that a handler removes is gone on each HIT, though no hook had set it for the first caller', async (t, options) => {
  const answers = await twoCallers(t, options, (app) => {
    app.addHook('onRequest', async (request, reply) => {
      if (request.headers['x-caller'] === 'two') reply.header('x-internal', 'secret')
    })
    app.get('/', { config }, async (_request, reply) => {
      reply.removeHeader('X-Internal')
      return 'body'
    })
  })
  t.same(answers.map(({ headers }) => headers['x-internal']), [undefined, undefined])
})

/** How a handler makes its value of a hook's. */
const extending: Record<string, [(value: string) => string, RegExp]> = {
  'at the end': [(value) => `${value}; script-src 'self'`, /^nonce-(one|two); script-src 'self'$/],
  'at the beginning': [(value) => `default-src 'none'; ${value}`, /^default-src 'none'; nonce-(one|two)$/],
  'at both ends': [(value) => `a; ${value}; b`, /^a; nonce-(one|two); b$/]
}

for (const [where, [extend, expected]] of Object.entries(extending)) {
  test(`a hook's header that a handler extends ${where} has each caller's own value on a HIT`, async (t, options) => {
    const answers = await twoCallers(t, options, (app) => {
      app.addHook('onRequest', async (request, reply) => {
        reply.header('content-security-policy', `nonce-${String(request.headers['x-caller'])}`)
      })
      app.get('/', { config }, async (_request, reply) => {
        reply.header('content-security-policy', extend(String(reply.getHeader('content-security-policy'))))
        return 'body'
      })
    })
    const nonces = answers.map(({ headers }) => expected.exec(headers['content-security-policy'] as string)?.[1])
    t.same(nonces, ['one', 'two'])
  })
}

test("a value that only contains a hook's by chance is no extension", async (t, options) => {
  const answers = await twoCallers(t, options, (app) => {
    app.addHook('onRequest', async (request, reply) => { reply.header('x-count', request.headers['x-caller'] === 'one' ? '1' : '7') })
    app.get('/', { config }, async (_request, reply) => {
      reply.header('x-count', '10')
      return 'body'
    })
  })
  t.same(answers.map(({ headers }) => headers['x-count']), ['10', '10'])
})

test("a Content-Type that a hook sets for one caller is not another's", async (t, options) => {
  const answers = await twoCallers(t, options, (app) => {
    app.addHook('onRequest', async (request, reply) => { if (request.headers['x-caller'] === 'one') reply.type('text/one') })
    app.get('/', { config }, async () => 'body')
  })
  t.same(answers.map(({ headers }) => headers['content-type']), ['text/one', 'text/plain; charset=utf-8'])
})

test('a hook that says private for some callers is heard on a HIT', async (t, options) => {
  const answers = await twoCallers(t, options, (app) => {
    app.addHook('onRequest', async (request, reply) => {
      if (request.headers['x-caller'] === 'two') reply.header('cache-control', 'private, max-age=5')
    })
    app.get('/', { config }, async () => 'body')
  })
  t.same(answers.map(({ headers }) => headers['cache-control']), ['no-cache', 'private, max-age=5'])
})

/** As @fastify/accepts-serializer does. */
const shout = (payload: unknown): string => JSON.stringify(payload).toUpperCase()
const chooseSerializer = (app: FastifyInstance): void => {
  app.addHook('onRequest', async (request, reply) => {
    if (request.headers.accept === 'text/loud') reply.type('text/loud').serializer(shout)
  })
}

test('an answer of a serializer that a hook chose is not stored, and a stored one is not used for it', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    chooseSerializer(app)
    app.get('/', { config }, async () => ({ a: 'b' }))
  }, options)
  for (let round = 0; round < 2; round++) {
    const loud = await ask('/', { accept: 'text/loud' })
    t.equal(loud.text, '{"A":"B"}')
    t.match(cacheStatus(loud.headers), 'fwd=bypass;detail=serializer')
    t.equal((await ask('/')).text, '{"a":"b"}')
  }
})

test('an answer of a serializer that a hook chose is stored if the policy varies', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    chooseSerializer(app)
    app.get('/', { config: { cache: { ...config.cache, vary: ['accept'] } } }, async () => ({ a: 'b' }))
  }, options)
  for (const expected of ['MISS', 'HIT']) {
    for (const accept of ['text/loud', 'text/plain']) {
      const { text, headers } = await ask('/', { accept })
      t.equal(cached(headers), expected)
      t.equal(text, accept === 'text/loud' ? '{"A":"B"}' : '{"a":"b"}')
    }
  }
})

test('two serializers of one route share no entry, even if the policy varies on something else', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    chooseSerializer(app)
    app.get('/', { config: { cache: { ...config.cache, vary: ['x-other'] } } }, async () => ({ a: 'b' }))
  }, options)
  for (const expected of ['MISS', 'HIT']) {
    t.match(await ask('/', { accept: 'text/loud' }), { text: '{"A":"B"}', headers: { 'x-api-cache': expected } })
    t.match(await ask('/'), { text: '{"a":"b"}', headers: { 'x-api-cache': expected } })
  }
})

t.test('a file that @fastify/static sends is answered with 304, 206 and 416, as without the plugin', async (t) => {
  const { ask } = await asking(t, (app) => {
    app.register(fastifyStatic, { root: __dirname, serve: false })
    app.get('/', { config }, async (_request, reply) => reply.sendFile('headers.test.js'))
  })
  const { headers, bytes } = await ask('/')
  for (const etag of [headers.etag!]) {
    t.equal((await ask('/', { 'if-none-match': etag })).status, 304)
    const part = await ask('/', { range: 'bytes=0-3' })
    t.equal(part.status, 206)
    t.ok(part.bytes.equals(bytes.subarray(0, 4)))
    t.equal((await ask('/', { range: `bytes=${bytes.length}-` })).status, 416)
  }
})

t.test('an ETag with characters beyond ASCII is compared as it was sent', async (t) => {
  const { ask } = await asking(t, (app) => app.get('/', { config }, async (_request, reply) => reply.header('etag', '"abcdeü"').send('body')))
  for (let round = 0; round < 2; round++) {
    const { etag } = (await ask('/')).headers
    t.equal((await ask('/', { 'if-none-match': etag! })).status, 304, 'as the client got it')
    t.equal((await ask('/', { 'if-none-match': '"abcdeü"' })).status, 304)
    t.equal((await ask('/', { 'if-none-match': '"abcdeö"' })).status, 200)
  }
})

test('Node fetch with If-None-Match, which adds Cache-Control: no-cache, gets a 304 from the cache', async (t, options) => {
  let runs = 0
  const { origin, app } = await asking(t, (app) => app.get('/', { config }, async () => {
    runs++
    return 'body'
  }), options)
  const first = await fetch(origin)
  await first.text()
  await app.apiCache.settled()
  const again = await fetch(origin, { headers: { 'if-none-match': first.headers.get('etag')! } })
  t.equal(again.status, 304)
  t.equal(runs, 1)
  const other = await fetch(origin, { headers: { 'if-none-match': '"other"' } })
  t.equal(other.status, 200)
  await other.text()
  t.equal(runs, 1, 'the cache compares')
  const reloaded = await fetch(origin, { headers: { 'cache-control': 'no-cache' } })
  await reloaded.text()
  t.equal(runs, 2, 'a reload without a condition reaches the handler')
})
