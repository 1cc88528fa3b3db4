import fastifyRedis from '@fastify/redis'
import type { FastifyPluginAsync } from 'fastify'
import { itemText } from '../payload.js'
import { loadPeer } from '../peers.js'
import { fastifyFor, jsonType, listen, type ItemRoute, type Subject } from './subject.js'

interface AbstractCache {
  get: (key: string) => Promise<{ item: string } | null>
  set: (key: string, value: string, ttl: number) => Promise<unknown>
}

export const fastifyCaching: Subject = {
  name: 'fastify-caching',
  title: '@fastify/caching, by hand in a handler',
  group: 'peer',
  answeredBy: 'cache',
  async start (scenario, counters) {
    const { bodyBytes, redisUrl } = scenario
    const caching = await loadPeer<{ default: FastifyPluginAsync<{ cache: AbstractCache }> }>('@fastify/caching')
    const abstractCache = await loadPeer<{ default: (options: object) => AbstractCache }>('abstract-cache')
    const app = await fastifyFor(scenario)
    await app.register(fastifyRedis, { url: redisUrl })
    const cache = abstractCache.default({
      useAwait: true,
      driver: { name: 'abstract-cache-redis', options: { client: app.redis } }
    })
    await app.register(caching.default, { cache })
    app.get<ItemRoute>('/items/:id', async (request, reply) => {
      const { id } = request.params
      reply.header('content-type', jsonType)
      const cached = await cache.get(id)
      if (cached) return cached.item
      counters.handlerRuns++
      const body = itemText(Number(id), bodyBytes)
      await cache.set(id, body, 3_600_000)
      return body
    })
    return listen(app)
  }
}
