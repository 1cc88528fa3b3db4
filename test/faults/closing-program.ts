import { once } from 'node:events'
import Fastify from 'fastify'
import apiCache from '../../index.js'

/** Does something, closes in the middle of it, and has nothing more to do. */
async function main (url: string, when: string): Promise<void> {
  // It must not outlive who started it; at its own end only what it left behind may keep it.
  const orphaned = (): void => { process.exit(1) }
  process.once('disconnect', orphaned)
  const app = Fastify()
  await app.register(apiCache, { redis: url, expire: '1 hour' })
  app.get('/:id', { config: { cache: { namespace: 'a' } } }, async () => 'a'.repeat(100_000))
  app.post('/', { config: { cache: { invalidate: 'a' } } }, async () => 'written')
  await app.inject('/1')
  if (when !== 'never connected') await app.apiCache.settled()
  const hang = async (): Promise<void> => {
    process.send!('hang')
    await once(process, 'message')
  }
  if (when === 'hung during a sweep') {
    for (let id = 0; id < 2_000; id++) await app.inject(`/${id}`)
    await app.apiCache.settled()
    await app.inject({ method: 'POST', url: '/' })
    await hang()
  } else if (when === 'hung during fills') {
    const fills = Array.from({ length: 50 }, (_, id) => app.inject(`/fill-${id}`))
    await hang()
    await Promise.all(fills)
  } else if (when === 'hung with pending invalidations') {
    await hang()
    await app.inject({ method: 'POST', url: '/' })
  } else if (when === 'hung') {
    await hang()
  }
  process.send!('closing')
  await app.close()
  process.off('disconnect', orphaned)
  process.disconnect()
}

main(process.argv[2]!, process.argv[3]!)
