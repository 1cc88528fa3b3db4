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
