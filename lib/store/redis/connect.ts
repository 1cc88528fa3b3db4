import { Redis, type Cluster, type RedisOptions } from 'ioredis'
import type { Log } from '../../observe/log.js'
import { isClient } from '../given-redis.js'
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
 * @param prefix the first part of every key; CLIENT LIST shows it, unless the options name the connection
 */
export function connectedStore (given: GivenRedis, prefix: string, log: Log): RedisStore {
  const opened = isClient(given) ? duplicated(given, prefix) : connect(given, prefix)
  if (opened !== undefined) logFirstError(opened, log)
  const report = log.missingRights.bind(log)
  return new RedisStore(opened ?? given as Cluster, opened !== undefined, prefix, report)
}

function connect (redis: string | RedisOptions, connectionName: string): Redis {
  if (typeof redis === 'string') return new Redis(redis, ownOptions({}, connectionName))
  return new Redis({ ...ownOptions(redis, connectionName), ...redis })
}

function ownOptions ({ connectionName, sentinels }: RedisOptions, name: string): RedisOptions {
  // Its check needs INFO, and the store makes its own. Behind Sentinels it also finds the master.
  return { ...FAIL_FAST, connectionName: connectionName ?? name, enableReadyCheck: sentinels != null }
}

/**
 * A connection of the plugin's own beside the application's: it fails fast, can be closed when it is
 * half-open, and is not held up by a MULTI or a blocking command. Undefined for a Cluster, whose
 * client is used itself.
 */
function duplicated (client: RedisClient, name: string): Redis | undefined {
  if (client.isCluster) return undefined
  const { options } = client as Redis
  return (client as Redis).duplicate(ownOptions(options, name))
}

/** Without a listener ioredis prints each failed attempt. The first is logged; then the circuit breaker logs. */
function logFirstError (client: Redis, log: Log): void {
  let reported = false
  client.on('error', (err: Error) => {
    if (reported) return
    reported = true
    log.connectionFailed(err)
  })
  client.on('ready', () => { reported = false })
}
