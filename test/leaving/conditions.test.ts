import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import type { ApiCacheOptions } from '../../index.js'
import { asking, cached, type Ask, type Answered } from '../http/ask.js'
import { gate } from '../support/gate.js'
import { eachTier } from '../support/each-store.js'

/*
 * Hooks behind the handler make the response as much as the handler does. Conditions, ranges and
 * validators are about what leaves.
 */

const test = eachTier()
const config = { cache: { namespace: 'n', expire: 60, scope: 'shared' } } as const
const whole = '{"name":"x","salary":1}'
const stripped = '{"name":"x"}'
const quoted = (text: string): string => `"${createHash('sha1').update(text).digest('base64url')}"`

const isAdmin = (request: FastifyRequest): boolean => request.headers['x-role'] === 'admin'

/** A filter by role: text in, text out. */
function filter (app: FastifyInstance): void {
  app.addHook('onSend', async (request, _reply, payload) =>
    isAdmin(request) || typeof payload !== 'string' ? payload : payload.replace(',"salary":1', ''))
}

/** What the handler sends, by path. All have the same body. */
function declare (app: FastifyInstance): void {
  filter(app)
  app.get('/json', { config }, async () => ({ name: 'x', salary: 1 }))
  app.get('/text', { config }, async () => whole)
  app.get('/tagged', { config }, async (_request, reply) => {
    reply.headers({ etag: '"handler"', 'last-modified': 'Thu, 01 Jan 2026 00:00:00 GMT' })
    return whole
  })
}

const admin = { 'x-role': 'admin' }
const user = { 'x-role': 'user' }

/** Runs the same on a MISS and on a HIT. */
async function onMissAndHit (t: Test, options: ApiCacheOptions, path: string, headers: Record<string, string>, check: (answered: Answered) => void): Promise<void> {
  const { ask } = await asking(t, declare, options)
  for (const expected of ['MISS', 'HIT', 'HIT']) {
    const answered = await ask(path, headers)
    t.equal(cached(answered.headers), expected)
    check(answered)
  }
}

for (const path of ['/json', '/text']) {
  test(`a range of ${path} is one of the body that a hook has filtered`, async (t, options) => {
    await onMissAndHit(t, options, path, { ...user, range: 'bytes=0-' }, ({ status, text, headers }) => {
      t.equal(status, 206)
      t.equal(text, stripped)
      t.equal(headers['content-range'], `bytes 0-11/${stripped.length}`)
      t.equal(headers['content-length'], String(stripped.length))
    })
  })

  test(`a range of ${path} beyond the filtered body is refused, though the handler's body has it`, async (t, options) => {
    await onMissAndHit(t, options, path, { ...user, range: 'bytes=15-' }, ({ status, text, headers }) => {
      t.equal(status, 416)
      t.equal(text, '')
      t.equal(headers['content-range'], `bytes */${stripped.length}`)
    })
  })
}

for (const path of ['/json', '/text']) {
  test(`two bodies of ${path} have two strong ETags, each that of its bytes`, async (t, options) => {
    const { ask } = await asking(t, declare, options)
    for (let round = 0; round < 3; round++) {
      t.equal((await ask(path, admin)).headers.etag, quoted(whole))
      t.equal((await ask(path, user)).headers.etag, quoted(stripped))
      t.equal((await ask(path, user, 'HEAD')).headers.etag, quoted(stripped))
      t.equal((await ask(path, admin, 'HEAD')).headers.etag, quoted(whole))
    }
  })

  test(`the ETag of one body of ${path} is no 304 for the other`, async (t, options) => {
    const { ask } = await asking(t, declare, options)
    for (let round = 0; round < 3; round++) {
      t.match(await ask(path, { ...user, 'if-none-match': quoted(whole) }), { status: 200, text: stripped })
      t.match(await ask(path, { ...admin, 'if-none-match': quoted(stripped) }), { status: 200, text: whole })
      t.match(await ask(path, { ...user, 'if-none-match': quoted(stripped) }), { status: 304, text: '' })
      t.match(await ask(path, { ...admin, 'if-none-match': quoted(whole) }), { status: 304, text: '' })
      t.match(await ask(path, { ...user, range: 'bytes=0-1', 'if-range': quoted(whole) }), { status: 200, text: stripped })
      t.match(await ask(path, { ...user, range: 'bytes=0-1', 'if-range': quoted(stripped) }), { status: 206, text: '{"' })
    }
  })
}

