import type { RedisOptions } from 'ioredis'
import { InvalidEnvironmentError } from './errors.js'

/**
 * The Redis connection that the environment describes, for the plugin's `redis` option.
 * `REDIS_URL` is returned as it is. Otherwise `REDIS_SERVER` (default `redis`), `REDIS_PORT`
 * (default 6379), `REDIS_PASSWORD` and `REDIS_TIMEOUT` (seconds, default 5) become ioredis
 * options. Undefined if none of them is set.
 * @throws InvalidEnvironmentError if REDIS_PORT or REDIS_TIMEOUT is invalid
 */
export function redisFromEnvironment (env: NodeJS.ProcessEnv = process.env): string | RedisOptions | undefined {
  if (env.REDIS_URL) return env.REDIS_URL
  const { REDIS_SERVER, REDIS_PORT, REDIS_PASSWORD, REDIS_TIMEOUT } = env
  if (!REDIS_SERVER && !REDIS_PORT && !REDIS_PASSWORD && !REDIS_TIMEOUT) return undefined
  const options: RedisOptions = {
    host: REDIS_SERVER || 'redis',
    port: portFrom(REDIS_PORT || '6379'),
    connectTimeout: secondsFrom(REDIS_TIMEOUT || '5') * 1000
  }
  if (REDIS_PASSWORD) options.password = REDIS_PASSWORD
  return options
}

function portFrom (text: string): number {
  const port = Number(text)
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port
  throw new InvalidEnvironmentError('REDIS_PORT', 'a port number', text)
}

function secondsFrom (text: string): number {
  const seconds = Number(text)
  if (seconds > 0 && seconds < Infinity) return seconds
  throw new InvalidEnvironmentError('REDIS_TIMEOUT', 'seconds above 0', text)
}
