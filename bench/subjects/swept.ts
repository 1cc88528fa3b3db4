import fastifyRedis from '@fastify/redis'
import Fastify, { type FastifyRequest } from 'fastify'
import apiCache, { oneDay } from '../../index.js'
import { item } from '../payload.js'
import { listen, type ItemRoute, type Subject } from './subject.js'

/** Ids below it are in the namespace that nobody sweeps. */
export const firstSwept = 1000

const idOf = (request: FastifyRequest): number => Number((request.params as ItemRoute['Params']).id)

export const swept: Subject = {
  name: 'swept',
  title: 'fastify-api-cache, namespaces swept beside another',
  group: 'plugin',
  answeredBy: 'cache',
  header: 'HIT',
  async start ({ bodyBytes, redisUrl, namespaces = 1 }, counters) {
    const app = Fastify()
    await app.register(fastifyRedis, { url: redisUrl })
    await app.register(apiCache)
    const group = (request: FastifyRequest): string => `swept-${idOf(request) % namespaces}`
    const namespace = (request: FastifyRequest): string => idOf(request) < firstSwept ? 'steady' : group(request)
    app.get<ItemRoute>('/items/:id', { config: { cache: oneDay({ namespace }) } }, async (request) => {
      counters.handlerRuns++
      return item(idOf(request), bodyBytes)
    })
    // A write is answered before its sweep.
    app.put('/items/:id', { config: { cache: { invalidate: group } } }, async () => ({}))
    app.put('/plain/:id', async () => ({}))
    app.post('/sweep', async () => ({ swept: await (await app.apiCache.invalidate('swept-0')).swept }))
    app.post('/settled', async () => {
      await app.apiCache.settled()
      return {}
    })
    return listen(app)
  }
}
