import { Redis, type Cluster, type RedisOptions } from 'ioredis'
import type { Log } from '../../observe/log.js'
import { isClient } from '../given-redis.js'
import { withoutArguments } from '../without-arguments.js'
import { RedisStore } from './redis-store.js'
import type { RedisClient } from './topology.js'

/** What names a Redis: a client or Cluster, a URL, or options of ioredis. */
export type GivenRedis = Redis | Cluster | RedisOptions | string

/** Longest time in milliseconds between two attempts of the plugin's own connection. */
const MAX_RETRY = 250

/** A command that cannot be sent now is useless later, and closing must not wait for a hung server. */
const FAIL_FAST: RedisOptions = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  disconnectTimeout: 200,
  retryStrategy: (times) => Math.min(times * 50, MAX_RETRY)
}

/**
 * A store in the given Redis. It opens and closes a connection of its own, except to a Cluster.
 * @param name what CLIENT LIST shows, unless the options name the connection
 * @param sweepShare the share of Redis's time that sweeps may take
 */
export function connectedStore (given: GivenRedis, name: string, log: Log, sweepShare?: number): RedisStore {
  const opened = isClient(given) ? duplicated(given, name) : connect(given, name)
  if (opened !== undefined) logFirstError(opened, log)
  return new RedisStore(opened ?? given as Cluster, opened !== undefined, sweepShare)
}

function connect (redis: string | RedisOptions, connectionName: string): Redis {
  const defaults = { ...FAIL_FAST, connectionName }
  return typeof redis === 'string' ? new Redis(redis, defaults) : new Redis({ ...defaults, ...redis })
}

/**
 * A connection of the plugin's own beside the application's: it fails fast, can be closed when it is
 * half-open, and is not held up by a MULTI or a blocking command. Undefined for a Cluster, whose
 * client is used itself.
 */
function duplicated (client: RedisClient, name: string): Redis | undefined {
  if (client.isCluster) return undefined
  const { options } = client as Redis
  return (client as Redis).duplicate({ ...FAIL_FAST, connectionName: options.connectionName ?? name })
}

/** Without a listener ioredis prints each failed attempt. The first is logged; then the circuit breaker logs. */
function logFirstError (client: Redis, log: Log): void {
  let reported = false
  client.on('error', (err: Error) => {
    if (reported) return
    reported = true
    log.connectionFailed(withoutArguments(err))
  })
  client.on('ready', () => { reported = false })
}
