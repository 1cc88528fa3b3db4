import { Redis, type RedisOptions } from 'ioredis'
import { redisFromEnvironment } from '../index.js'

/** The Redis that the environment names; otherwise one at the usual address, if it answers. */
export async function findRedis (): Promise<string | RedisOptions | undefined> {
  const named = redisFromEnvironment()
  if (named !== undefined) return named
  const usual = { host: 'redis', port: 6379 }
  return await answers(usual) ? usual : undefined
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
