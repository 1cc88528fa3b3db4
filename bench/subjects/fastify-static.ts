import fastifyRedis from '@fastify/redis'
import Fastify, { type FastifyInstance } from 'fastify'
import { readyBodies } from './ready-bodies.js'
import { jsonType, listen, type ItemRoute, type Subject } from './subject.js'

export function addReadyRoute (app: FastifyInstance, bodyBytes: number): void {
  const ready = readyBodies(bodyBytes)
  app.get<ItemRoute>('/items/:id', (request, reply) => {
    reply.header('content-type', jsonType).send(ready(Number(request.params.id)))
  })
}

export const fastifyStatic: Subject = {
  name: 'fastify-static',
  title: 'Fastify, a ready Buffer',
  group: 'limit',
  answeredBy: 'cache',
  start ({ bodyBytes }) {
    const app = Fastify()
    addReadyRoute(app, bodyBytes)
    return listen(app)
  }
}

/** What a server without the plugin is where one with it reads from Redis. */
export const fastifyConnected: Subject = {
  name: 'no-plugin',
  title: 'Fastify with a connection to Redis, a ready Buffer',
  group: 'limit',
  answeredBy: 'cache',
  async start ({ bodyBytes, redisUrl }) {
    const app = Fastify()
    await app.register(fastifyRedis, { url: redisUrl })
    addReadyRoute(app, bodyBytes)
    return listen(app)
  }
}
