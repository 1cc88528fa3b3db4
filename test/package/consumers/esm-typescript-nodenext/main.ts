import assert from 'node:assert/strict'
import Fastify from 'fastify'
import apiCache, { type ApiCacheOptions, oneDay } from 'fastify-api-cache'
import { createApiCache, UnconfirmedError, type ClientOptions } from 'fastify-api-cache/client'

async function main (): Promise<void> {
  const options: ApiCacheOptions = { store: 'memory' }
  const app = Fastify()
  await app.register(apiCache, options)
  app.get('/', { config: { cache: oneDay({ namespace: 'root' }) } }, async () => ({ hello: 'world' }))
  app.post('/', { config: { cache: { invalidate: 'root' } } }, async () => ({}))

  assert.equal((await app.inject('/')).headers['x-api-cache'], 'MISS')
  assert.equal((await app.inject('/')).headers['x-api-cache'], 'HIT')
  assert.equal(await (await app.apiCache.invalidate('root')).swept, 1)
  assert.equal((await app.inject('/')).headers['x-api-cache'], 'MISS')
  await app.close()

  const clientOptions: ClientOptions = { redis: 'redis://127.0.0.1:1', timeout: 100 }
  const cache = createApiCache(clientOptions)
  await assert.rejects(cache.invalidate('root'), UnconfirmedError)
  await cache.close()
}

main()
