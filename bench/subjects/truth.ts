import fastifyRedis from '@fastify/redis'
import Fastify from 'fastify'
import apiCache, { oneDay } from '../../index.js'
import { strict, tracked, type Tier } from './plugin.js'
import { listen, type Subject } from './subject.js'

/** `GET /truth` answers a number from Redis, cached; `POST /truth` adds one to it, invalidates, and answers the new one. */
function truth (name: string, title: string, tier: Tier): Subject {
  return {
    name,
    title,
    group: 'plugin',
    answeredBy: 'cache',
    async start ({ redisUrl }, counters) {
      const app = Fastify()
      await app.register(fastifyRedis, { url: redisUrl })
      await app.register(apiCache, { ...tier, host: false })
      app.get('/truth', { config: { cache: oneDay({ namespace: 'truth' }) } }, async () => {
        counters.handlerRuns++
        return Number(await app.redis.get('number'))
      })
      app.post('/truth', { config: { cache: { invalidate: 'truth' } } }, () => app.redis.incr('number'))
      return listen(app)
    }
  }
}

export const truthRedis = truth('truth-redis', 'from Redis', {})
export const truthStrict = truth('truth-strict', 'strict local tier', strict)
export const truthTracked = truth('truth-tracked', 'tracked local tier', tracked)
