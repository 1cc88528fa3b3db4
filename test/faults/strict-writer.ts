import Fastify from 'fastify'
import apiCache from '../../index.js'
import { sayHello } from '../support/child-process.js'

/** Writes strictly, tells when it has committed, and never answers. */
async function main (): Promise<void> {
  const app = Fastify()
  await app.register(apiCache, { redis: process.argv[2]! })
  app.post('/value', { config: { cache: { invalidate: 'value', strict: true } } }, async () => {
    process.send!('committed')
    await new Promise(() => {})
  })
  sayHello({ origin: await app.listen({ host: '127.0.0.1', port: 0 }) })
}

main()
