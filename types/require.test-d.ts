import Fastify = require('fastify')
import apiCache = require('fastify-api-cache')

const options: apiCache.ApiCacheOptions = { store: 'memory' }
const policy: apiCache.ReadPolicy = apiCache.oneDay({ namespace: 'user-cache' })
const app = Fastify.fastify()
app.register(apiCache, options)
app.get('/', { config: { cache: policy } }, async () => ({}))
// @ts-expect-error no such type
export type Missing = apiCache.NoSuchType
