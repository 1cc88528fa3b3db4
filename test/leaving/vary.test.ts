import type { FastifyInstance, FastifyRequest } from 'fastify'
import t from 'tap'
import { asking, cached, cacheStatus } from '../http/ask.js'
import { gate } from '../support/gate.js'
import { eachTier } from '../support/each-store.js'

/*
 * Each field that Vary names when the response leaves chooses between variants, whoever set it.
 */

const test = eachTier()
const config = { cache: { namespace: 'n', expire: 60, scope: 'shared' } } as const

declare module 'fastify' {
  interface FastifyRequest {
    lang?: string
  }
}

const pick = (request: FastifyRequest): string => request.headers['accept-language']?.startsWith('de') === true ? 'Hallo' : 'Hello'

/** Who names the language in Vary; all answer in the language of the request. */
const naming: Record<string, (app: FastifyInstance) => void> = {
  'an onRequest hook': (app) => {
    app.addHook('onRequest', async (request, reply) => {
      request.lang = pick(request)
      reply.header('vary', 'Accept-Language')
    })
    app.get('/', { config }, async (request) => request.lang)
  },
  'an onRequest hook, only where the request has the field,': (app) => {
    app.addHook('onRequest', async (request, reply) => {
      if (request.headers['accept-language'] !== undefined) reply.header('vary', 'Accept-Language')
    })
    app.get('/', { config }, async (request) => pick(request))
  },
  'a preHandler hook': (app) => {
    app.addHook('preHandler', async (request, reply) => {
      request.lang = pick(request)
      reply.header('vary', 'Accept-Language')
    })
    app.get('/', { config }, async (request) => request.lang)
  },
  'the handler': (app) => app.get('/', { config }, async (request, reply) => {
    reply.header('vary', 'Accept-Language')
    return pick(request)
  }),
  'a preSerialization hook': (app) => {
    app.addHook('preSerialization', async (request, reply) => {
      reply.header('vary', 'Accept-Language')
      return { text: pick(request) }
    })
    app.get('/', { config }, async () => ({}))
  },
  'an onSend hook': (app) => {
    app.addHook('onSend', async (_request, reply) => { reply.header('vary', 'Accept-Language') })
    app.get('/', { config }, async (request) => pick(request))
  },
  'an onSend hook of the route': (app) => app.get('/', {
    config,
    onSend: async (_request, reply) => { reply.header('vary', 'Accept-Language') }
  }, async (request) => pick(request)),
  'a Response': (app) => app.get('/', { config }, async (request) =>
    new Response(pick(request), { headers: { vary: 'Accept-Language', 'content-type': 'text/plain' } }))
}

for (const [who, declare] of Object.entries(naming)) {
  test(`nobody gets another language if ${who} names it in Vary`, async (t, options) => {
    const { ask } = await asking(t, declare, options)
    // What a key varies on may only show in its second round.
    for (const expected of ['any', 'any', 'HIT', 'HIT']) {
      for (const headers of [{}, { 'accept-language': 'de' }, { 'accept-language': 'en' }] as Array<Record<string, string>>) {
        const answered = await ask('/', headers)
        t.match(answered.text, headers['accept-language'] === 'de' ? 'Hallo' : 'Hello')
        if (expected === 'HIT') t.equal(cached(answered.headers), 'HIT', `${who} ${headers['accept-language']}`)
      }
    }
  })
}

test('requests that wait for another language run their own handler', async (t, options) => {
  const { opened, open } = gate()
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', async (_request, reply) => { reply.header('vary', 'Accept-Language') })
    app.get('/', { config }, async (request) => {
      await opened
      return pick(request)
    })
  }, options)
  const answers = ['de', 'en', 'de', 'en'].map(async (lang) => (await ask('/', { 'accept-language': lang })).text)
  open()
  t.same(await Promise.all(answers), ['Hallo', 'Hello', 'Hallo', 'Hello'])
})

t.test('Origin and Accept-Encoding that hooks name create no variants, from before or behind the handler', async (t) => {
  let runs = 0
  const { ask } = await asking(t, (app) => {
    app.addHook('onRequest', async (request, reply) => {
      reply.headers({ vary: 'Origin', 'access-control-allow-origin': request.headers.origin ?? '*' })
    })
    app.addHook('onSend', async (_request, reply) => {
      reply.header('vary', `${String(reply.getHeader('vary'))}, Accept-Encoding`)
    })
    app.get('/', { config }, async () => {
      runs++
      return 'body'
    })
  })
  for (const origin of ['a', 'b', 'c']) {
    const { headers } = await ask('/', { origin, 'accept-encoding': origin })
    t.equal(headers['access-control-allow-origin'], origin)
    t.equal(headers.vary, 'Origin, Accept-Encoding')
  }
  t.equal(runs, 1)
})

