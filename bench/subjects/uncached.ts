import fastifyRedis from '@fastify/redis'
import Fastify from 'fastify'
import { item, itemText } from '../payload.js'
import { jsonType, listen, type ItemRoute, type Subject } from './subject.js'

export const uncached: Subject = {
  name: 'uncached',
  title: 'the handler alone',
  group: 'limit',
  answeredBy: 'handler',
  start ({ bodyBytes }, counters) {
    const app = Fastify()
    app.get<ItemRoute>('/items/:id', async (request) => {
      counters.handlerRuns++
      return item(Number(request.params.id), bodyBytes)
    })
    return listen(app)
  }
}

export const uncachedSet: Subject = {
  name: 'uncached-set',
  title: 'the handler and one plain `SET`',
  group: 'limit',
  answeredBy: 'handler',
  stores: true,
  async start ({ bodyBytes, redisUrl }, counters) {
    const app = Fastify()
    await app.register(fastifyRedis, { url: redisUrl })
    app.get<ItemRoute>('/items/:id', async (request, reply) => {
      counters.handlerRuns++
      const body = itemText(Number(request.params.id), bodyBytes)
      // Not awaited: a cache does not make its client wait for the store either.
      app.redis.set(`items:${request.params.id}`, body, 'EX', 3600).catch((error: unknown) => request.log.error(error))
      reply.header('content-type', jsonType)
      return body
    })
    return listen(app)
  }
}
