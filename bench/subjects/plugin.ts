import fastifyRedis from '@fastify/redis'
import Fastify from 'fastify'
import apiCache, { oneDay } from '../../index.js'
import { item } from '../payload.js'
import { addReadyRoute } from './fastify-static.js'
import { fastifyFor, listen, type Counters, type ItemRoute, type Running, type Scenario, type Subject } from './subject.js'

export interface Tier {
  store?: 'memory'
  memory?: { maxBytes: number, maxEntries: number }
  local?: { maxBytes: number, maxEntries: number, consistency: 'strict' | 'tracked' }
}

/** What a subject does with content codings. */
export interface Coded {
  compress?: true
  storeCompressed?: true
}

// Nothing is to be evicted while it is measured.
export const unbounded = { maxBytes: 4 * 2 ** 30, maxEntries: 1_000_000 }

export const strict: Tier = { local: { ...unbounded, consistency: 'strict' } }
export const tracked: Tier = { local: { ...unbounded, consistency: 'tracked' } }

export async function serve (
  tier: Tier, scenario: Scenario, counters: Counters, coded: Coded = {}
): Promise<Running> {
  const { bodyBytes, redisUrl, namespaces = 1, tags = 0 } = scenario
  const app = await fastifyFor(scenario)
  if (tier.store !== 'memory') await app.register(fastifyRedis, { url: redisUrl })
  await app.register(apiCache, { ...tier, ...coded })
  const cache = oneDay({
    namespace: namespaces === 1 ? 'items' : (request) => `items-${Number((request.params as ItemRoute['Params']).id) % namespaces}`,
    ...(tags > 0 && { tags: Array.from({ length: tags }, (_, index) => `tag-${index}`) })
  })
  app.get<ItemRoute>('/items/:id', { config: { cache } }, async (request) => {
    counters.handlerRuns++
    return item(Number(request.params.id), bodyBytes)
  })
  return listen(app)
}

function hits (name: string, title: string, tier: Tier): Subject {
  return {
    name,
    title,
    group: 'plugin',
    answeredBy: 'cache',
    header: 'HIT',
    start: (scenario, counters) => serve(tier, scenario, counters)
  }
}

export const pluginRedis = hits('redis', 'fastify-api-cache, Redis', {})
export const pluginStrict = hits('strict', 'fastify-api-cache, strict local tier', strict)
export const pluginTracked = hits('tracked', 'fastify-api-cache, tracked local tier', tracked)
export const pluginMemory = hits('memory', 'fastify-api-cache, memory store', { store: 'memory', memory: unbounded })

export const pluginMiss: Subject = {
  name: 'miss',
  title: 'fastify-api-cache, a MISS',
  group: 'plugin',
  answeredBy: 'handler',
  stores: true,
  header: 'MISS',
  start: (scenario, counters) => serve({}, scenario, counters)
}

export const pluginUnused: Subject = {
  name: 'no-policy',
  title: 'fastify-api-cache, no policy',
  group: 'plugin',
  answeredBy: 'cache',
  async start ({ bodyBytes, redisUrl }) {
    const app = Fastify()
    await app.register(fastifyRedis, { url: redisUrl })
    await app.register(apiCache)
    addReadyRoute(app, bodyBytes)
    return listen(app)
  }
}
