import type { RedisOptions } from 'ioredis'

/**
 * The Redis connection that the environment describes, ready for the plugin's `redis` option:
 * `REDIS_URL` as it is, or else `REDIS_SERVER` (default `redis`), `REDIS_PORT` (default 6379),
 * `REDIS_PASSWORD` and `REDIS_TIMEOUT` (seconds, default 5) as ioredis options; undefined when
 * none of them is set.
 * @throws RangeError when REDIS_PORT or REDIS_TIMEOUT is not a number that it can be
 */
export function redisFromEnvironment (env: NodeJS.ProcessEnv = process.env): string | RedisOptions | undefined {
  if (env.REDIS_URL) return env.REDIS_URL
  const { REDIS_SERVER, REDIS_PORT, REDIS_PASSWORD, REDIS_TIMEOUT } = env
  if (!REDIS_SERVER && !REDIS_PORT && !REDIS_PASSWORD && !REDIS_TIMEOUT) return undefined
  const port = Number(REDIS_PORT || 6379)
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new RangeError(`REDIS_PORT must be a port number, got '${REDIS_PORT}'`)
  }
  const seconds = Number(REDIS_TIMEOUT || 5)
  if (!(seconds > 0 && seconds < Infinity)) throw new RangeError(`REDIS_TIMEOUT must be seconds above 0, got '${REDIS_TIMEOUT}'`)
  return {
    host: REDIS_SERVER || 'redis',
    port,
    connectTimeout: seconds * 1000,
    ...(REDIS_PASSWORD ? { password: REDIS_PASSWORD } : {})
  }
}