test("a handler's own Vary: Origin counts, though a hook sets the same", async (t, options) => {
  const { ask } = await asking(t, (app) => {
    app.addHook('onRequest', async (_request, reply) => { reply.header('vary', 'Origin') })
    app.get('/', { config }, async (request, reply) => {
      reply.header('vary', 'Origin')
      return { for: request.headers.origin }
    })
  }, options)
  for (let round = 0; round < 2; round++) {
    for (const origin of ['https://a.example', 'https://b.example']) {
      t.equal((await ask('/', { origin })).text, JSON.stringify({ for: origin }))
    }
  }
})

/** Values of a request header that share one variant with the first, and others that do not. */
const forms: Record<string, { same: string[], other: string[] }> = {
  'accept-language': {
    same: ['de, en;q=0.5', ' DE ,en;q=0.50', 'en;q=0.5,de;q=1.0', 'de;q=1,en; q=0.5'],
    other: ['de', 'en', 'en, de;q=0.5', 'de, en;q=0.6', 'de, en']
  },
  accept: {
    same: ['text/html, application/json;q=0.9', 'TEXT/HTML,application/json;q=0.90', 'application/json ;q=0.9 , text/html'],
    other: ['text/html', 'application/json, text/html;q=0.9', 'text/html;level=1, application/json;q=0.9']
  },
  foo: {
    same: ['1,2', ' 1, 2 ', '1 ,2', '1, ,2'],
    other: ['2,1', '1', '"1,2"', '1,2,3']
  }
}

for (const [name, { same, other }] of Object.entries(forms)) {
  t.test(`values of ${name} that mean the same choose one variant`, async (t) => {
    let runs = 0
    const { ask } = await asking(t, (app) => app.get('/', { config }, async (_request, reply) => {
      runs++
      return reply.header('vary', name).send('body')
    }))
    for (const value of same) await ask('/', { [name]: value })
    t.equal(runs, 1)
    for (const value of other) await ask('/', { [name]: value })
    t.equal(runs, 1 + other.length)
  })
}

t.test('languages of equal weight are interchangeable; media types of equal weight are not', async (t) => {
  const { ask } = await asking(t, (app) => app.get('/', { config }, async (_request, reply) =>
    reply.header('vary', 'accept, accept-language').send('body')))
  await ask('/', { accept: 'text/a, text/b', 'accept-language': 'de, en' })
  t.equal(cached((await ask('/', { accept: 'text/a, text/b', 'accept-language': 'en, de' })).headers), 'HIT')
  t.equal(cached((await ask('/', { accept: 'text/b, text/a', 'accept-language': 'de, en' })).headers), 'MISS')
})

test('a key has at most 100 variants at a time; further ones bypass it, and those stay HITs', async (t, options) => {
  let runs = 0
  const { app, ask } = await asking(t, (app) => app.get('/', { config }, async (request, reply) => {
    runs++
    return reply.header('vary', 'x-who').send(String(request.headers['x-who']))
  }), options)
  for (let who = 0; who < 120; who++) {
    const { text, headers } = await ask('/', { 'x-who': String(who) })
    t.equal(text, String(who))
    if (who >= 100) t.match(cacheStatus(headers), 'fwd=bypass;detail=variants')
  }
  t.equal(cached((await ask('/', { 'x-who': '50' })).headers), 'HIT')
  t.equal(runs, 120)
  await app.apiCache.invalidate('n')
  t.match(cacheStatus((await ask('/', { 'x-who': '119' })).headers), 'stored', 'after a write there is room again')
})

t.test('a response that may be reused names in Vary what tells callers apart', async (t) => {
  const fresh = { namespace: 'n', expire: 60, clientExpire: 30 } as const
  const { ask } = await asking(t, (app) => {
    app.get('/anonymous', { config: { cache: fresh } }, async () => 'body')
    app.get('/scoped', { config: { cache: { ...fresh, scope: () => 'bob' } } }, async () => 'body')
    app.get('/shared', { config: { cache: { ...fresh, scope: 'shared', vary: ['Accept-Language'] } } }, async () => 'body')
    app.get('/own', { config: { cache: { namespace: 'n', expire: 60, scope: 'shared', vary: ['x-a'] } } }, async (_request, reply) =>
      reply.headers({ 'cache-control': 'max-age=5', vary: 'X-B' }).send('body'))
    app.get('/asked', { config: { cache: { namespace: 'n', expire: 60, vary: ['x-a'] } } }, async () => 'body')
  })
  for (let round = 0; round < 2; round++) {
    t.equal((await ask('/anonymous')).headers.vary, 'authorization, cookie')
    t.equal((await ask('/scoped')).headers.vary, 'authorization, cookie')
    t.equal((await ask('/shared')).headers.vary, 'accept-language')
    t.equal((await ask('/own')).headers.vary, 'X-B, x-a')
    t.equal((await ask('/asked')).headers.vary, undefined, 'a client that asks each time needs none')
  }
})
