import fastifyRedis from '@fastify/redis'
import { itemText } from '../payload.js'
import { loadPeer } from '../peers.js'
import { fastifyFor, jsonType, listen, type ItemRoute, type Subject } from './subject.js'

interface Cache {
  define: (name: string, read: (id: string) => Promise<string>) => void
  read: (id: string) => Promise<string>
}

export const asyncCacheDedupe: Subject = {
  name: 'async-cache-dedupe',
  title: 'async-cache-dedupe, Redis storage',
  group: 'peer',
  answeredBy: 'cache',
  async start (scenario, counters) {
    const { bodyBytes, redisUrl } = scenario
    const { createCache } = await loadPeer<{ createCache: (options: object) => Cache }>('async-cache-dedupe')
    const app = await fastifyFor(scenario)
    await app.register(fastifyRedis, { url: redisUrl })
    const cache = createCache({ ttl: 3600, storage: { type: 'redis', options: { client: app.redis } } })
    cache.define('read', async (id) => {
      counters.handlerRuns++
      return itemText(Number(id), bodyBytes)
    })
    app.get<ItemRoute>('/items/:id', async (request, reply) => {
      reply.header('content-type', jsonType)
      return cache.read(request.params.id)
    })
    return listen(app)
  }
}
