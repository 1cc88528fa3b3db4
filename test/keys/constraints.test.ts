import { connect } from 'node:http2'
import { once } from 'node:events'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import apiCache from '../../index.js'
import { patientStores } from '../support/patient-stores.js'
import { keysOf, listening, serving } from '../support/serving.js'

const test = patientStores()
const config = { cache: { namespace: 'constrained', expire: 60 } }

// By what tells the routes apart, and the request headers that choose one.
const CONSTRAINED: Record<string, { header: string, constraint: string, values: unknown[], asked: string[] }> = {
  hosts: { header: 'host', constraint: 'host', values: ['a.example', 'b.example'], asked: ['a.example', 'b.example'] },
  versions: { header: 'accept-version', constraint: 'version', values: ['1.0.0', '2.0.0'], asked: ['1.0.0', '2.0.0'] },
  'a constraint of the application': { header: 'x-plan', constraint: 'plan', values: ['free', 'paid'], asked: ['free', 'paid'] },
  'a constraint whose values are objects': { header: 'x-tier', constraint: 'tier', values: [{ name: 'free' }, { name: 'paid' }], asked: ['free', 'paid'] }
}

for (const [what, { header, constraint, values, asked }] of Object.entries(CONSTRAINED)) {
  test(`routes of one path that ${what} tell apart have separate entries`, async (t, options) => {
    const app = Fastify({
      routerOptions: {
        constraints: {
          plan: custom('plan', 'x-plan', (value) => value as string),
          tier: custom('tier', 'x-tier', (value) => (value as { name: string }).name)
        }
      }
    })
    await app.register(apiCache, options)
    for (const [index, value] of values.entries()) {
      app.get('/', { config, constraints: { [constraint]: value } }, async () => `answer ${index}`)
    }
    await app.ready()
    t.teardown(() => app.close())
    for (const cache of ['MISS', 'HIT']) {
      for (const [index, value] of asked.entries()) {
        const { body, headers } = await app.inject({ url: '/', headers: { [header]: value } })
        t.equal(body, `answer ${index}`)
        t.equal(headers['x-api-cache'], cache)
      }
      await app.apiCache.settled()
    }
    t.equal((await keysOf(app, 'constrained')).length, 2)
  })
}

function custom (name: string, header: string, nameOf: (value: unknown) => string) {
  return {
    name,
    storage: () => {
      const routes = new Map<string, unknown>()
      return {
        get: (value: unknown) => (routes.get(String(value)) ?? null) as never,
        set: (value: unknown, route: unknown) => { routes.set(nameOf(value), route) }
      }
    },
    deriveConstraint: ({ headers }: FastifyRequest['raw']) => headers[header] as string | undefined,
    validate: () => true
  } as never
}

const HOSTS = ['a.example', 'b.example', 'a.example:81', 'b|*.example']
const byHost = (app: FastifyInstance): unknown => app.get('/', { config, constraints: { host: /example/ } }, async ({ host }) => ({ host }))
const varying = (app: FastifyInstance): unknown => app.get('/', {
  config: { cache: { ...config.cache, host: false, vary: ['Host'] } }
}, async ({ host }) => ({ host }))

for (const [what, declare] of Object.entries({ 'a RegExp as host constraint': byHost, "host: false and vary: ['host']": varying })) {
  test(`each host has its own entries with ${what}`, async (t, options) => {
    const { app } = await serving(t, options, declare)
    for (const cache of ['MISS', 'HIT']) {
      for (const host of HOSTS) {
        const { body, headers } = await app.inject({ url: '/', headers: { host } })
        t.equal(body, JSON.stringify({ host }))
        t.equal(headers['x-api-cache'], cache)
      }
      await app.apiCache.settled()
    }
  })

  test(`each host has its own entries over HTTP/2, too, with ${what}`, async (t, options) => {
    const app = Fastify({ http2: true })
    await app.register(apiCache, options)
    declare(app as unknown as FastifyInstance)
    const { origin } = await listening(t, app as unknown as FastifyInstance)
    const session = connect(origin)
    t.teardown(() => { session.close() })
    for (const cache of ['MISS', 'HIT']) {
      for (const host of HOSTS.slice(0, 3)) {
        const stream = session.request({ ':path': '/', ':authority': host })
        const [headers] = await once(stream, 'response') as [Record<string, string>]
        t.equal(String(Buffer.concat(await stream.toArray() as Buffer[])), JSON.stringify({ host }))
        t.equal(headers['x-api-cache'], cache)
      }
      await app.apiCache.settled()
    }
  })
}

test('a route with a literal path and one with a parameter have separate entries', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => {
    app.get('/users/me', { config }, async () => 'me')
    app.get('/users/:id', { config }, async () => 'some id')
    app.get('/users/:id/*', { config }, async () => 'below')
    app.get('/users/*', { config }, async () => 'anything')
  })
  const asked = { '/users/me': 'me', '/users/%6De': 'me', '/users/x': 'some id', '/users/x/y': 'below', '/users/': 'some id' }
  for (let round = 0; round < 2; round++) {
    for (const [path, text] of Object.entries(asked)) t.equal((await request(path)).text, text, path)
    await app.apiCache.settled()
  }
})
