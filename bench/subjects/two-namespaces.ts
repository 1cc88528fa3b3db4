import fastifyRedis from '@fastify/redis'
import Fastify from 'fastify'
import apiCache, { oneDay } from '../../index.js'
import { item } from '../payload.js'
import { listen, type ItemRoute, type Subject } from './subject.js'

/** Ids below it are in the namespace that nobody sweeps. */
export const firstSwept = 1000

export const twoNamespaces: Subject = {
  name: 'two-namespaces',
  title: 'fastify-api-cache, a namespace swept beside another',
  group: 'plugin',
  answeredBy: 'cache',
  header: 'HIT',
  async start ({ bodyBytes, redisUrl }, counters) {
    const app = Fastify()
    await app.register(fastifyRedis, { url: redisUrl })
    await app.register(apiCache)
    const cache = oneDay({ namespace: (request) => Number((request.params as ItemRoute['Params']).id) < firstSwept ? 'steady' : 'swept' })
    app.get<ItemRoute>('/items/:id', { config: { cache } }, async (request) => {
      counters.handlerRuns++
      return item(Number(request.params.id), bodyBytes)
    })
    app.post('/sweep', async () => ({ swept: await (await app.apiCache.invalidate('swept')).swept }))
    return listen(app)
  }
}
