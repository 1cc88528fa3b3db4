import type { FastifyInstance } from 'fastify'
import { listOf } from '../schemas.js'

const NAMESPACES = ['user-cache', 'post-cache', 'image-cache'] as const

/** The keys and counters of the cache, for the page. */
export async function cache (app: FastifyInstance): Promise<void> {
  app.get('/cache/keys', {
    schema: { response: { 200: { type: 'object', additionalProperties: listOf({ type: 'string' }) } } }
  }, async () => {
    // The sweep of an invalidation runs after its response. In an outage it would be waited for in vain.
    if (app.apiCache.stats().available) await app.apiCache.settled()
    const keys: Record<string, string[]> = {}
    for (const namespace of NAMESPACES) {
      keys[namespace] = []
      for await (const key of app.apiCache.keys(namespace)) keys[namespace].push(key)
    }
    return keys
  })

  app.get('/cache/stats', {
    schema: { response: { 200: { type: 'object', additionalProperties: true } } }
  }, async () => app.apiCache.stats())
}
