import assert from 'node:assert/strict'
import Fastify from 'fastify'
import apiCache, { type ApiCacheOptions, oneDay } from 'fastify-api-cache'

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
}

main()
