import t from 'tap'
import { serving } from '../support/serving.js'
import { asking, cached } from './ask.js'

const config = { cache: { namespace: 'headers', expire: 60 } }

t.test('hop-by-hop fields are not stored, nor those that Connection lists', async (t) => {
  const { ask } = await asking(t, (app) => app.get('/', { config }, async (_request, reply) => {
    reply.headers({
      connection: 'close, X-Listed',
      'x-listed': 'per connection',
      'x-kept': 'kept',
      'keep-alive': 'timeout=5',
      'proxy-authenticate': 'Basic',
      'proxy-connection': 'close',
      te: 'trailers'
    })
    return 'body'
  }))
  await ask()
  const { headers } = await ask()
  t.equal(cached(headers), 'HIT')
  t.equal(headers['x-kept'], 'kept')
  for (const name of ['x-listed', 'proxy-authenticate', 'proxy-connection', 'te']) t.notOk(headers[name], name)
  t.notMatch(headers.connection ?? '', /listed/i)
  t.not(headers['keep-alive'], 'timeout=5')
})

t.test('a header with several lines has several lines on a HIT', async (t) => {
  const { app } = await asking(t, (app) => app.get('/', { config }, async (_request, reply) => {
    reply.header('link', ['</a>', '</b>'])
    return 'body'
  }))
  await app.inject('/')
  await app.apiCache.settled()
  const hit = await app.inject('/')
  t.same(hit.headers['link'], ['</a>', '</b>'])
})

for (const [what, name, value] of [
  ['a line break', 'x-broken', 'a\nb'], ['a NUL', 'x-broken', 'a\0b'], ['a character beyond Latin-1', 'x-broken', '€'],
  ['a name with a space', 'x broken', 'a'], ['an empty name', '', 'a'], ['a broken line among several', 'x-broken', ['a', 'b\r\n']]
] as const) {
  t.test(`a response that Node refuses to send is not stored: ${what}`, async (t) => {
    let isBroken = true
    const { app, request } = await serving(t, {}, (app) => app.get('/', { config }, async (_request, reply) => {
      if (isBroken) reply.header(name, value as string)
      return 'body'
    }))
    for (let round = 0; round < 2; round++) {
      t.match(await request('/'), { status: 500, cache: null })
      await app.apiCache.settled()
    }
    isBroken = false
    t.match(await request('/'), { status: 200, cache: 'MISS', text: 'body' })
    await app.apiCache.settled()
    t.match(await request('/'), { status: 200, cache: 'HIT', text: 'body' })
  })
}

t.test('headers without a value, and with numbers, are stored with their response', async (t) => {
  const { app, request } = await serving(t, {}, (app) => app.get('/', { config }, async (_request, reply) => {
    reply.header('x-undefined', undefined).header('x-empty', '').header('x-number', 5).header('x-latin', 'ä')
    return 'body'
  }))
  const { headers } = await request('/')
  await app.apiCache.settled()
  const hit = await request('/')
  t.equal(hit.cache, 'HIT')
  for (const name of ['x-undefined', 'x-empty', 'x-number', 'x-latin']) t.equal(hit.headers.get(name), headers.get(name), name)
})

t.test('MISS and HIT have the Date of the fill, and the Age since then', async (t) => {
  const told: unknown[] = []
  const { ask } = await asking(t, (app) => app.get('/:own', {
    config,
    onSend: async (_request, reply) => { told.push(reply.getHeader('date')) }
  }, async (request, reply) => {
    if ((request.params as { own: string }).own === 'own') reply.headers({ date: new Date(Date.now() - 10_000).toUTCString(), age: '20' })
    return 'body'
  }))
  const miss = await ask('/none')
  t.notOk(miss.headers.age)
  const hit = await ask('/none')
  t.ok(hit.headers.date)
  t.equal(hit.headers.date, miss.headers.date)
  t.same(told, [undefined, undefined], 'it is added after all hooks')
  t.match(hit.headers.age, /^[01]$/)

  const own = await ask('/own')
  t.equal(own.headers.age, '20')
  const again = await ask('/own')
  t.equal(again.headers.date, own.headers.date)
  t.match(again.headers.age, /^2[01]$/)
})

t.test('Content-Length is right on MISS, HIT, 304, 206 and HEAD', async (t) => {
  const { ask } = await asking(t, (app) => app.get('/', { config }, async () => 'grüße'))
  const miss = await ask()
  t.equal(miss.headers['content-length'], '7')
  const hit = await ask()
  t.equal(hit.headers['content-length'], '7')
  t.equal(hit.bytes.length, 7)
  t.notOk((await ask('/', { 'if-none-match': hit.headers.etag! })).headers['content-length'])
  t.equal((await ask('/', { range: 'bytes=0-1' })).headers['content-length'], '2')
  t.equal((await ask('/', {}, 'HEAD')).headers['content-length'], '7')
})
