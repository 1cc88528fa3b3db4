import { createHash } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { Redis } from 'ioredis'
import type { Test } from 'tap'
import apiCache, { type ApiCacheOptions, type ReadPolicy } from '../../index.js'
import { patientStores } from '../support/patient-stores.js'
import { loggingTo, type LogLine } from '../support/log.js'
import { keysOf, listening } from '../support/serving.js'
import { ask } from '../http/ask.js'

const test = patientStores()

const cache = { namespace: 'secrets', expire: 60, scope: 'shared' } satisfies ReadPolicy

/** A JSON Web Token whose payload is the secret. */
const webToken = (secret: string): string => `eyJhbGciOiJIUzI1NiJ9.${Buffer.from(`{"sub":"${secret}"}`).toString('base64url')}.c2lnbmF0dXJl`
const basic = (secret: string): string => `Basic ${Buffer.from(`user:${secret}`).toString('base64')}`

/** How a request brings a secret, and to which route; `given` is the form that nobody else may see. */
interface Kind {
  readonly url?: string
  readonly policy?: Partial<ReadPolicy>
  /** The Vary of the response. */
  readonly vary?: string
  readonly schema?: object
  readonly given?: (secret: string) => string
  readonly path?: (given: string) => string
  readonly headers?: (given: string) => Record<string, string>
}

const header = (name: string, given?: Kind['given']): Kind =>
  ({ policy: { vary: [name] }, ...given && { given }, headers: (given) => ({ [name]: given }) })
const nominated = (name: string): Kind => ({ vary: name, headers: (given) => ({ [name]: given }) })
const parameter = (name: string, given?: Kind['given']): Kind =>
  ({ ...given && { given }, path: (given) => `/?page=1&${name}=${encodeURIComponent(given)}` })
const inPath = (url: string, path: (given: string) => string, given?: Kind['given']): Kind => ({ url, path, ...given && { given } })

