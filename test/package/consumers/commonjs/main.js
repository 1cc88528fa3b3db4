const assert = require('node:assert/strict')
const Fastify = require('fastify')
const apiCache = require('fastify-api-cache')
const { createApiCache, UnconfirmedError } = require('fastify-api-cache/client')

const { oneDay, ONE_DAY_IN_SECONDS } = apiCache

async function main () {
  assert.equal(typeof apiCache, 'function')
  assert.equal(apiCache.default, apiCache)
  assert.equal(apiCache.apiCache, apiCache)
  assert.equal(ONE_DAY_IN_SECONDS, 86400)
  assert.equal((await import('fastify-api-cache')).default, apiCache)

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
}

main()
