import t from 'tap'
import { asking, cached } from './ask.js'

const cache = { namespace: 'vary', expire: 60 }

t.test('responses that vary on a request header are stored separately', async (t) => {
  let runs = 0
  const { ask } = await asking(t, (app) => app.get('/', { config: { cache } }, async (request, reply) => {
    runs++
    reply.header('vary', 'Accept-Language')
    return request.headers['accept-language'] ?? 'none'
  }))
  for (const state of ['MISS', 'HIT']) {
    for (const language of ['de', 'en', '']) {
      const { text, headers } = await ask('/', language === '' ? {} : { 'accept-language': language })
      t.equal(text, language || 'none')
      t.equal(cached(headers), state)
      t.equal(headers.vary, 'Accept-Language')
    }
  }
  t.equal(runs, 3)
})

t.test('an absent header differs from an empty one', async (t) => {
  const { ask } = await asking(t, (app) => app.get('/', { config: { cache } }, async (request, reply) => {
    reply.header('vary', 'x-own')
    return { own: request.headers['x-own'] ?? 'none' }
  }))
  t.equal((await ask()).text, '{"own":"none"}')
  t.equal((await ask('/', { 'x-own': '' })).text, '{"own":""}')
  t.equal((await ask()).text, '{"own":"none"}')
})

t.test('all headers of a Vary count, in any case and order, also on several lines', async (t) => {
  let vary: string | string[] = 'a, B'
  const { ask } = await asking(t, (app) => app.get('/', { config: { cache } }, async (request, reply) => {
    reply.header('vary', vary)
    return `${request.headers['a']}${request.headers['b']}`
  }))
  t.equal((await ask('/', { a: '1', b: '1' })).text, '11')
  vary = ['b', 'A']
  t.equal((await ask('/', { a: '1', b: '2' })).text, '12')
  const again = await ask('/', { a: '1', b: '1' })
  t.equal(again.text, '11')
  t.equal(cached(again.headers), 'HIT')
})

t.test('a route whose responses vary on the host keeps hosts apart, in the key or by Vary', async (t) => {
  for (const policy of [{ ...cache, vary: ['Host'] }, cache]) {
    const { ask } = await asking(t, (app) => app.get('/', { config: { cache: policy } }, async (request, reply) => {
      if (!('vary' in policy)) reply.header('vary', 'host')
      return request.host
    }))
    for (const state of ['MISS', 'HIT']) {
      for (const host of ['a.example', 'b.example']) {
        const { text, headers } = await ask('/', { host })
        t.equal(text, host)
        t.equal(cached(headers), state)
      }
    }
  }
})

t.test('a response with Vary: * is never stored, whatever was stored before', async (t) => {
  let vary = 'accept'
  let runs = 0
  const { app, ask } = await asking(t, (app) => app.get('/', { config: { cache } }, async (_request, reply) => {
    reply.header('vary', vary)
    return { runs: ++runs }
  }))
  await ask()
  vary = '*'
  await app.apiCache.invalidate('vary')
  await ask()
  const { text, headers } = await ask()
  t.equal(text, '{"runs":3}')
  t.equal(cached(headers), 'MISS')
})

t.test('a response with too many headers in its Vary is not stored', async (t) => {
  const { ask } = await asking(t, (app) => app.get('/', { config: { cache } }, async (_request, reply) => {
    reply.header('vary', Array.from({ length: 17 }, (_, index) => `x-${index}`).join())
    return 'any'
  }))
  await ask()
  const { headers } = await ask()
  t.equal(cached(headers), 'MISS')
  t.match(headers['cache-status'], 'detail=vary')
})

t.test('a Vary that only hooks set creates no variants; one that the handler adds to does', async (t) => {
  let runs = 0
  const { ask } = await asking(t, (app) => {
    app.addHook('onRequest', async (_request, reply) => { reply.header('vary', 'Origin') })
    app.get('/hooks', { config: { cache } }, async () => ({ runs: ++runs }))
    app.get('/both', { config: { cache } }, async (request, reply) => {
      reply.header('vary', `${String(reply.getHeader('vary'))}, Accept`)
      return `${request.headers.origin} ${request.headers.accept}`
    })
  })
  await ask('/hooks', { origin: 'http://a.example' })
  const shared = await ask('/hooks', { origin: 'http://b.example' })
  t.equal(cached(shared.headers), 'HIT')
  t.equal(shared.headers.vary, 'Origin')
  t.equal((await ask('/both', { origin: 'a', accept: 'text/a' })).text, 'a text/a')
  t.equal((await ask('/both', { origin: 'b', accept: 'text/a' })).text, 'b text/a')
  t.equal((await ask('/both', { origin: 'b', accept: 'text/b' })).text, 'b text/b')
})

t.test('a Vary of headers that are already part of the key creates no variants', async (t) => {
  const { app, origin, ask } = await asking(t, (app) => {
    app.get('/', { config: { cache: { ...cache, vary: ['Accept-Language'] } } }, async (_request, reply) => {
      reply.header('vary', 'accept-language')
      return 'answer'
    })
  })
  await ask('/', { 'accept-language': 'de' })
  const keys: string[] = []
  for await (const key of app.apiCache.keys('vary')) keys.push(key)
  t.same(keys.map((key) => key.replace(/ revision=\S+/, '')), [`api-cache|vary:GET / ${origin} accept-language=de`])
})
