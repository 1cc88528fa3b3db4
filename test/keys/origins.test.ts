import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2'
import { get as getByTls, type RequestOptions, type ServerOptions } from 'node:https'
import { connect, type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import apiCache, { MemoryStore, type ReadPolicy } from '../../index.js'
import { ask, cached } from '../http/ask.js'
import { eachTier } from '../support/each-store.js'
import { PATIENT } from '../support/patient-stores.js'
import { keysOf, listening, serving } from '../support/serving.js'

const test = eachTier()
const cache: ReadPolicy = { namespace: 'origins', expire: 60 }
const HOSTILE = [
  'a b', 'a|origins:GET /', '*', 'shop.ex?mple', '[a-z]', 'shop.example:80:80', 'shop.example scope=1', 'shop.example/../x', 'user@shop.example',
  'shop.example:999999', 'é', '%', '~', '\\', '"', `${'x'.repeat(5_000)}1`, `${'x'.repeat(5_000)}2`
]

/** A route whose answers name the address that they were asked at. */
const linking = (more: Partial<ReadPolicy> = {}, url = '/') => (app: FastifyInstance): unknown =>
  app.get(url, { config: { cache: { ...cache, ...more } } }, async ({ protocol, host }) => `${protocol}://${host}/?page=2`)

/** Asks for `/` with each list of headers, twice: first all are MISSes, then all are HITs, each with its own link. */
async function apart (t: Test, app: FastifyInstance, origin: string, asked: Record<string, Record<string, string>>): Promise<void> {
  for (const expected of ['MISS', 'HIT']) {
    for (const [link, headers] of Object.entries(asked)) {
      const answer = await ask(`${origin}/`, headers)
      t.match(answer, { status: 200, text: `${link}/?page=2` })
      t.equal(cached(answer.headers), expected, link)
    }
    await app.apiCache.settled()
  }
}

test('two hosts share no entry, and one write reaches both', async (t, options) => {
  const { app, origin } = await serving(t, { ...options, ...PATIENT }, linking())
  const hosts = ['shop.example', 'evil.example', 'shop.example:8080', 'shop.example.', '[::1]', '[::1]:8080']
  const asked = Object.fromEntries(hosts.map((host) => [`http://${host}`, { host }]))
  await apart(t, app, origin, asked)
  t.same(await keysOf(app, 'origins'), [
    'api-cache|origins:GET / http://%5B%3A%3A1%5D',
    'api-cache|origins:GET / http://%5B%3A%3A1%5D:8080',
    'api-cache|origins:GET / http://evil.example',
    'api-cache|origins:GET / http://shop.example',
    'api-cache|origins:GET / http://shop.example.',
    'api-cache|origins:GET / http://shop.example:8080'
  ])
  await app.apiCache.invalidate('origins')
  await apart(t, app, origin, asked)
})

for (const [what, more] of Object.entries<Partial<ReadPolicy>>({
  'a key function': { key: () => 'own' },
  'a scope function': { scope: () => 'one' },
  "serveFrom: 'onRequest'": { serveFrom: 'onRequest' }
})) {
  test(`two hosts share no entry under ${what}`, async (t, options) => {
    const { app, origin } = await serving(t, { ...options, ...PATIENT }, linking(more))
    await apart(t, app, origin, { 'http://a.example': { host: 'a.example' }, 'http://b.example': { host: 'b.example' } })
  })
}

test('spellings of one address share an entry', async (t, options) => {
  const { app, origin } = await serving(t, { ...options, ...PATIENT }, linking())
  for (const [index, host] of ['shop.example', 'SHOP.Example', 'shop.example:80', 'shop.example:'].entries()) {
    const answer = await ask(`${origin}/`, { host })
    t.equal(cached(answer.headers), index === 0 ? 'MISS' : 'HIT', host)
    await app.apiCache.settled()
  }
  t.equal(cached((await ask(`${origin}/`, { host: 'shop.example:443' })).headers), 'MISS', 'the default port of another scheme')
})

test('whatever a Host header says, its caller gets an own answer, and no other key is forged', async (t, options) => {
  const { app, origin } = await serving(t, { ...options, ...PATIENT }, linking())
  const asked = Object.fromEntries(['shop.example', ...HOSTILE].map((host) => [`http://${host}`, { host }]))
  for (const expected of ['MISS', 'HIT']) {
    for (const [link, headers] of Object.entries(asked)) {
      const answer = await ask(`${origin}/`, headers)
      t.equal(answer.text, `${link}/?page=2`)
      t.equal(cached(answer.headers), expected, link.slice(0, 60))
    }
    await app.apiCache.settled()
  }
  const keys = await keysOf(app, 'origins')
  t.equal(keys.length, HOSTILE.length + 1)
  for (const key of keys) {
    t.match(key, /^api-cache\|origins:GET \/ http:\/\/[\w.%-]*(:\d+)?(~[\w-]{43}|~[\w-]{32})?$/)
    t.ok(key.length <= 512)
  }
})

test('a request without a host, as HTTP/1.0 allows, has an entry of its own', async (t, options) => {
  const { app, origin } = await serving(t, { ...options, ...PATIENT }, linking())
  await ask(`${origin}/`, { host: 'shop.example' })
  await app.apiCache.settled()
  for (const expected of ['MISS', 'HIT']) {
    const socket = connect(Number(new URL(origin).port), '127.0.0.1')
    socket.write('GET / HTTP/1.0\r\n\r\n')
    t.match(await text(socket), new RegExp(`x-api-cache: ${expected}[^]*\r\n\r\nhttp:///\\?page=2$`, 'i'))
    await app.apiCache.settled()
  }
})

test('what a trusted proxy says of host and scheme tells entries apart', async (t, options) => {
  const { app, origin } = await serving(t, { ...options, ...PATIENT }, linking(), { trustProxy: true })
  const host = 'internal.example'
  await apart(t, app, origin, {
    'http://internal.example': { host },
    'https://internal.example': { host, 'x-forwarded-proto': 'https' },
    'https://shop.example': { host, 'x-forwarded-proto': 'https', 'x-forwarded-host': 'shop.example' },
    'http://shop.example': { host, 'x-forwarded-host': 'other.example, shop.example' },
    'a|b c*://shop.example': { host, 'x-forwarded-proto': 'a|b c*', 'x-forwarded-host': 'shop.example' }
  })
  const again = await ask(`${origin}/`, { host, 'x-forwarded-proto': 'HTTPS', 'x-forwarded-host': 'shop.example:443' })
  t.equal(cached(again.headers), 'HIT', 'the default port of https is left out')
})

test('what a proxy says whom nobody trusts makes no entries', async (t, options) => {
  const { app, origin } = await serving(t, { ...options, ...PATIENT }, linking())
  for (const [index, forwarded] of ['a.example', 'b.example'].entries()) {
    const answer = await ask(`${origin}/`, { host: 'shop.example', 'x-forwarded-host': forwarded, 'x-forwarded-proto': 'https' })
    t.match(answer, { text: 'http://shop.example/?page=2' })
    t.equal(cached(answer.headers), index === 0 ? 'MISS' : 'HIT')
    await app.apiCache.settled()
  }
})

for (const where of ['the plugin', 'the route']) {
  test(`with host: false on ${where} all hosts share one entry`, async (t, options) => {
    const host = where === 'the plugin' ? { plugin: { host: false }, route: {} } : { plugin: {}, route: { host: false } }
    const { app, origin } = await serving(t, { ...options, ...PATIENT, ...host.plugin }, linking(host.route), { trustProxy: true })
    const asked: Array<Record<string, string>> = [{ host: 'a.example' }, { host: 'b.example' }, { host: 'a.example', 'x-forwarded-proto': 'https' }]
    for (const [index, headers] of asked.entries()) {
      const answer = await ask(`${origin}/`, headers)
      t.match(answer, { text: 'http://a.example/?page=2' })
      t.equal(cached(answer.headers), index === 0 ? 'MISS' : 'HIT')
      await app.apiCache.settled()
    }
    t.same(await keysOf(app, 'origins'), ['api-cache|origins:GET /'])
  })
}

test('a route says host: true where the plugin says false', async (t, options) => {
  const { app, origin } = await serving(t, { ...options, ...PATIENT, host: false }, linking({ host: true }))
  await apart(t, app, origin, { 'http://a.example': { host: 'a.example' }, 'http://b.example': { host: 'b.example' } })
})

test('a request of inject warms the entry of the authority that it names', async (t, options) => {
  const { app, origin } = await serving(t, { ...options, ...PATIENT }, linking())
  await app.inject({ url: '/', authority: 'shop.example' })
  await app.apiCache.settled()
  t.equal(cached((await ask(`${origin}/`, { host: 'shop.example' })).headers), 'HIT')
  await app.inject('/')
  await app.apiCache.settled()
  t.same(await keysOf(app, 'origins'), ['api-cache|origins:GET / http://localhost', 'api-cache|origins:GET / http://shop.example'])
})

test('an https server and an http server over one store share no entry', async (t, options) => {
  const psk = Buffer.alloc(16, 1)
  const tls = { ciphers: 'PSK', maxVersion: 'TLSv1.2' } as const
  const store = options.redis === undefined ? { store: new MemoryStore() } : {}
  const secured = Fastify({ https: { ...tls, pskCallback: () => psk } as ServerOptions })
  const servers = await Promise.all([Fastify(), secured as unknown as FastifyInstance].map(async (app) => {
    await app.register(apiCache, { ...options, ...store, ...PATIENT })
    return await listening(t, app, linking())
  }))
  const [plain, secure] = servers.map(({ app }) => (app.server.address() as AddressInfo).port)
  const common = { host: '127.0.0.1', agent: false, headers: { host: 'shop.example' } } as const
  const pskCallback = (): { psk: Buffer, identity: string } => ({ psk, identity: 'test' })
  for (const expected of ['MISS', 'HIT']) {
    for (const [link, asking] of [
      ['http://shop.example/?page=2', () => get({ ...common, port: plain })],
      ['https://shop.example/?page=2', () => getByTls({ ...common, ...tls, port: secure, pskCallback, checkServerIdentity: () => undefined } as RequestOptions)]
    ] as const) {
      const [response] = await once(asking(), 'response') as [IncomingMessage]
      t.equal(await text(response), link)
      t.equal(response.headers['x-api-cache'], expected)
    }
    for (const { app } of servers) await app.apiCache.settled()
  }
})

async function overHttp2 (session: ClientHttp2Session, headers: Record<string, string>): Promise<{ cache: unknown, text: string }> {
  const stream = session.request({ ':path': '/', ...headers })
  const [received] = await once(stream, 'response') as [Record<string, string>]
  return { cache: received['x-api-cache'], text: await text(stream) }
}

test('the authority of HTTP/2 is the host', async (t, options) => {
  const app = Fastify({ http2: true }) as unknown as FastifyInstance
  await app.register(apiCache, { ...options, ...PATIENT })
  const { origin } = await listening(t, app, linking())
  const session = connectHttp2(origin)
  t.teardown(() => { session.close() })
  for (const cache of ['MISS', 'HIT']) {
    for (const host of ['a.example', 'b.example']) {
      t.same(await overHttp2(session, { ':authority': host }), { cache, text: `http://${host}/?page=2` })
    }
    await app.apiCache.settled()
  }
  t.match(await overHttp2(session, { ':authority': 'A.example:80' }), { cache: 'HIT' })
  t.same(await keysOf(app, 'origins'), ['api-cache|origins:GET / http://a.example', 'api-cache|origins:GET / http://b.example'])
})
