import { Readable } from 'node:stream'
import t from 'tap'
import { asking, cached, type Ask } from './ask.js'

const config = { cache: { namespace: 'validators', expire: 60 } }
const MODIFIED = 'Mon, 02 Mar 2026 10:00:00 GMT'
const LATER = 'Mon, 02 Mar 2026 11:00:00 GMT'
const EARLIER = 'Mon, 02 Mar 2026 09:00:00 GMT'

/** The same request on a MISS and on a HIT. */
async function both (ask: Ask, headers: Record<string, string>, check: (answered: Awaited<ReturnType<Ask>>) => void): Promise<void> {
  for (const path of ['/first', '/second']) {
    if (path === '/second') await ask(path)
    const answered = await ask(path, headers)
    if (answered.headers['x-api-cache'] !== (path === '/second' ? 'HIT' : 'MISS')) throw new Error('neither MISS nor HIT')
    check(answered)
  }
}

t.test('a response without an ETag gets a strong one for its bytes, the same on MISS and HIT', async (t) => {
  let text = 'one'
  const { app, ask } = await asking(t, (app) => app.get('/', { config }, async () => text))
  const miss = await ask()
  const hit = await ask()
  t.equal(cached(hit.headers), 'HIT')
  t.match(miss.headers.etag, /^"[^"]+"$/)
  t.equal(hit.headers.etag, miss.headers.etag)
  text = 'two'
  await app.apiCache.invalidate('validators')
  t.not((await ask()).headers.etag, miss.headers.etag)
})

t.test('the handler\'s own validators are kept, on MISS and HIT', async (t) => {
  const { ask } = await asking(t, (app) => app.get('/:id', { config }, async (_request, reply) => {
    reply.headers({ etag: 'W/"own"', 'last-modified': MODIFIED })
    return { a: 1 }
  }))
  await both(ask, {}, ({ headers }) => {
    t.equal(headers.etag, 'W/"own"')
    t.equal(headers['last-modified'], MODIFIED)
  })
})

const conditions: Record<string, [etag: string, headers: Record<string, string>, status: number]> = {
  'an If-None-Match with the ETag': ['"a"', { 'if-none-match': '"a"' }, 304],
  'an If-None-Match with another ETag': ['"a"', { 'if-none-match': '"b"' }, 200],
  'an If-None-Match with the ETag in a list': ['"a"', { 'if-none-match': '"x", "a", "y"' }, 304],
  'an If-None-Match with *': ['"a"', { 'if-none-match': '*' }, 304],
  'an If-None-Match with the weak form of a strong ETag': ['"a"', { 'if-none-match': 'W/"a"' }, 304],
  'an If-None-Match with the strong form of a weak ETag': ['W/"a"', { 'if-none-match': '"a"' }, 304],
  'an If-None-Match with the weak ETag': ['W/"a"', { 'if-none-match': 'W/"a"' }, 304],
  'an If-None-Match without its quotes': ['"a"', { 'if-none-match': 'a' }, 200],
  'an If-Modified-Since that equals Last-Modified': ['"a"', { 'if-modified-since': MODIFIED }, 304],
  'an If-Modified-Since that is later': ['"a"', { 'if-modified-since': LATER }, 304],
  'an If-Modified-Since that is earlier': ['"a"', { 'if-modified-since': EARLIER }, 200],
  'an If-Modified-Since that is not a date': ['"a"', { 'if-modified-since': 'lately' }, 200],
  'an If-None-Match that does not match with an If-Modified-Since that does': ['"a"', { 'if-none-match': '"b"', 'if-modified-since': LATER }, 200],
  'an If-None-Match that matches with an If-Modified-Since that does not': ['"a"', { 'if-none-match': '"a"', 'if-modified-since': EARLIER }, 304]
}

for (const [sentence, [etag, headers, status]] of Object.entries(conditions)) {
  t.test(`${sentence} is answered with ${status}, on MISS and HIT`, async (t) => {
    const seen: unknown[] = []
    const { ask } = await asking(t, (app) => app.get('/:id', { config }, async (request, reply) => {
      seen.push(request.headers['if-none-match'], request.headers['if-modified-since'])
      reply.headers({ etag, 'last-modified': MODIFIED })
      return { a: 1 }
    }))
    await both(ask, headers, (answered) => {
      t.equal(answered.status, status)
      t.equal(answered.text, status === 304 ? '' : '{"a":1}')
      t.equal(answered.headers.etag, etag)
    })
    t.same([...new Set(seen)], [undefined], 'a fill is never conditional')
    const head = await ask('/second', headers, 'HEAD')
    t.equal(head.status, status, 'HEAD')
    const whole = await ask('/first')
    t.equal(whole.text, '{"a":1}', 'what is stored is whole')
    t.equal(whole.headers['content-type'], 'application/json; charset=utf-8')
    t.equal(cached(whole.headers), 'HIT')
  })
}

