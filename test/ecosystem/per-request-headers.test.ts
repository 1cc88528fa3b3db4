import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import rateLimit from '@fastify/rate-limit'
import Fastify from 'fastify'
import t from 'tap'
import apiCache from '../../index.js'
import { ask, cached } from '../http/ask.js'
import { listening } from '../support/serving.js'

const config = { cache: { namespace: 'hooks', expire: 60 } }

for (const order of ['before', 'after']) {
  t.test(`@fastify/cors registered ${order} the cache answers each origin for itself`, async (t) => {
    const app = Fastify()
    if (order === 'before') await app.register(cors, { origin: ['http://a.example', 'http://b.example'], credentials: true })
    await app.register(apiCache, { store: 'memory' })
    if (order === 'after') await app.register(cors, { origin: ['http://a.example', 'http://b.example'], credentials: true })
    const { origin } = await listening(t, app, () => app.get('/', { config }, async () => ({ a: 1 })))
    let state = 'MISS'
    for (const from of ['http://a.example', 'http://b.example', 'http://c.example']) {
      const { headers } = await ask(`${origin}/`, { origin: from })
      t.equal(cached(headers), state)
      t.equal(headers['access-control-allow-origin'], from === 'http://c.example' ? undefined : from)
      t.match(headers.vary, 'Origin')
      await app.apiCache.settled()
      state = 'HIT'
    }
    const preflight = await ask(`${origin}/`, { origin: 'http://a.example', 'access-control-request-method': 'GET' }, 'OPTIONS')
    t.equal(preflight.status, 204)
  })

  t.test(`@fastify/helmet registered ${order} the cache gives each response its own nonce`, async (t) => {
    const app = Fastify()
    if (order === 'before') await app.register(helmet, { enableCSPNonces: true })
    await app.register(apiCache, { store: 'memory' })
    if (order === 'after') await app.register(helmet, { enableCSPNonces: true })
    const { origin } = await listening(t, app, () => app.get('/', { config }, async () => ({ a: 1 })))
    const policies = new Set<unknown>()
    for (const state of ['MISS', 'HIT', 'HIT']) {
      const { headers } = await ask(`${origin}/`)
      t.equal(cached(headers), state)
      t.equal(headers['x-content-type-options'], 'nosniff')
      policies.add(headers['content-security-policy'])
      await app.apiCache.settled()
    }
    t.equal(policies.size, 3)
  })

  t.test(`@fastify/rate-limit registered ${order} the cache counts HITs, and refuses them`, async (t) => {
    const app = Fastify()
    if (order === 'before') await app.register(rateLimit, { max: 3 })
    await app.register(apiCache, { store: 'memory' })
    if (order === 'after') await app.register(rateLimit, { max: 3 })
    const { origin } = await listening(t, app, () => app.get('/', { config }, async () => ({ a: 1 })))
    for (const left of ['2', '1', '0']) {
      const { headers } = await ask(`${origin}/`)
      t.equal(headers['x-ratelimit-remaining'], left)
      await app.apiCache.settled()
    }
    t.equal((await ask(`${origin}/`)).status, 429)
  })
}
