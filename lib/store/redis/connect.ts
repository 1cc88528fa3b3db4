import { Redis, type RedisOptions } from 'ioredis'
import type { Log } from '../../observe/log.js'
import { isIoredis, isNodeRedis, isNodeRedisCluster } from '../given-redis.js'
import { withoutArguments } from '../without-arguments.js'
import type { ClusterClient, RedisClient, ServerClient } from './client.js'
import { NodeRedisClient, type NodeRedis } from './node-redis.js'
import { NodeRedisClusterClient, type NodeRedisCluster } from './node-redis-cluster.js'
import { RedisStore, type RedisStoreSettings } from './redis-store.js'
import { DISCONNECT_TIMEOUT, retryDelay } from './retry.js'

/** What names a Redis: a client or Cluster of ioredis, iovalkey or node-redis, a URL, or options of ioredis. */
export type GivenRedis = RedisClient | NodeRedis | NodeRedisCluster | RedisOptions | string

/** A command that cannot be sent now is useless later, and closing must not wait for a hung server. */
const FAIL_FAST: RedisOptions = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  disconnectTimeout: DISCONNECT_TIMEOUT,
  retryStrategy: retryDelay
}

/**
 * A store in the given Redis. It opens and closes a connection of its own, except to a Cluster.
 * @param prefix the first part of every key; CLIENT LIST shows it, unless the options name the connection
 */
export function connectedStore (
  given: GivenRedis, prefix: string, log: Log, limits: Pick<RedisStoreSettings, 'sweepShare' | 'listTimeout'>
): RedisStore {
  const settings = { ...limits, prefix, report: log.missingRights.bind(log) }
  const cluster = clusterOf(given)
  if (cluster !== undefined) return new RedisStore(cluster, false, settings)
  const own = connected(given as Exclude<GivenRedis, ClusterClient | NodeRedisCluster>, prefix)
  logFirstError(own, log)
  return new RedisStore(own, true, settings)
}

/** Undefined if a single server is given. */
function clusterOf (given: unknown): ClusterClient | undefined {
  if (isNodeRedisCluster(given)) return NodeRedisClusterClient.of(given)
  return isIoredis(given) && given.isCluster ? given as ClusterClient : undefined
}

/**
 * A connection of the plugin's own, also beside the application's: it fails fast, can be closed when it
 * is half-open, and is not held up by a MULTI or a blocking command.
 */
function connected (given: ServerClient | NodeRedis | RedisOptions | string, name: string): ServerClient {
  if (typeof given === 'string') return new Redis(given, ownOptions({}, name))
  if (isNodeRedis(given)) return NodeRedisClient.beside(given, name)
  if (isIoredis(given)) return (given as Redis).duplicate(ownOptions((given as Redis).options, name))
  const options = given as RedisOptions
  return new Redis({ ...ownOptions(options, name), ...options })
}

function ownOptions ({ connectionName, sentinels }: RedisOptions, name: string): RedisOptions {
  // Its check needs INFO, and the store makes its own. Behind Sentinels it also finds the master.
  return { ...FAIL_FAST, connectionName: connectionName ?? name, enableReadyCheck: sentinels != null }
}

/** Without a listener ioredis prints each failed attempt. The first is logged; then the circuit breaker logs. */
function logFirstError (client: RedisClient, log: Log): void {
  let reported = false
  client.on('error', (err: Error) => {
    if (reported) return
    reported = true
    log.connectionFailed(withoutArguments(err))
  })
  client.on('ready', () => { reported = false })
}