test("a handler's own validators are not used for a body that a hook has changed", async (t, options) => {
  const { ask } = await asking(t, declare, options)
  const later = { 'if-modified-since': 'Thu, 01 Jan 2026 00:00:01 GMT' }
  for (let round = 0; round < 3; round++) {
    t.match(await ask('/tagged', { ...user, 'if-none-match': '"handler"' }), { status: 200, text: stripped })
    t.match(await ask('/tagged', { ...user, ...later }), { status: 200, text: stripped })
    t.match(await ask('/tagged', { ...user, range: 'bytes=0-1', 'if-range': '"handler"' }), { status: 200, text: stripped })
    t.match(await ask('/tagged', { ...user, range: 'bytes=0-1' }), { status: 200, text: stripped })
    t.equal((await ask('/tagged', { ...admin, 'if-none-match': '"handler"' })).status, 304)
    t.equal((await ask('/tagged', { ...admin, ...later })).status, 304)
  }
})

/** A hook of the route that encodes: Fastify's own hook for HEAD comes after it. */
test("HEAD has the ETag of the encoded bytes that GET sends, and no other one's condition holds for it", async (t, options) => {
  const encoded = Buffer.from(whole).toString('hex')
  const { ask } = await asking(t, (app) => {
    app.get('/', {
      config,
      async onSend (request, reply, payload) {
        reply.header('vary', 'Accept-Encoding')
        if (request.headers['accept-encoding'] !== 'hex') return payload
        reply.header('content-encoding', 'hex').removeHeader('content-length')
        return Buffer.from(payload as string).toString('hex')
      }
    }, async () => whole)
  }, options)
  const hex = { 'accept-encoding': 'hex' }
  for (let round = 0; round < 3; round++) {
    for (const method of ['GET', 'HEAD']) {
      t.match(await ask('/', hex, method), { status: 200, headers: { etag: quoted(encoded), 'content-encoding': 'hex' } })
      t.equal((await ask('/', { ...hex, 'if-none-match': quoted(whole) }, method)).status, 200)
      t.equal((await ask('/', { ...hex, 'if-none-match': quoted(encoded) }, method)).status, 304)
      t.equal((await ask('/', { 'if-none-match': quoted(whole) }, method)).status, 304)
    }
  }
})

test('requests that wait for another one are each answered by their own condition', async (t, options) => {
  const { opened, open } = gate()
  const { ask } = await asking(t, (app) => {
    filter(app)
    app.get('/', { config }, async () => {
      await opened
      return whole
    })
  }, options)
  const requests = [
    ask('/', { ...user, range: 'bytes=0-1' }), ask('/', { ...admin, 'if-none-match': quoted(whole) }), ask('/', user), ask('/', admin)
  ]
  open()
  const statuses = (await Promise.all(requests)).map(({ status, text }) => [status, text])
  t.same(statuses, [[206, '{"'], [304, ''], [200, stripped], [200, whole]])
})

test('hooks meet the whole body, whatever the request asks for', async (t, options) => {
  const met: unknown[] = []
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', async (request, reply, payload) => {
      met.push(payload, reply.statusCode, request.headers.range, request.headers['if-none-match'])
      return payload
    })
    app.get('/', { config }, async () => 'a body')
  }, options)
  const etag = quoted('a body')
  for (const headers of [{ range: 'bytes=0-1' }, { 'if-none-match': etag }, { range: 'bytes=0-1', 'if-none-match': etag }] as Array<Record<string, string>>) {
    for (let round = 0; round < 2; round++) {
      met.length = 0
      await ask('/', headers)
      t.same(met, ['a body', 200, headers['range'], headers['if-none-match']])
    }
  }
})

test('bytes that a hook changes in place have an ETag of their own, and the stored body stays as it was', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', async (request, _reply, payload) => {
      if (!isAdmin(request)) (payload as Buffer).fill('*')
      return payload
    })
    app.get('/', { config }, async () => Buffer.from('secret'))
  }, options)
  for (let round = 0; round < 3; round++) {
    t.match(await ask('/', user), { text: '******', headers: { etag: quoted('******') } })
    t.match(await ask('/', { ...user, 'if-none-match': quoted('secret') }), { status: 200, text: '******' })
    t.match(await ask('/', admin), { text: 'secret', headers: { etag: quoted('secret') } })
  }
})