const KINDS: Record<string, Kind> = {
  'a bearer token': header('authorization', (secret) => `Bearer ${secret}`),
  'a name and a password': header('authorization', basic),
  'a token for a proxy': header('proxy-authorization', (secret) => `Bearer ${secret}`),
  'a cookie': header('cookie', (secret) => `theme=dark; session=${secret}`),
  'a cookie without a name': header('cookie'),
  'an API key in a header': header('x-api-key'),
  'a header of a name of its own': header('x-acme'),
  'a password in a host that the policy names': { policy: { vary: ['host'], host: false }, headers: (given) => ({ host: `user:${given}@shop.example` }) },
  'a password in a host that a proxy passes on': header('x-forwarded-host', (secret) => `user:${secret}@shop.example`),
  'a token in a harmless header': header('user-agent', (secret) => `agent token=${secret}`),
  'a bearer token in a harmless header': header('prefer', (secret) => `Bearer ${secret}`),
  'a web token in a harmless header': header('x-requested-with', webToken),
  'a web token in a harmless header that only the response names': { ...nominated('user-agent'), given: webToken },
  'a client certificate that a proxy passes on': header('x-forwarded-client-cert', (secret) => `Subject="CN=${secret}"`),
  'an address with a secret in Referer': header('referer', (secret) => `https://shop.example/?a=${secret}`),
  'a header that only the response names': nominated('x-csrf-token'),
  'a cookie that only the response names': nominated('cookie'),
  'a password in the host': { headers: (given) => ({ host: `user:${given}@shop.example` }) },
  'a user name in the host': { headers: (given) => ({ host: `${given}@shop.example` }) },
  'a parameter access_token': parameter('access_token'),
  'a parameter ACCESS_TOKEN': parameter('ACCESS_TOKEN'),
  'a parameter apiKey': parameter('apiKey'),
  'a parameter api-key': parameter('api-key'),
  'a parameter apikey': parameter('apikey'),
  'a parameter key': parameter('key'),
  'a parameter client.secret': parameter('client.secret'),
  'a parameter password': parameter('password'),
  'a parameter userPassword2': parameter('userPassword2'),
  'a parameter pwd': parameter('pwd'),
  'a parameter userPIN': parameter('userPIN'),
  'a parameter X-Amz-Signature': parameter('X-Amz-Signature'),
  'a parameter X-Amz-Credential': parameter('X-Amz-Credential'),
  'a parameter sig': parameter('sig'),
  'a parameter PHPSESSID': parameter('PHPSESSID'),
  'a parameter connect.sid': parameter('connect.sid'),
  'a parameter code': parameter('code'),
  'a parameter jwt': parameter('jwt', webToken),
  'a parameter user[token]': parameter('user[token]'),
  'a parameter auth[keys][]': parameter('auth[keys][]'),
  'a parameter more than once': { path: (given) => `/?token=a&token=${given}` },
  'a parameter that a schema makes a list': {
    schema: { querystring: { type: 'object', properties: { tokens: { type: 'array', items: { type: 'string' } } } } },
    path: (given) => `/?tokens=${given}`
  },
  'a number that a schema makes of a PIN': {
    schema: { querystring: { type: 'object', properties: { pin: { type: 'integer' } } } },
    given: (secret) => `90210${secret.length}${secret.codePointAt(secret.length - 1)}`,
    path: (given) => `/?pin=${given}`
  },
  'an address in a parameter': parameter('next', (secret) => `https://shop.example/cb?page=1&access_token=${secret}`),
  'a password in an address': parameter('next', (secret) => `https://ada:${secret}@shop.example/`),
  'JSON in a parameter': parameter('filter', (secret) => `{"user":{"password":"${secret}"}}`),
  'a web token in a parameter of any name': parameter('state', webToken),
  'a web token as the name of a parameter': { given: webToken, path: (given) => `/?${given}` },
  'a bearer token in a parameter of any name': parameter('q', (secret) => `Bearer ${secret}`),
  'a path parameter token': inPath('/reset/:token', (given) => `/reset/${given}`),
  'a path parameter inviteCode, maybe absent': inPath('/invite/:inviteCode?', (given) => `/invite/${given}`),
  'a path parameter beside another in its segment': inPath('/at/:name-:key', (given) => `/at/ada-${given}`),
  'a path parameter with a pattern': inPath('/at/:session(^\\w+$)', (given) => `/at/${given}`),
  'a web token in a path': inPath('/confirm/:id', (given) => `/confirm/${given}`, webToken),
  'a web token behind a wildcard': inPath('/files/*', (given) => `/files/a/${given}/b`, webToken),
  'a matrix parameter behind a wildcard': inPath('/files/*', (given) => `/files/a;token=${given}/b`),
  'a password in an address behind a wildcard': inPath('/proxy/*', (given) => `/proxy/${given}`, (secret) => `https://ada:${secret}@shop.example/a`),
  'a long token': parameter('token', (secret) => secret.repeat(100)),
  'a long address with a token': parameter('next', (secret) => `/?token=${secret}&${'x'.repeat(1_000)}`),
  'an address that a key function returns': { ...parameter('token'), policy: { key: ({ url }) => url } },
  'a header that a scope function returns': {
    ...header('authorization', (secret) => `Bearer ${secret}`), policy: { scope: ({ headers }) => headers.authorization }
  }
}

/** Two callers of each kind. */
const SECRETS = ['s3cretOfAda', 's3cretOfBob']
const CHANNELS = ['decision', 'fill', 'invalidation', 'sweep', 'store']

/** All that is published until the test ends. */
function published (t: Test): unknown[] {
  const events: unknown[] = []
  const listener = (event: unknown): void => { events.push(event) }
  for (const channel of CHANNELS) subscribe(`fastify-api-cache:${channel}`, listener)
  t.teardown(() => { for (const channel of CHANNELS) unsubscribe(`fastify-api-cache:${channel}`, listener) })
  return events
}

/** Every key and every value. */
async function contentOf ({ redis }: ApiCacheOptions): Promise<string> {
  if (redis === undefined) return ''
  const client = new Redis(redis as string)
  const keys = await client.keys('*')
  const values = await Promise.all(keys.map(async (key) => await client.getBuffer(key)))
  client.disconnect()
  return [...keys, ...values.map((value) => value!.toString('latin1'))].join('\n')
}