t.test('a 304 has the headers of the 200 that a client updates its copy with, but no header about the body', async (t) => {
  const { ask } = await asking(t, (app) => app.get('/:id', { config }, async (_request, reply) => {
    reply.headers({
      etag: '"a"',
      'cache-control': 'max-age=30',
      expires: LATER,
      vary: 'accept',
      'content-location': '/a.json',
      'last-modified': MODIFIED,
      'content-language': 'en'
    })
    return { a: 1 }
  }))
  await both(ask, { 'if-none-match': '"a"' }, ({ status, headers }) => {
    t.equal(status, 304)
    t.match(headers, { etag: '"a"', 'cache-control': 'max-age=30', expires: LATER, vary: 'accept', 'content-location': '/a.json' })
    t.ok(headers.date)
    for (const name of ['content-type', 'content-length', 'content-encoding', 'transfer-encoding']) t.notOk(headers[name], name)
  })
})

t.test('a condition has no effect on a response that is not a 200', async (t) => {
  const { ask } = await asking(t, (app) => app.get('/:id', {
    config: { cache: { ...config.cache, statuses: [200, 404] } }
  }, async (_request, reply) => {
    reply.code(404).header('etag', '"a"')
    return { missing: true }
  }))
  await both(ask, { 'if-none-match': '"a"' }, ({ status }) => { t.equal(status, 404) })
})

t.test('the handler never sees conditions during a fill, so other requests get the whole response', async (t) => {
  const { promise: begun, resolve: begin } = withResolvers()
  const { promise: gate, resolve: open } = withResolvers()
  let runs = 0
  const { ask } = await asking(t, (app) => app.get('/', { config }, async (request, reply) => {
    runs++
    begin()
    await gate
    if (request.headers['if-none-match'] === '"a"' || request.headers.range !== undefined) {
      return reply.code(304).send()
    }
    reply.header('etag', '"a"')
    return { a: 1 }
  }))
  const conditional = ask('/', { 'if-none-match': '"a"', range: 'bytes=0-1' })
  await begun
  const plain = ask('/')
  open()
  t.equal((await conditional).status, 304)
  t.equal((await plain).text, '{"a":1}')
  t.equal(runs, 1)
})

t.test('a stream may have no ETag on a MISS, and has one on a HIT', async (t) => {
  const { ask } = await asking(t, (app) => app.get('/', { config }, async (_request, reply) => reply.type('text/plain').send(new Blob(['abc']).stream())))
  await ask()
  const hit = await ask()
  t.equal(cached(hit.headers), 'HIT')
  t.match(hit.headers.etag, /^"[^"]+"$/)
  t.equal((await ask('/', { 'if-none-match': hit.headers.etag! })).status, 304)
})

for (const [kind, stream] of Object.entries({
  'a Node stream': () => Readable.from(['abc', 'def']),
  'a web stream': () => new Blob(['abcdef']).stream(),
  'a Response': () => new Response('abcdef', { headers: { etag: '"a"', 'content-type': 'text/plain' } })
})) {
  t.test(`${kind} with an ETag of the handler's is a 304 on MISS and HIT, and stored whole`, async (t) => {
    const { ask } = await asking(t, (app) => app.get('/', { config }, async (_request, reply) => {
      if (kind !== 'a Response') reply.headers({ etag: '"a"', 'content-type': 'text/plain' })
      return stream()
    }))
    for (const state of ['MISS', 'HIT']) {
      const { status, text, headers } = await ask('/', { 'if-none-match': '"a"' })
      t.equal(status, 304)
      t.equal(text, '')
      t.equal(headers.etag, '"a"')
      t.notOk(headers['content-type'])
      t.equal(cached(headers), state)
    }
    t.match(await ask('/'), { status: 200, text: 'abcdef', headers: { 'x-api-cache': 'HIT', 'content-type': 'text/plain' } })
  })
}

t.test('a stream over maxBytes that the client already has is not read to its end', async (t) => {
  const source = new Readable({ read () { this.push(Buffer.alloc(1024)) } })
  const closed = new Promise((resolve) => { source.once('close', resolve) })
  const { app, ask } = await asking(t, (app) => app.get('/', { config: { cache: { ...config.cache, maxBytes: 10_000 } } }, async (_request, reply) => {
    reply.header('etag', '"a"')
    return source
  }))
  t.equal((await ask('/', { 'if-none-match': '"a"' })).status, 304)
  await closed
  t.equal(app.apiCache.stats().stored, 0)
})

function withResolvers (): { promise: Promise<void>, resolve: () => void } {
  let resolve!: () => void
  const promise = new Promise<void>((_resolve) => { resolve = _resolve })
  return { promise, resolve }
}
