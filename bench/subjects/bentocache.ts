import { itemText } from '../payload.js'
import { loadPeer } from '../peers.js'
import { fastifyFor, jsonType, listen, type ItemRoute, type Subject } from './subject.js'

interface Store {
  useL1Layer: (driver: unknown) => Store
  useL2Layer: (driver: unknown) => Store
  useBus: (driver: unknown) => Store
}

interface Bento {
  getOrSet: (options: { key: string, ttl: string, factory: () => string }) => Promise<string>
  disconnectAll: () => Promise<void>
}

interface Bentocache {
  BentoCache: new (options: { default: string, stores: Record<string, Store> }) => Bento
  bentostore: () => Store
}

interface RedisDrivers {
  redisDriver: (options: object) => unknown
  redisBusDriver: (options: object) => unknown
}

function bentocache (name: string, title: string, tiers: 'redis' | 'memory and redis'): Subject {
  return {
    name,
    title,
    group: 'peer',
    answeredBy: 'cache',
    async start (scenario, counters) {
      const { bodyBytes, redisUrl } = scenario
      const { BentoCache, bentostore } = await loadPeer<Bentocache>('bentocache')
      const { redisDriver, redisBusDriver } = await loadPeer<RedisDrivers>('bentocache/drivers/redis')
      const { memoryDriver } = await loadPeer<{ memoryDriver: (options: object) => unknown }>('bentocache/drivers/memory')
      const { hostname: host, port, pathname } = new URL(redisUrl)
      const connection = { host, port: Number(port), db: Number(pathname.slice(1)) }
      let store = bentostore().useL2Layer(redisDriver({ connection }))
      if (tiers === 'memory and redis') {
        // What its documentation advises for several processes, and for speed: a bus, and values kept unserialized.
        store = store.useL1Layer(memoryDriver({ maxItems: 100_000, serialize: false })).useBus(redisBusDriver({ connection }))
      }
      const bento = new BentoCache({ default: 'items', stores: { items: store } })
      const app = await fastifyFor(scenario)
      app.get<ItemRoute>('/items/:id', async (request, reply) => {
        const { id } = request.params
        reply.header('content-type', jsonType)
        return bento.getOrSet({
          key: id,
          ttl: '1h',
          factory: () => {
            counters.handlerRuns++
            return itemText(Number(id), bodyBytes)
          }
        })
      })
      app.addHook('onClose', () => bento.disconnectAll())
      return listen(app)
    }
  }
}

export const bentocacheRedis = bentocache('bentocache', 'bentocache, Redis', 'redis')
export const bentocacheTiered = bentocache('bentocache-tiered', 'bentocache, memory before Redis', 'memory and redis')
