import { asking, cached } from '../http/ask.js'
import { eachTier } from '../support/each-store.js'
import { codingOf, kept, plainOf, rows, text } from './encoded.js'

const test = eachTier()
const config = { cache: { namespace: 'n', expire: 60, compress: true } } as const
const codings = { br: { 'accept-encoding': 'br' }, gzip: { 'accept-encoding': 'gzip' }, identity: {} } as const

for (const hooks of ['no hooks', 'a hook']) {
  for (const own of ['the ETag of the cache', 'an ETag of the handler']) {
    test(`with ${hooks} and ${own}, If-None-Match may have that of any coding`, async (t, options) => {
      const { ask } = await asking(t, (app) => {
        if (hooks === 'a hook') app.addHook('onSend', async () => {})
        app.get('/', { config }, async (_request, reply) => {
          if (own === 'an ETag of the handler') reply.header('etag', '"own"')
          return rows
        })
      }, options)
      for (let round = 0; round < 3; round++) {
        for (const headers of Object.values(codings)) await ask('/', headers)
      }
      const tags = new Map<string, string>()
      for (const [coding, headers] of Object.entries(codings)) {
        const answered = await ask('/', headers)
        t.equal(codingOf(answered), coding)
        t.match(answered.headers.etag, coding === 'identity' ? /^"/ : /^W\/"/)
        t.match(answered.headers.vary, /accept-encoding/)
        tags.set(coding, answered.headers.etag!)
      }
      for (const tag of tags.values()) {
        for (const [coding, headers] of Object.entries(codings)) {
          const answered = await ask('/', { ...headers, 'if-none-match': `"other", ${tag}` })
          t.equal(answered.status, 304)
          t.equal(answered.headers.etag, tags.get(coding))
          t.match(answered.headers.vary, /accept-encoding/)
          t.equal(answered.headers['content-encoding'], undefined)
          t.equal(answered.bytes.length, 0)
        }
      }
      const changed = await ask('/', { ...codings.br, 'if-none-match': '"other"' })
      t.equal(changed.status, 200)
      t.same(changed.bytes, kept.br(text))
    })
  }
}

test('the conditions of a MISS are those of what would be sent', async (t, options) => {
  const { app, ask } = await asking(t, (app) => app.get('/', { config }, async () => rows), options)
  const { etag } = (await ask('/', codings.br)).headers
  await app.apiCache.invalidate('n')
  const unchanged = await ask('/', { ...codings.br, 'if-none-match': etag! })
  t.equal(cached(unchanged.headers), 'MISS')
  t.equal(unchanged.status, 304)
  t.equal(unchanged.headers.etag, etag)
  t.equal(unchanged.headers.vary, 'accept-encoding')
})

test('a range is one of the plain body, whatever the client accepts', async (t, options) => {
  const { ask } = await asking(t, (app) => app.get('/', { config }, async () => rows), options)
  for (let times = 0; times < 4; times++) await ask('/', codings.br)
  const { etag } = (await ask('/')).headers
  const part = await ask('/', { ...codings.br, range: 'bytes=5-14' })
  t.equal(part.status, 206)
  t.equal(codingOf(part), 'identity')
  t.equal(part.text, text.slice(5, 15))
  t.equal(part.headers['content-range'], `bytes 5-14/${text.length}`)
  t.match(part.headers.vary, /accept-encoding/)
  t.equal(part.headers.etag, etag)
  const beyond = await ask('/', { ...codings.br, range: `bytes=${text.length}-` })
  t.equal(beyond.status, 416)
  t.equal((await ask('/', { ...codings.br, range: 'bytes=0-9', 'if-range': etag! })).status, 206)
  const weak = await ask('/', { ...codings.br, range: 'bytes=0-9', 'if-range': `W/${etag!}` })
  t.equal(weak.status, 200, 'parts of an encoded body cannot be joined')
  t.equal(plainOf(weak), text)
})

test('the policies of the plugin and the route decide together', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    const cache = { namespace: 'n' }
    const scope = (): string => 'me'
    app.get('/shared', { config: { cache } }, async () => rows)
    app.get('/off', { config: { cache: { ...cache, compress: false } } }, async () => rows)
    app.get('/gzip', { config: { cache: { ...cache, compress: ['gzip'] } } }, async () => rows)
    app.get('/scoped', { config: { cache: { ...cache, scope } } }, async () => rows)
    app.get('/asked', { config: { cache: { ...cache, scope, compress: true } } }, async () => rows)
    app.get('/value', async (_request, reply) => {
      reply.header('x-value', 'yes')
      return await reply.cachedValue({ ...cache, key: () => 'value' }, () => rows)
    })
    app.get('/inside', async (_request, reply) => await reply.cached({ ...cache, key: () => 'inside' }, () => rows))
    app.get('/inside-scoped', async (_request, reply) => await reply.cached({ ...cache, key: () => 'scoped', scope }, () => rows))
  }, { ...options, expire: 60, compress: true, storeCompressed: true })
  const expected = {
    '/shared': 'br', '/off': 'identity', '/gzip': 'gzip', '/scoped': 'identity', '/asked': 'br', '/value': 'identity', '/inside': 'br', '/inside-scoped': 'identity'
  }
  for (const [path, coding] of Object.entries(expected)) {
    for (let times = 0; times < 4; times++) {
      const answered = await ask(path, { 'accept-encoding': 'gzip, br' })
      t.equal(answered.status, 200)
      t.equal(codingOf(answered), coding, path)
      t.equal(plainOf(answered), text)
    }
  }
})
