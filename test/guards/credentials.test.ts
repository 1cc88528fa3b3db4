import { once } from 'node:events'
import { connect, type IncomingHttpHeaders } from 'node:http2'
import cookie from '@fastify/cookie'
import Fastify, { type FastifyInstance, type FastifyRequest, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import apiCache, { type ApiCacheOptions, type Credentials, type ReadPolicy } from '../../index.js'
import { ask } from '../http/ask.js'
import { loggingTo, type LogLine } from '../support/log.js'
import { patientStores } from '../support/patient-stores.js'
import { listening } from '../support/serving.js'

const test = patientStores()

type Headers = Record<string, string>

interface Guarded {
  readonly app: FastifyInstance
  readonly lines: LogLine[]
  /** HIT or MISS. */
  send (headers?: Headers, path?: string): Promise<string>
  /** Why the last one was no HIT, and for whom it is. */
  last (): { status: unknown, vary: unknown, text: string }
}

interface Given { policy?: Partial<ReadPolicy>, server?: FastifyServerOptions, hook?: (request: FastifyRequest) => void }

/** An application that logs, whose route answers how often its handler has run. */
async function guarded (t: Test, options: ApiCacheOptions, { policy, server, hook }: Given = {}): Promise<Guarded> {
  const lines: LogLine[] = []
  const app = Fastify({ ...loggingTo(lines), disableRequestLogging: true, ...server })
  await app.register(cookie)
  await app.register(apiCache, options)
  if (hook !== undefined) app.addHook('onRequest', async (request) => { hook(request) })
  let runs = 0
  const config = { cache: { namespace: 'guarded', expire: 60, ...policy } }
  const { origin } = await listening(t, app, (app) => {
    app.get('/', { config }, async () => `run ${++runs}`)
    app.get('/other', { config }, async () => `run ${++runs}`)
  })
  let last = { status: undefined as unknown, vary: undefined as unknown, text: '' }
  return {
    app,
    lines,
    async send (headers = {}, path = '/') {
      const answer = await ask(origin + path, headers)
      await app.apiCache.settled()
      last = { status: answer.headers['cache-status'], vary: answer.headers.vary, text: answer.text }
      return answer.headers['x-api-cache'] as string
    },
    last: () => last
  }
}

function removeHeaders ({ raw }: FastifyRequest): void {
  for (const name of Object.keys(raw.headers)) Reflect.deleteProperty(raw.headers, name)
}

const cookies = (...cookies: string[]): Credentials => ({ cookies })

// By what the policy says: whose requests share an entry, and whose do not.
const POLICIES: Record<string, { credentials: Credentials, anyone: Headers[], somebody: Headers[] }> = {
  'names a cookie': {
    credentials: cookies('session'),
    anyone: [
      { cookie: '_ga=GA1.2.3' }, { cookie: '_ga=session' }, { cookie: 'Session=1; mysession=2; session2=3; =session' }, { cookie: '' }
    ],
    somebody: [
      { cookie: 'session=1' }, { cookie: '_ga=1; session=1' }, { cookie: '_ga=1;session=1' }, { cookie: 'session=1;_ga=1' },
      { cookie: 'session = 1' }, { cookie: '\tsession=1' }, { cookie: '_ga=1, session=1' }, { cookie: 'session' }, { cookie: 'session=' },
      { cookie: '_ga="; session=1' }, { cookie: `${'a=b; '.repeat(1_000)}session=1` }, { authorization: 'Bearer a', cookie: '_ga=1' }
    ]
  },
  'names a pattern': {
    credentials: cookies('sb-*-token', '__Host-*'),
    anyone: [{ cookie: '_ga=1; sb-token=1; x-__Host-a=1' }],
    somebody: [{ cookie: '_ga=1; sb-eu-token=1' }, { cookie: '__Host-a=1' }, { authorization: '' }]
  },
  'names no cookie': {
    credentials: cookies(),
    anyone: [{ cookie: 'session=1' }, { cookie: 'x' }],
    somebody: [{ authorization: 'Bearer a' }, { authorization: 'Bearer a', cookie: 'session=1' }]
  },
  'names a header': {
    credentials: { headers: ['X-Api-Key', '_me'] },
    anyone: [{ 'x-api-ke': '1' }, { 'y-api-key': '1' }, { 'x-other': 'x-api-key' }, { me: '1' }],
    somebody: [{ 'x-api-key': '1' }, { 'X-API-KEY': '' }, { _me: '1' }, { _ME: '1' }, { authorization: 'a' }, { Authorization: '' }, { cookie: '_ga=1' }]
  },
  'names a header and cookies': {
    credentials: { headers: ['x-api-key'], cookies: ['session'] },
    anyone: [{ cookie: '_ga=1', 'x-other': '1' }],
    somebody: [{ cookie: 'session=1' }, { 'x-api-key': '1', cookie: '_ga=1' }, { authorization: 'a' }]
  },
  'names Cookie as a header': {
    credentials: { headers: ['Cookie'], cookies: ['session'] },
    anyone: [{ 'x-other': '1' }],
    somebody: [{ cookie: '_ga=1' }]
  }
}

for (const [what, { credentials, anyone, somebody }] of Object.entries(POLICIES)) {
  test(`a policy that ${what} in credentials says whose requests go to the handler`, async (t, options) => {
    const { send, last } = await guarded(t, options, { policy: { credentials } })
    t.equal(await send(), 'MISS')
    for (const headers of anyone) t.equal(await send(headers), 'HIT', JSON.stringify(headers).slice(0, 80))
    for (const headers of somebody) {
      t.equal(await send(headers), 'MISS', JSON.stringify(headers).slice(0, 80))
      t.match(last().status, /fwd=bypass;detail=credentials$/)
    }
    t.equal(await send(), 'HIT')
    t.equal(last().text, 'run 1', 'and nothing of theirs is stored')
  })

  test(`it is so for a policy that ${what} if a hook removes all headers`, async (t, options) => {
    const { send, last } = await guarded(t, options, { policy: { credentials }, hook: removeHeaders })
    await send()
    for (const headers of anyone) t.equal(await send(headers), 'HIT')
    for (const headers of somebody) {
      t.equal(await send(headers), 'MISS')
      t.match(last().status, /fwd=bypass;detail=credentials$/)
    }
  })
}

test('cookies that HTTP/2 brings one by one count each', async (t, options) => {
  const app = Fastify({ http2: true } as FastifyServerOptions) as unknown as FastifyInstance
  await app.register(apiCache, options)
  const { origin } = await listening(t, app, (app) => app.get('/', { config: { cache: { namespace: 'guarded', expire: 60, credentials: cookies('session') } } }, async () => 'answer'))
  const client = connect(origin)
  t.teardown(() => { client.destroy() })
  const send = async (cookie: string[]): Promise<unknown> => {
    const stream = client.request({ cookie }, { endStream: true })
    const [headers] = await once(stream, 'response') as [IncomingHttpHeaders]
    stream.resume()
    await app.apiCache.settled()
    return headers['x-api-cache']
  }
  t.equal(await send(['_ga=1', 'theme=dark']), 'MISS')
  t.equal(await send(['theme=dark']), 'HIT')
  t.equal(await send(['_ga=1', 'session=1']), 'MISS')
  t.equal(await send(['session=1', '_ga=1']), 'MISS')
})

test('a cookie or a header that a hook adds counts like one in the request', async (t, options) => {
  const { send } = await guarded(t, options, {
    policy: { credentials: { headers: ['x-user'], cookies: ['session'] } },
    hook ({ headers }) {
      if (headers['x-adds'] === 'cookie') headers.cookie = 'session=1'
      if (headers['x-adds'] === 'header') headers['x-user'] = '1'
    }
  })
  await send()
  t.equal(await send({ 'x-adds': 'nothing' }), 'HIT')
  t.equal(await send({ 'x-adds': 'cookie' }), 'MISS')
  t.equal(await send({ 'x-adds': 'header' }), 'MISS')
})

test("a route's headers and cookies each replace those of the plugin", async (t, options) => {
  const credentials = { headers: ['x-api-key'], cookies: ['session'] }
  const { send } = await guarded(t, { ...options, credentials }, { policy: { credentials: { cookies: ['login'] } } })
  await send()
  for (const headers of [{ cookie: '_ga=1' }, { cookie: 'session=1' }]) t.equal(await send(headers), 'HIT')
  for (const headers of [{ cookie: 'login=1' }, { 'x-api-key': '1' }, { authorization: 'a' }] as Headers[]) t.equal(await send(headers), 'MISS')
  t.same(credentials, { headers: ['x-api-key'], cookies: ['session'] })
  const other = await guarded(t, { ...options, credentials }, { policy: { credentials: { headers: ['x-user'] }, namespace: 'other' } })
  await other.send()
  for (const headers of [{ cookie: '_ga=1' }, { 'x-api-key': '1' }] as Headers[]) t.equal(await other.send(headers), 'HIT')
  for (const headers of [{ cookie: 'session=1' }, { 'x-user': '1' }] as Headers[]) t.equal(await other.send(headers), 'MISS')
})

test("what makes a request somebody's is named in Vary where clients may reuse a response", async (t, options) => {
  const { send, last } = await guarded(t, options, { policy: { clientExpire: 60, credentials: { headers: ['X-Api-Key'], cookies: ['session'] } } })
  for (const cache of ['MISS', 'HIT']) {
    t.equal(await send(), cache)
    t.same(String(last().vary).toLowerCase().split(', ').sort(), ['authorization', 'cookie', 'x-api-key'])
  }
})

// By what all requests of a route have: what the log names.
const ONLY: Record<string, { policy?: Partial<ReadPolicy>, headers: Headers, named: string[], hook?: Given['hook'] }> = {
  'an analytics cookie': { headers: { cookie: '_ga=GA1.s3cret; theme=s3cret' }, named: ['cookie _ga', 'cookie theme'] },
  'a token': { headers: { Authorization: 'Bearer s3cret' }, named: ['header authorization'] },
  'both, which a hook removes': {
    headers: { authorization: 's3cret', cookie: 'a=s3cret' },
    hook: removeHeaders,
    named: ['header authorization', 'cookie a']
  },
  'a cookie without a name': { headers: { cookie: 's3cret' }, named: ['a cookie without a name'] },
  'a cookie with a long name': { headers: { cookie: `${'s3cret'.repeat(10)}=1` }, named: ['a cookie without a name'] },
  'many cookies': {
    headers: { cookie: Array.from({ length: 100 }, (_, index) => `c${index}=s3cret`).join('; ') },
    named: Array.from({ length: 10 }, (_, index) => `cookie c${index}`)
  },
  'what the policy counts, beside other cookies': {
    policy: { credentials: { headers: ['x-api-key'], cookies: ['session'] } },
    headers: { 'x-api-key': 's3cret', cookie: '_ga=1; session=s3cret' },
    named: ['header x-api-key', 'cookie session']
  }
}

const told = (lines: LogLine[]): LogLine[] => lines.filter(({ msg }) => msg.startsWith('api cache: nothing of this route'))

for (const [what, { policy, headers, named, hook }] of Object.entries(ONLY)) {
  test(`one log line says that a route is never cached as all requests have ${what}`, async (t, options) => {
    const { send, lines } = await guarded(t, options, { ...policy && { policy }, ...hook && { hook } })
    await send(headers)
    t.same(told(lines), [], 'one request says nothing about all')
    for (let i = 0; i < 5; i++) await send(headers)
    t.match(told(lines), [{ level: 30, route: 'GET /', msg: /name the cookies that tell who asks in credentials.cookies/ }])
    t.same(told(lines)[0]!['credentials'], named)
    t.notMatch(JSON.stringify(lines), 's3cret')
    await send(headers, '/other')
    await send(headers, '/other')
    t.match(told(lines), [{ route: 'GET /' }, { route: 'GET /other' }], 'for each route')
  })
}

test('nothing is logged about a route that has been asked without credentials', async (t, options) => {
  const { send, lines } = await guarded(t, options)
  await send({ cookie: 'a=b' })
  await send()
  for (let i = 0; i < 5; i++) await send({ cookie: 'a=b' })
  t.same(told(lines), [])
})

test('with explain: true a handler that reads a cookie that does not count is reported, and no other', async (t, options) => {
  const lines: LogLine[] = []
  const app = Fastify(loggingTo(lines))
  await app.register(cookie)
  await app.register(apiCache, { explain: true, ...options })
  app.decorateRequest('user', null as never)
  const { request } = await listening(t, app, (app) => app.get('/', {
    config: { cache: { namespace: 'guarded', expire: 60, credentials: { headers: ['x-api-key'], cookies: ['session'] } } }
  }, async (request) => [
    request.cookies['session'], request.headers['x-api-key'], request.headers.authorization, (request as { user?: unknown }).user, request.cookies['theme']
  ]))
  await request('/', { headers: { cookie: 'theme=dark' } })
  t.same(lines.flatMap(({ reads }) => reads ?? []), ['cookie theme'])
})
