import { PassThrough, Readable } from 'node:stream'
import { patientStores } from '../support/patient-stores.js'
import { keysOf, serving } from '../support/serving.js'

const test = patientStores()
const config = { cache: { namespace: 'headed', expire: 60 } }
const HEAD = { method: 'HEAD' }

for (const serveFrom of ['handler', 'onRequest'] as const) {
  const own = { cache: { ...config.cache, serveFrom } }

  test(`with serveFrom '${serveFrom}' a HEAD shares the entry of its GET`, async (t, options) => {
    let runs = 0
    const { app, request } = await serving(t, options, (app) => app.get('/', { config: own }, async () => ({ run: ++runs })))
    const got = await request('/')
    await app.apiCache.settled()
    const headed = await request('/', HEAD)
    t.match(headed, { status: 200, cache: 'HIT', text: '', type: got.type })
    t.equal(headed.headers.get('content-length'), got.headers.get('content-length'))
    t.equal(headed.headers.get('etag'), got.headers.get('etag'))
    t.equal(runs, 1)
  })

  test(`with serveFrom '${serveFrom}' a HEAD before the first GET stores nothing, and the GET is whole`, async (t, options) => {
    let runs = 0
    const { app, request } = await serving(t, options, (app) => app.get('/', { config: own }, async () => ({ run: ++runs })))
    t.match(await request('/', HEAD), { status: 200, cache: 'MISS', text: '' })
    await app.apiCache.settled()
    t.same(await keysOf(app, 'headed'), [])
    t.match(await request('/'), { cache: 'MISS', text: '{"run":2}' })
    await app.apiCache.settled()
    t.match(await request('/', HEAD), { cache: 'HIT', text: '' })
    t.match(await request('/'), { cache: 'HIT', text: '{"run":2}' })
  })
}

const STREAMS: Record<string, () => unknown> = {
  'a Node stream': () => Readable.from(['0123', '456789']),
  'a web stream': () => new Blob(['0123456789']).stream(),
  'an empty stream': () => Readable.from([])
}

for (const [kind, stream] of Object.entries(STREAMS)) {
  test(`a HEAD of ${kind} that is stored says its length`, async (t, options) => {
    const { app, request } = await serving(t, options, (app) => app.get('/', { config }, async () => stream()))
    await request('/')
    await app.apiCache.settled()
    const got = await request('/')
    const headed = await request('/', HEAD)
    t.match(headed, { status: 200, cache: 'HIT', text: '' })
    for (const name of ['content-length', 'content-type', 'etag']) t.equal(headed.headers.get(name), got.headers.get(name), name)
    t.equal(headed.headers.get('content-length'), String(got.text.length))
    const known = await request('/', { ...HEAD, headers: { 'if-none-match': got.headers.get('etag')! } })
    t.match(known, { status: 304, cache: 'HIT' })
    t.equal(known.headers.get('content-length'), null)
  })
}

test('a HEAD of a stream that a hook changes or encodes says no length', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => {
    app.addHook('onSend', async (request, reply, payload) => {
      if (request.url === '/encoded') reply.header('content-encoding', 'own')
      return (payload as Readable).pipe(new PassThrough())
    })
    for (const path of ['/changed', '/encoded']) app.get(path, { config }, async () => Readable.from(['0123456789']))
  })
  for (const path of ['/changed', '/encoded']) {
    await request(path)
    await app.apiCache.settled()
    const headed = await request(path, HEAD)
    t.match(headed, { status: 200, cache: 'HIT' })
    t.equal(headed.headers.get('content-length'), null)
  }
})

test('concurrent HEADs and GETs store a whole entry', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => app.get('/', { config }, async () => {
    await new Promise((resolve) => { setImmediate(resolve) })
    return { whole: true }
  }))
  const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => request('/', index % 2 === 0 ? HEAD : {})))
  answers.forEach(({ text }, index) => t.equal(text, index % 2 === 0 ? '' : '{"whole":true}'))
  await app.apiCache.settled()
  t.match(await request('/'), { cache: 'HIT', text: '{"whole":true}' })
})

test('a separate HEAD route with the policy of its GET uses the same entry', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => {
    app.head('/', { config }, async (_request, reply) => reply.header('x-own', 'head').send())
    app.get('/', { config }, async () => ({ whole: true }))
  })
  t.match(await request('/', HEAD), { cache: 'MISS', text: '' })
  t.match(await request('/'), { cache: 'MISS', text: '{"whole":true}' })
  await app.apiCache.settled()
  t.match(await request('/', HEAD), { cache: 'HIT', text: '' })
})
