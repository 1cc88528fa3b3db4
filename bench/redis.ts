import Redis from 'ioredis'
import { startRedis, type RedisServer } from '../test/support/redis-server.js'
import { loadCore, moveToCore } from './cores.js'

const databases = 512

export interface BenchRedis {
  /** The URL of a database that nobody else uses. */
  database: () => string
  version: string
  stop: () => Promise<void>
}

export async function startBenchRedis (): Promise<BenchRedis> {
  const server: RedisServer = await startRedis({ args: ['--databases', String(databases)] })
  moveToCore(loadCore, server.pid)
  const client = new Redis(server.url)
  const version = /redis_version:(\S+)/.exec(await client.info('server'))?.[1] ?? 'unknown'
  client.disconnect()
  let next = 0
  return {
    database: () => {
      if (next === databases) throw new Error(`more than ${databases} databases asked for`)
      return `${server.url.replace(/\/$/, '')}/${next++}`
    },
    version,
    stop: () => server.stop()
  }
}
