// Fills one entry with a clock of its own: node filling-process.js <Redis URL> <prefix> <milliseconds ahead> <policy>
import Fastify from 'fastify'
import apiCache, { type ReadPolicy } from '../../index.js'
import { sayHello } from '../support/child-process.js'

async function main ([redis, prefix, ahead, policy]: string[]): Promise<void> {
  const now = Date.now
  Date.now = () => now() + Number(ahead)
  const app = Fastify()
  await app.register(apiCache, { redis: redis!, prefix: prefix!, host: false, timeout: 10_000 })
  app.get('/', { config: { cache: JSON.parse(policy!) as ReadPolicy } }, async () => ({ run: 1 }))
  await app.inject('/')
  await app.apiCache.settled()
  sayHello({ at: now() })
}

void main(process.argv.slice(2))