interface Asked { app: FastifyInstance, lines: LogLine[], send (secret: string): Promise<{ cache: unknown, text: string, told: string }> }

/** An application whose only route answers how often its handler has run. */
async function answering (t: Test, options: ApiCacheOptions, kind: Kind): Promise<Asked> {
  const { url = '/', policy, vary, schema, given = (secret) => secret, path = () => '/', headers = () => ({}) } = kind
  const lines: LogLine[] = []
  const { logger } = loggingTo(lines)
  const app = Fastify({ logger: { ...logger as object, level: 'trace' }, disableRequestLogging: true })
  await app.register(apiCache, options)
  let runs = 0
  const { origin } = await listening(t, app, (app) => {
    app.get(url, { schema, config: { cache: { ...cache, ...policy } } }, async (_request, reply) => {
      if (vary !== undefined) reply.header('vary', vary)
      return `run ${++runs}`
    })
  })
  return {
    app,
    lines,
    async send (secret) {
      const answer = await ask(origin + path(given(secret)), headers(given(secret)))
      await app.apiCache.settled()
      return { cache: answer.headers['x-api-cache'], text: answer.text, told: JSON.stringify(answer.headers) }
    }
  }
}

for (const [what, kind] of Object.entries(KINDS)) {
  for (const explain of [false, true]) {
    test(`${what} is nowhere to be seen${explain ? ', with explain: true' : ''}, and tells callers apart`, async (t, options) => {
      const events = published(t)
      const { app, lines, send } = await answering(t, { ...options, explain }, kind)
      const told: string[] = []
      for (const cache of ['MISS', 'HIT']) {
        for (const [index, secret] of SECRETS.entries()) {
          const answer = await send(secret)
          t.match(answer, { cache, text: `run ${index + 1}` })
          told.push(answer.told)
        }
      }
      const keys = await keysOf(app, 'secrets')
      t.equal(keys.filter((key) => /~[\w-]{32}(?![\w-])/.test(key)).length, 2)
      const all = [...told, ...keys, JSON.stringify(lines), JSON.stringify(events), await contentOf(options)].join('\n')
      t.ok(lines.length > 0 && events.length > 0)
      for (const secret of SECRETS) {
        for (const form of formsOf((kind.given ?? String)(secret), secret)) t.notOk(all.includes(form), form)
      }
    })
  }
}

for (const field of ['key', 'namespace'] as const) {
  test(`a number that a ${field} function returns by mistake is not logged`, async (t, options) => {
    const policy = { [field]: ({ headers }: FastifyRequest) => Number(headers['x-pin']) }
    const { lines, send } = await answering(t, options, { policy: policy as unknown as Partial<ReadPolicy>, headers: (pin) => ({ 'x-pin': pin }) })
    t.equal((await send('86753098675309')).cache, 'MISS')
    t.match(JSON.stringify(lines), `${field} must return a non-empty string, got a number`)
    t.notMatch(JSON.stringify(lines), '86753098675309')
  })
}

/** The whole of what was given, the secret itself, and both as a key would spell them. */
function formsOf (given: string, secret: string): string[] {
  const ownPart = given.split('.').find((part) => part.length > 20 && !part.startsWith('eyJhbGci')) ?? given
  return [...new Set([given, encodeURIComponent(given), secret, ownPart.replace(/^Basic /, '')])]
}

// Where a client could send what a key shows of a secret.
const FORGED: Record<string, { policy?: Partial<ReadPolicy>, url?: string, ask: (value: string) => [path: string, headers?: Record<string, string>] }> = {
  'a header': { policy: { vary: ['x-api-key'] }, ask: (value) => ['/', { 'x-api-key': value }] },
  'a parameter': { ask: (value) => [`/?token=${encodeURIComponent(value)}`] },
  'a parameter of any name': { ask: (value) => [`/?q=${encodeURIComponent(value)}`] },
  'a path': { url: '/:token', ask: (value) => [`/${encodeURIComponent(value)}`] },
  'a path behind a wildcard': { url: '/*', ask: (value) => [`/${encodeURIComponent(value)}`] },
  'a host': { ask: (value) => ['/', { host: value }] }
}

