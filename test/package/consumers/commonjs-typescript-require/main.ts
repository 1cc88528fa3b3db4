import assert = require('node:assert/strict')
import Fastify = require('fastify')
import apiCache = require('fastify-api-cache')
import client = require('fastify-api-cache/client')

type ApiCacheOptions = apiCache.ApiCacheOptions
const { oneDay } = apiCache

async function main (): Promise<void> {
  const options: ApiCacheOptions = { store: 'memory' }
  const app = Fastify.fastify()
  await app.register(apiCache, options)
  app.get('/', { config: { cache: oneDay({ namespace: 'root' }) } }, async () => ({ hello: 'world' }))
  app.post('/', { config: { cache: { invalidate: 'root' } } }, async () => ({}))

  assert.equal((await app.inject('/')).headers['x-api-cache'], 'MISS')
  assert.equal((await app.inject('/')).headers['x-api-cache'], 'HIT')
  assert.equal(await (await app.apiCache.invalidate('root')).swept, 1)
  assert.equal((await app.inject('/')).headers['x-api-cache'], 'MISS')
  await app.close()

  const clientOptions: client.ClientOptions = { redis: 'redis://127.0.0.1:1', timeout: 100 }
  const cache = client.createApiCache(clientOptions)
  await assert.rejects(cache.invalidate('root'), client.UnconfirmedError)
  await cache.close()
}

main()
