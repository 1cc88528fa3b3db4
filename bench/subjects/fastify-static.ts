import fastifyRedis from '@fastify/redis'
import Fastify, { type FastifyInstance } from 'fastify'
import { readyBodies } from './ready-bodies.js'
import { fastifyFor, jsonType, listen, type ItemRoute, type Subject } from './subject.js'

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
  async start (scenario) {
    const { bodyBytes } = scenario
    const app = await fastifyFor(scenario)
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

/** What a server answers at the least to a client that has the response already. */
export const fastifyNotModified: Subject = {
  name: 'fastify-304',
  title: 'Fastify, a ready 304',
  group: 'limit',
  answeredBy: 'cache',
  start ({ bodyBytes }) {
    const app = Fastify()
    const ready = readyBodies(bodyBytes)
    const etag = '"ready"'
    app.get<ItemRoute>('/items/:id', (request, reply) => {
      reply.header('etag', etag)
      if (request.headers['if-none-match'] === etag) return reply.code(304).send()
      return reply.header('content-type', jsonType).send(ready(Number(request.params.id)))
    })
    return listen(app)
  }
}
