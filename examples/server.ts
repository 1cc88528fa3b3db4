import { join } from 'node:path'
import fastifyStatic from '@fastify/static'
import { config } from 'dotenv'
import Fastify, { LogController } from 'fastify'
import apiCache from '../index.js'
import { openDatabase } from './database.js'
import { sendError } from './errors.js'
import { findRedis } from './redis.js'
import { cache } from './routes/cache.js'
import { images } from './routes/images.js'
import { posts } from './routes/posts.js'
import { users } from './routes/users.js'
import { answer } from './schemas.js'

// The compiler does not copy the page, so it is served from the sources.
const PAGE = join(__dirname, '../../examples/page')

/** Two lines for each request would hide the others; errors are still logged. */
class FewerLines extends LogController {
  override incomingRequest (): void {}
  override requestCompleted (...what: Parameters<LogController['requestCompleted']>): void {
    if (what[0]) super.requestCompleted(...what)
  }
}

async function start (): Promise<void> {
  config({ quiet: true })
  const { HOST = '127.0.0.1', PORT = '3000' } = process.env
  const app = Fastify({ logger: true, logController: new FewerLines() })

  // Before all routes: routes that were declared earlier are not cached. All names of this host share one response.
  const redis = await findRedis()
  await app.register(apiCache, { host: false, ...(redis === undefined ? { store: 'memory' } : { redis }) })

  const database = await openDatabase(app.log)
  app.addHook('onClose', async () => { await database.close() })
  app.setErrorHandler(sendError)

  app.register(users, { database })
  app.register(posts, { database })
  app.register(images, { database })
  app.register(cache)
  app.register(fastifyStatic, { root: PAGE, wildcard: false })
  app.get('/health', { schema: { response: { 200: answer({ status: { type: 'string' } }) } } }, async () => ({ status: 'ok' }))

  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => app.close())
  await app.listen({
    host: HOST,
    port: Number(PORT),
    listenTextResolver: (address) => `the page is at ${address}/ and entries are kept in ${app.apiCache.stats().store}`
  })
}

start()
