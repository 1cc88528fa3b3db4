import { setTimeout as delay } from 'node:timers/promises'
import fastifyRedis from '@fastify/redis'
import Fastify from 'fastify'
import apiCache, { type ReadPolicy } from '../../index.js'
import { listen, type Subject } from './subject.js'

/** Milliseconds that the handler takes. */
export const takes = 300
/** Seconds for which an answer is fresh. */
export const expire = 2

/** `GET /thing` answers the number of its handler's run; `PUT /down` and `PUT /up` say whether that fails. */
function refreshed (name: string, title: string, policy: Partial<ReadPolicy>): Subject {
  return {
    name: `refreshed-${name}`,
    title,
    group: 'plugin',
    answeredBy: 'cache',
    async start ({ redisUrl }, counters) {
      let isDown = false
      const app = Fastify()
      await app.register(fastifyRedis, { url: redisUrl })
      await app.register(apiCache, { host: false })
      app.get('/thing', { config: { cache: { namespace: 'things', expire, ...policy } } }, async (_request, reply) => {
        const run = ++counters.handlerRuns
        await delay(takes)
        return isDown ? await reply.code(503).send({ run: 0 }) : { run }
      })
      app.put('/down', async () => { isDown = true })
      app.put('/up', async () => { isDown = false })
      return listen(app)
    }
  }
}

export const atExpiry = [
  refreshed('not', 'nothing', {}),
  refreshed('early', 'earlyRefresh', { earlyRefresh: true }),
  refreshed('meanwhile', 'staleWhileRevalidate', { staleWhileRevalidate: '1m' })
]

export const inOutage = refreshed('on-error', 'staleIfError', { staleIfError: '10m' })
