import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import Fastify from 'fastify'
import apiCache, { apiCache as named, oneDay, ONE_DAY_IN_SECONDS } from 'fastify-api-cache'
import * as everything from 'fastify-api-cache'
import { createApiCache, UnconfirmedError } from 'fastify-api-cache/client'

const required = createRequire(import.meta.url)('fastify-api-cache')

assert.equal(typeof apiCache, 'function')
assert.equal(apiCache, named)
assert.equal(apiCache, required)
assert.equal(ONE_DAY_IN_SECONDS, 86400)
// What require() finds on the plugin, import finds by name. (fastify-plugin adds a name to the one, Node to the other.)
const ADDED = ['fastifyApiCache', '__esModule']
const namesOf = (module) => Object.keys(module).filter((name) => !ADDED.includes(name)).sort()
assert.deepEqual(namesOf(everything), namesOf(required))

const app = Fastify()
await app.register(apiCache, { store: 'memory' })
app.get('/', { config: { cache: oneDay({ namespace: 'root' }) } }, async () => ({ hello: 'world' }))
app.post('/', { config: { cache: { invalidate: 'root' } } }, async () => ({}))

assert.equal((await app.inject('/')).headers['x-api-cache'], 'MISS')
assert.equal((await app.inject('/')).headers['x-api-cache'], 'HIT')
await app.inject({ method: 'POST', url: '/' })
assert.equal((await app.inject('/')).headers['x-api-cache'], 'MISS')
await app.close()

const client = createApiCache({ redis: 'redis://127.0.0.1:1', timeout: 100 })
await assert.rejects(client.invalidate('root'), UnconfirmedError)
await client.close()
