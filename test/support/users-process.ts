// A server in a process of its own: node users-process.js <Redis URL>; tells its origin to its parent.
import Fastify from 'fastify'
import apiCache from '../../index.js'

async function main (): Promise<void> {
  const app = Fastify()
  await app.register(apiCache, { redis: process.argv[2]!, host: false, timeout: 10_000 })
  let runs = 0
  app.get('/users', { config: { cache: { namespace: 'users', expire: 60 } } }, async () => ({ pid: process.pid, runs: ++runs }))
  app.post('/users', { config: { cache: { invalidate: 'users' } } }, async () => 'done')
  process.send!({ origin: await app.listen({ host: '127.0.0.1', port: 0 }) })
  process.once('disconnect', () => { app.close() })
}

main()
