import fastifyRedis from '@fastify/redis'
import Fastify from 'fastify'
import { itemText } from '../payload.js'
import { jsonType, listen, type ItemRoute, type Subject } from './subject.js'

export const redisGet: Subject = {
  name: 'redis-get',
  title: '`await redis.getBuffer(key)` in a handler',
  group: 'limit',
  answeredBy: 'cache',
  async start ({ bodyBytes, redisUrl }, counters) {
    const app = Fastify()
    await app.register(fastifyRedis, { url: redisUrl })
    app.get<ItemRoute>('/items/:id', async (request, reply) => {
      const key = `items:${request.params.id}`
      let body = await app.redis.getBuffer(key)
      if (body === null) {
        counters.handlerRuns++
        body = Buffer.from(itemText(Number(request.params.id), bodyBytes))
        await app.redis.set(key, body, 'EX', 3600)
      }
      reply.header('content-type', jsonType)
      return body
    })
    return listen(app)
  }
}
