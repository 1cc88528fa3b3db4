import { Redis, type RedisOptions } from 'ioredis'
import { redisFromEnvironment } from '../index.js'

/** The Redis that the environment names; otherwise the first of the usual ones that answers, unless STORE is memory. */
export async function findRedis (port = 6379): Promise<string | RedisOptions | undefined> {
  if (process.env.STORE === 'memory') return undefined
  const named = redisFromEnvironment()
  if (named !== undefined) return named
  for (const host of ['redis', 'localhost']) {
    if (await answers({ host, port })) return { host, port }
  }
  return undefined
}

async function answers (options: RedisOptions): Promise<boolean> {
  const client = new Redis({ ...options, lazyConnect: true, connectTimeout: 1000, commandTimeout: 1000, retryStrategy: null })
  client.on('error', () => { /* connect() rejects */ })
  try {
    await client.connect()
    return true
  } catch {
    return false
  } finally {
    client.disconnect()
  }
}