for (const [what, { policy, url = '/', ask: asked }] of Object.entries(FORGED)) {
  test(`whoever has seen the hash of a secret in ${what} does not get what belongs to the secret`, async (t, options) => {
    const app = Fastify()
    await app.register(apiCache, options)
    const { origin } = await listening(t, app, (app) => app.get(url, { config: { cache: { ...cache, ...policy } } }, async ({ url, headers }) => JSON.stringify([url, headers])))
    const send = async (value: string): Promise<unknown> => {
      const [path, headers] = asked(value)
      const { 'x-api-cache': cache } = (await ask(origin + path, headers)).headers
      await app.apiCache.settled()
      return cache
    }
    const secret = what === 'a host' ? 'ada:s3cret@shop.example' : 'Bearer s3cret'
    t.equal(await send(secret), 'MISS')
    t.equal(await send(secret), 'HIT')
    const [key] = await keysOf(app, 'secrets')
    const [hash] = /~[\w-]{32}(?![\w-])/.exec(key!)!
    for (const forged of [hash, hash.slice(1), `"${hash}"`, `%7E${hash.slice(1)}`]) t.equal(await send(forged), 'MISS', forged)
  })
}

test('the hash of a secret is the same in every process and release', async (t, options) => {
  const app = Fastify()
  await app.register(apiCache, { ...options, host: false })
  const { request } = await listening(t, app, (app) => app.get('/reset/:token', { config: { cache: { namespace: 'secrets', expire: 60 } } }, async () => 'answer'))
  await request('/reset/s3cret?access_token=s3cret')
  await app.apiCache.settled()
  const hash = `~${createHash('sha256').update('"s3cret"', 'utf16le').digest('base64url').slice(0, 32)}`
  t.same(await keysOf(app, 'secrets'), [`api-cache|secrets:GET /reset/${hash}?access_token=${hash}`])
})

// What a key shows as it is.
const SHOWN: Record<string, { policy?: Partial<ReadPolicy>, path?: string, headers?: Record<string, string>, key: RegExp }> = {
  'parameters of other names': {
    path: '/?limit=100&keyword=a&author=b&authority=c&design=d&shipping=e&pages=f&assigned=g',
    key: /GET \/\?assigned=g&author=b&authority=c&design=d&keyword=a&limit=100&pages=f&shipping=e/
  },
  'addresses, times and JSON without credentials': {
    path: `/?at=12:30&next=${encodeURIComponent('https://shop.example/?page=1')}&where=${encodeURIComponent('{"author":"a"}')}`,
    key: /at=12%3A30&next=https%3A%2F%2Fshop.example%2F%3Fpage%3D1&where=%7B%22author%22%3A%22a%22%7D/
  },
  'headers by which responses are negotiated': {
    policy: { vary: ['accept-language', 'sec-ch-ua-mobile', 'X-Forwarded-Proto'] },
    headers: { 'accept-language': 'de', 'sec-ch-ua-mobile': '?1' },
    key: /accept-language=de sec-ch-ua-mobile=%3F1 x-forwarded-proto$/
  },
  'what a scope function returns': { policy: { scope: () => 'user 42' }, key: /scope=user%2042/ },
  'what a key function returns': { policy: { key: () => 'top ten' }, key: /:top%20ten/ }
}

for (const [what, { policy, path = '/', headers, key }] of Object.entries(SHOWN)) {
  test(`a key shows ${what}`, async (t, options) => {
    const app = Fastify()
    await app.register(apiCache, options)
    const { request } = await listening(t, app, (app) => app.get('/', { config: { cache: { ...cache, ...policy } } }, async () => 'answer'))
    await request(path, { headers: { ...headers } })
    await app.apiCache.settled()
    t.match(await keysOf(app, 'secrets'), [key])
  })
}
