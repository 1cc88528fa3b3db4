import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import type { ApiCacheOptions } from '../../index.js'
import { redisCliPath } from './programs.js'
import { startRedis, type RedisServer } from './redis-server.js'

/**
 * For test files whose sentences hold wherever entries live: runs each once in memory and once in
 * a Redis of the file's own, empty at first.
 */
export function eachStore (): (sentence: string, run: (t: Test, options: ApiCacheOptions) => Promise<void>) => void {
  const redis = fileRedis()
  return (sentence, run) => {
    t.test(`${sentence}: in memory`, async (t) => { await run(t, { store: 'memory' }) })
    t.test(`${sentence}: in Redis`, async (t) => {
      await redisCli(redis().port, 'FLUSHALL')
      await run(t, inRedis(redis()))
    })
  }
}

/** The same for what could differ between all places where entries are kept: the two local tiers, too. */
export function eachTier (): (sentence: string, run: (t: Test, options: ApiCacheOptions) => Promise<void>) => void {
  const redis = fileRedis()
  const tiers: Record<string, () => ApiCacheOptions> = {
    'in memory': () => ({ store: 'memory' }),
    'in Redis': () => inRedis(redis()),
    'in the strict tier': () => ({ ...inRedis(redis()), local: true }),
    'in the tracked tier': () => ({ ...inRedis(redis()), local: { consistency: 'tracked' } })
  }
  return (sentence, run) => {
    for (const [place, options] of Object.entries(tiers)) {
      t.test(`${sentence}: ${place}`, async (t) => {
        await redisCli(redis().port, 'FLUSHALL')
        await run(t, options())
      })
    }
  }
}

/** Options for a Redis that answers, however busy the machine is. */
export const inRedis = ({ url }: RedisServer): ApiCacheOptions => ({ redis: url, timeout: 10_000 })

/** A Redis for the tests of one file: call what it returns inside a test. */
export function fileRedis (): () => RedisServer {
  let server: RedisServer | undefined
  t.before(async () => { server = await startRedis() })
  t.teardown(() => server?.stop())
  return () => server!
}

/** The lines that redis-cli prints. */
export async function redisCli (port: number, ...args: string[]): Promise<string[]> {
  const { stdout } = await promisify(execFile)(redisCliPath(), ['-p', String(port), ...args])
  return stdout.split('\n').filter((line) => line !== '')
}