/** Every kind of body, sent with its own copy each time. */
const kinds: Record<string, () => unknown> = {
  'a string': () => whole,
  bytes: () => Buffer.from(whole),
  'a Node stream': () => import('node:stream').then(({ Readable }) => Readable.from([whole])),
  'a web stream': () => new Blob([whole]).stream(),
  'a Response': () => new Response(whole, { headers: { 'content-type': 'text/x' } })
}

for (const [kind, payload] of Object.entries(kinds)) {
  test(`hooks meet ${kind} on a HIT as on a MISS`, async (t, options) => {
    const met: string[] = []
    const { ask } = await asking(t, (app) => {
      app.addHook('onSend', async (_request, reply, payload) => {
        met.push(`${Object.prototype.toString.call(payload)} ${typeof (payload as { pipe?: unknown }).pipe} ${reply.statusCode}`)
        return payload
      })
      app.get('/', { config }, async () => await payload())
    }, options)
    const answers: Answered[] = []
    for (let round = 0; round < 3; round++) answers.push(await ask('/'))
    t.same(answers.map(({ headers }) => cached(headers)), ['MISS', 'HIT', 'HIT'])
    for (const { text, status } of answers) t.same([status, text], [200, whole])
    t.equal(answers[1]!.headers['content-type'], answers[0]!.headers['content-type'])
    t.same(met, [met[0], met[0], met[0]])
    t.match(await ask('/', { range: 'bytes=0-1' }), { status: 206, text: '{"' })
    t.match(await ask('/', { 'if-none-match': answers[1]!.headers.etag! }), { status: 304, text: '' })
  })
}

t.test('the plugin adds its Cache-Control, ETag and Date after all hooks, only where nobody has set them', async (t) => {
  const met: unknown[] = []
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', async (request, reply) => {
      met.push(['cache-control', 'etag', 'date', 'age', 'cache-status', 'x-api-cache'].map((name) => reply.getHeader(name)).filter(Boolean))
      if (request.headers['x-set'] !== undefined) reply.headers({ 'cache-control': 'max-age=7', etag: '"hook"', date: 'Thu, 01 Jan 2026 00:00:00 GMT' })
    })
    app.get('/', { config }, async () => 'body')
  })
  for (let round = 0; round < 2; round++) {
    t.match((await ask('/')).headers, { 'cache-control': 'no-cache', etag: quoted('body'), date: /GMT/ })
  }
  t.match((await ask('/', { 'x-set': '1' })).headers, { 'cache-control': 'max-age=7', etag: '"hook"', date: 'Thu, 01 Jan 2026 00:00:00 GMT' })
  t.equal((await ask('/', { 'x-set': '1', 'if-none-match': '"hook"' })).status, 304)
  t.same(met, [[], [], [], []])
})

for (const directive of ['private', 'no-store', 'private, max-age=60']) {
  test(`${directive} that a hook adds behind the handler is heard: nothing is stored`, async (t, options) => {
    let runs = 0
    const { ask } = await asking(t, (app) => {
      app.addHook('onSend', async (_request, reply) => { reply.header('cache-control', directive) })
      app.get('/', { config }, async () => {
        runs++
        return 'body'
      })
    }, options)
    for (let round = 0; round < 3; round++) {
      const { headers } = await ask('/')
      t.equal(cached(headers), 'MISS')
      t.equal(headers['cache-control'], directive)
    }
    t.equal(runs, 3)
  })
}

async function statusOf (ask: Ask, headers: Record<string, string>): Promise<number> {
  return (await ask('/', headers)).status
}

test('conditions reach a handler whose responses are not stored', async (t, options) => {
  const met: unknown[] = []
  const { ask } = await asking(t, (app) => app.get('/', { config }, async (request, reply) => {
    met.push(request.headers['if-none-match'])
    reply.headers({ 'cache-control': 'public, max-age=0', etag: '"own"' })
    if (request.headers['if-none-match'] === '"own"') return await reply.code(304).send()
    return 'body'
  }), options)
  t.equal(await statusOf(ask, { 'if-none-match': '"own"' }), 304, 'by the cache, which has hidden the condition')
  t.equal(await statusOf(ask, { 'if-none-match': '"own"' }), 304)
  t.equal(await statusOf(ask, {}), 200)
  t.equal(await statusOf(ask, { 'if-none-match': '"own"' }), 304)
  t.same(met, [undefined, '"own"', undefined, '"own"'])
})
