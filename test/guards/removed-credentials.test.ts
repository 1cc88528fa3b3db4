import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { connect, type IncomingHttpHeaders } from 'node:http2'
import { text } from 'node:stream/consumers'
import Fastify, { type FastifyInstance, type FastifyRequest, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import apiCache, { type ApiCacheOptions, type ReadPolicy } from '../../index.js'
import { ask } from '../http/ask.js'
import { patientStores } from '../support/patient-stores.js'
import { listening } from '../support/serving.js'

const test = patientStores()

interface Answer {
  readonly me: string | null
  readonly cache: unknown
  readonly cacheStatus: unknown
}
type Send = (headers: Record<string, string>) => Promise<Answer>

const answer = (body: string, headers: Record<string, unknown>): Answer =>
  ({ me: (JSON.parse(body) as { me: string | null }).me, cache: headers['x-api-cache'], cacheStatus: headers['cache-status'] })

async function overHttp1 (t: Test, app: FastifyInstance): Promise<Send> {
  const { origin } = await listening(t, app)
  return async (headers) => {
    const answered = await ask(origin, headers)
    return answer(answered.text, answered.headers)
  }
}

async function overHttp2 (t: Test, app: FastifyInstance): Promise<Send> {
  const { origin } = await listening(t, app)
  const session = connect(origin)
  t.teardown(() => { session.destroy() })
  return async (headers) => {
    const stream = session.request(headers, { endStream: true })
    const [received] = await once(stream, 'response') as [IncomingHttpHeaders]
    return answer(await text(stream), received)
  }
}

async function injected (t: Test, app: FastifyInstance): Promise<Send> {
  t.teardown(() => app.close())
  return async (headers) => {
    const answered = await app.inject({ url: '/', headers })
    return answer(answered.body, answered.headers)
  }
}

const TRANSPORTS: Record<string, { server: FastifyServerOptions, sender: (t: Test, app: FastifyInstance) => Promise<Send> }> = {
  'HTTP/1': { server: {}, sender: overHttp1 },
  'HTTP/2': { server: { http2: true } as FastifyServerOptions, sender: overHttp2 },
  'app.inject': { server: {}, sender: injected }
}

/** A guard that knows its caller and leaves no trace of it for the handler. */
const GUARDS: Record<string, (request: FastifyRequest) => void> = {
  'deletes Authorization and cookies': ({ headers }) => {
    delete headers.authorization
    delete headers.cookie
  },
  'deletes them from the raw request': ({ raw }) => {
    delete raw.headers.authorization
    delete raw.headers.cookie
  },
  'makes them undefined': ({ headers }) => { Object.assign(headers, { authorization: undefined, cookie: undefined }) },
  'sets headers of its own': (request) => { request.headers = { authorization: undefined, cookie: undefined } },
  'sets other headers on the raw request': ({ raw }) => { Object.defineProperty(raw, 'headers', { value: { host: raw.headers.host } }) }
}

async function guarded (options: ApiCacheOptions, server: FastifyServerOptions, guard: (request: FastifyRequest) => void, policy: Partial<ReadPolicy> = {}): Promise<FastifyInstance> {
  // A copy, because Fastify 5.0 changes its options.
  const app = Fastify({ ...server })
  app.decorateRequest('me', null)
  app.addHook('onRequest', async (request) => {
    const { authorization, cookie } = request.headers
    Object.assign(request, { me: authorization ?? cookie ?? null })
    guard(request)
  })
  await app.register(apiCache, options)
  app.get('/', { config: { cache: { namespace: 'guarded', expire: 60, ...policy } } }, async (request) => ({ me: (request as unknown as { me: string | null }).me }))
  return app
}

const CREDENTIALS: Array<Record<string, string>> = [{ authorization: 'alice' }, { cookie: 'alice' }]

for (const [transport, { server, sender }] of Object.entries(TRANSPORTS)) {
  for (const [what, guard] of Object.entries(GUARDS)) {
    for (const serveFrom of ['handler', 'onRequest'] as const) {
      test(`a guard that ${what} makes no caller anonymous over ${transport}, served from ${serveFrom}`, async (t, options) => {
        const app = await guarded(options, server, guard, { serveFrom })
        const send = await sender(t, app)
        for (const credentials of CREDENTIALS) {
          await app.apiCache.invalidate('guarded')
          t.match(await send(credentials), { me: 'alice', cache: 'MISS', cacheStatus: /fwd=bypass;detail=credentials$/ })
          await app.apiCache.settled()
          t.match(await send({}), { me: null, cache: 'MISS' })
          await app.apiCache.settled()
          t.match(await send({}), { me: null, cache: 'HIT' })
          t.match(await send(credentials), { me: 'alice', cache: 'MISS' })
        }
      })
    }
  }
}

test('names of credentials count in upper and lower case', async (t, options) => {
  const app = await guarded(options, {}, GUARDS['deletes Authorization and cookies']!)
  const send = await overHttp1(t, app)
  for (const name of ['Authorization', 'AUTHORIZATION', 'authORIZation', 'Cookie', 'COOKIE', 'cOOKIE']) {
    t.match(await send({ [name]: 'alice' }), { me: 'alice', cacheStatus: /detail=credentials$/ }, name)
  }
  for (const name of ['if-none-match', 'authorizatioN2', 'accept', 'cookie2', 'xcookie', 'customheader1', 'c-type']) {
    t.match(await send({ [name]: 'x' }), { me: null, cacheStatus: /(hit;ttl=\d+|stored)$/ }, name)
    await app.apiCache.settled()
  }
})

test('credentials that a hook adds count like those in the request', async (t, options) => {
  const app = await guarded(options, {}, (request) => {
    if (request.headers['x-session'] !== undefined) request.headers.authorization = `Bearer ${request.headers['x-session']}`
  })
  const send = await overHttp1(t, app)
  t.match(await send({ 'x-session': 'alice' }), { cacheStatus: /detail=credentials$/ })
  t.match(await send({}), { cache: 'MISS' })
  await app.apiCache.settled()
  t.match(await send({}), { cache: 'HIT' })
})

test('if requests of a server have no raw headers, the parsed headers count', async (t, options) => {
  const app = await guarded(options, {
    serverFactory: (handler) => createServer((request, response) => {
      Object.defineProperty(request, 'rawHeaders', { value: undefined })
      ;(handler as RequestListener)(request, response)
    })
  }, () => {})
  const send = await overHttp1(t, app)
  t.match(await send({ authorization: 'alice' }), { me: 'alice', cacheStatus: /detail=credentials$/ })
  t.match(await send({}), { me: null, cache: 'MISS' })
  await app.apiCache.settled()
  t.match(await send({}), { me: null, cache: 'HIT' })
})
