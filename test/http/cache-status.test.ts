import { Readable } from 'node:stream'
import { parseList } from 'structured-headers'
import t from 'tap'
import { asking, cacheStatus } from './ask.js'

const cache = { namespace: 'status', expire: 60 }

/** The parameters of this cache's member, which stands last. */
function told (header: string | undefined): Record<string, unknown> {
  const members = parseList(header!)
  const [name, parameters] = members.at(-1)!
  t.equal(String(name), 'fastify-api-cache')
  return Object.fromEntries([...parameters].map(([key, value]) => [key, typeof value === 'object' ? String(value) : value]))
}

t.test('Cache-Status says that a MISS was stored, and how long a HIT is fresh', async (t) => {
  const { ask } = await asking(t, (app) => app.get('/', { config: { cache } }, async () => 'any'))
  t.same(told(cacheStatus((await ask()).headers)), { fwd: 'uri-miss', stored: true })
  const { hit, ttl, ...rest } = told(cacheStatus((await ask()).headers))
  t.equal(hit, true)
  t.ok(Number(ttl) >= 58 && Number(ttl) <= 60)
  t.same(rest, {})
})

const reasons: Record<string, [headers: Record<string, string>, expected: Record<string, unknown>]> = {
  'of its credentials': [{ cookie: 'a=b' }, { fwd: 'bypass', detail: 'credentials' }],
  'of its no-store': [{ 'cache-control': 'no-store' }, { fwd: 'request', detail: 'no-store' }],
  'of its no-cache': [{ 'cache-control': 'no-cache' }, { fwd: 'request', stored: true }]
}
for (const [because, [headers, expected]] of Object.entries(reasons)) {
  t.test(`Cache-Status says that a request is not a HIT because ${because}`, async (t) => {
    const { ask } = await asking(t, (app) => app.get('/', { config: { cache } }, async () => 'any'))
    await ask()
    t.same(told(cacheStatus((await ask('/', headers)).headers)), expected)
  })
}

t.test('Cache-Status says that an invalidated entry is stale', async (t) => {
  const { ask } = await asking(t, (app) => {
    app.get('/', { config: { cache: { ...cache, expire: 60 } } }, async () => 'any')
    app.post('/', { config: { cache: { invalidate: 'status' } } }, async () => 'done')
  })
  await ask()
  await ask('/', {}, 'POST')
  t.match(told(cacheStatus((await ask()).headers)), { stored: true })
})

t.test('Cache-Status says why a response may not be stored', async (t) => {
  const { ask } = await asking(t, (app) => app.get('/', { config: { cache } }, async (_request, reply) => {
    reply.header('set-cookie', 'a=b')
    return 'any'
  }))
  t.same(told(cacheStatus((await ask()).headers)), { fwd: 'uri-miss', detail: 'set-cookie' })
})

t.test('Cache-Status is of its own response, whatever that of the one before was', async (t) => {
  let open!: () => void
  const gate = new Promise<void>((resolve) => { open = resolve })
  let begin!: () => void
  const begun = new Promise<void>((resolve) => { begin = resolve })
  const { ask } = await asking(t, (app) => {
    app.get('/stored/:id', { config: { cache } }, async () => 'any')
    app.get('/stream', { config: { cache } }, async () => Readable.from(['any']))
    app.get('/cookie', { config: { cache } }, async (_request, reply) => reply.header('set-cookie', 'a=b').send('any'))
    app.get('/private', { config: { cache } }, async (_request, reply) => reply.header('cache-control', 'private').send('any'))
    app.get('/fails', { config: { cache } }, async () => {
      begin()
      await gate
      throw new Error('expected')
    })
  })
  const of = async (path: string): Promise<unknown> => told(cacheStatus((await ask(path)).headers))
  t.same(await of('/stored/1'), { fwd: 'uri-miss', stored: true })
  t.same(await of('/stream'), { fwd: 'uri-miss' })
  t.same(await of('/stored/2'), { fwd: 'uri-miss', stored: true })
  t.same(await of('/cookie'), { fwd: 'uri-miss', detail: 'set-cookie' })
  t.same(await of('/private'), { fwd: 'uri-miss', detail: 'private' })

  const first = ask('/fails')
  await begun
  const second = ask('/fails')
  // It waits by the time that a later one is done.
  await ask('/stored/3')
  open()
  t.same(told(cacheStatus((await first).headers)), { fwd: 'uri-miss', detail: 'failed' })
  t.same(told(cacheStatus((await second).headers)), { fwd: 'uri-miss', collapsed: true, detail: 'failed' })
})

t.test('Cache-Status says that a request waited for the fill of another', async (t) => {
  let open!: () => void
  const gate = new Promise<void>((resolve) => { open = resolve })
  let begin!: () => void
  const begun = new Promise<void>((resolve) => { begin = resolve })
  const { app, origin, ask } = await asking(t, (app) => {
    app.get('/', { config: { cache } }, async () => {
      begin()
      await gate
      return 'any'
    })
    app.get('/later', { config: { cache } }, async () => 'later')
  })
  const first = ask()
  await begun
  const second = app.inject({ url: '/', authority: new URL(origin).host })
  // It waits by the time that a later one is done.
  await app.inject('/later')
  open()
  t.match(told(cacheStatus((await first).headers)), { fwd: 'uri-miss', stored: true })
  t.match(told((await second).headers['cache-status'] as string), { fwd: 'uri-miss', collapsed: true })
})

t.test('the Cache-Status of a cache nearer to the origin stays, before ours, on MISS and HIT', async (t) => {
  const { ask } = await asking(t, (app) => app.get('/', { config: { cache } }, async (_request, reply) => {
    reply.header('cache-status', 'Origin; hit')
    return 'any'
  }))
  for (const expected of [/^Origin; hit, fastify-api-cache;fwd=uri-miss;stored$/, /^Origin; hit, fastify-api-cache;hit;ttl=\d+$/]) {
    t.match(cacheStatus((await ask()).headers), expected)
  }
})
