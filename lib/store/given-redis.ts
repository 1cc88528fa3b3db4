import type { Cluster, Redis, RedisOptions } from 'ioredis'
import { describe, isBoolean, isFunction, isObject } from '../policy/fields.js'
import { isPromise } from './contract.js'
import type { RedisClient } from './redis/client.js'
import type { NodeRedisCluster } from './redis/node-redis-cluster.js'
import type { NodeRedis } from './redis/node-redis.js'

/** Whether a value is a client or Cluster that the plugin can use. */
export function isClient (value: unknown): value is Redis | Cluster | NodeRedis | NodeRedisCluster {
  return isIoredis(value) || isNodeRedis(value) || isNodeRedisCluster(value)
}

/** A client of node-redis: its pools and Sentinels have no `isPubSubActive`, its legacy clients none of these. */
export function isNodeRedis (value: unknown): value is NodeRedis {
  if (!isObject(value)) return false
  const { isReady, isPubSubActive, sendCommand, duplicate } = value as Partial<Record<string, unknown>>
  return isBoolean(isReady) && isBoolean(isPubSubActive) && isFunction(sendCommand) && isFunction(duplicate)
}

export function isNodeRedisCluster (value: unknown): value is NodeRedisCluster {
  if (!isObject(value)) return false
  const { masters, slots, nodeClient, sendCommand } = value as Partial<Record<string, unknown>>
  return Array.isArray(masters) && Array.isArray(slots) && isFunction(nodeClient) && isFunction(sendCommand)
}

/** Whether a value is a client or Cluster of ioredis, or of a package with the same API, such as iovalkey. */
export function isIoredis (value: unknown): value is RedisClient {
  if (!isObject(value)) return false
  const { status, options, mgetBuffer, duplicate } = value as Partial<Record<keyof Redis, unknown>>
  return typeof status === 'string' && isObject(options) && isFunction(mgetBuffer) && isFunction(duplicate)
}

const NO_URL = "a string that is not a redis:// or rediss:// URL; write 'redis://localhost:6379', or { path } for a socket"

/** What is wrong with a value of the option `redis`, as an error shows it; undefined if it is valid. */
export function faultOf (value: unknown): string | undefined {
  if (isClient(value)) return undefined
  if (typeof value === 'string') return isUrl(value) ? undefined : NO_URL
  const isOptions = isObject(value) && isPlain(value) && otherClient(value) === undefined
  return isOptions ? faultOfOptions(value) : describeClient(value)
}

/** How an error describes a value that is not a client: without its content, which may include a password. */
export function describeClient (value: unknown): string {
  if (typeof value === 'string') return 'a string'
  if (!isObject(value)) return describe(value)
  if (isPromise(value)) return 'a promise; await it first'
  const client = otherClient(value)
  if (client !== undefined) return client
  if (isPlain(value)) return describe(value)
  return `an instance of ${String(value.constructor?.name).slice(0, 40) || 'some class'}`
}

/** What a Redis client is that the plugin does not support; undefined for anything else. */
function otherClient (value: object): string | undefined {
  const { mGet, mget, sendCommand, isPipeline } = value as Partial<Record<string, unknown>>
  if (isFunction(mGet) && isFunction(sendCommand)) return 'a pool, a Sentinel or a legacy client of node-redis'
  if (isPipeline === true) return 'an ioredis pipeline'
  return isFunction(mget) ? 'a client that is neither of ioredis nor of node-redis' : undefined
}

/** Options of other libraries, and what to write instead. ioredis would ignore them and connect to localhost. */
const FOREIGN = new Map([
  ['url', 'pass the URL itself'],
  ['socket', 'write host and port, or path'],
  ['database', 'write db'],
  ['nodes', 'pass new Cluster(nodes) of ioredis'],
  ['rootNodes', 'pass new Cluster(nodes) of ioredis']
])

/** Options that tell ioredis where to connect. */
const SERVER: ReadonlySet<string> = new Set<keyof RedisOptions>(['host', 'port', 'path', 'sentinels', 'Connector'])

/** All other options of ioredis. Only these: it connects to localhost on purpose. */
const OTHER: ReadonlySet<string> = new Set<keyof RedisOptions>([
  'autoPipeliningIgnoredCommands', 'autoResendUnfulfilledCommands', 'autoResubscribe', 'blockingTimeout',
  'blockingTimeoutGrace', 'clientInfoTag', 'commandTimeout', 'connectTimeout', 'connectionName', 'db',
  'disableClientInfo', 'disconnectTimeout', 'enableAutoPipelining', 'enableOfflineQueue', 'enableReadyCheck',
  'family', 'himportFieldsets', 'keepAlive', 'keyPrefix', 'lazyConnect', 'maxLoadingRetryTime',
  'maxRetriesPerRequest', 'noDelay', 'password', 'protocol', 'readOnly', 'reconnectOnError', 'replyMapping',
  'retryStrategy', 'scripts', 'socketTimeout', 'stringNumbers', 'tls', 'username'
])

function faultOfOptions (options: object): string | undefined {
  const names = Object.entries(options).filter(([, value]) => value !== undefined).map(([name]) => name)
  // A Connector may define its own options.
  if (names.includes('Connector')) return undefined
  const foreign = names.find((name) => FOREIGN.has(name))
  if (foreign !== undefined) return `options with '${foreign}', which ioredis does not know; ${FOREIGN.get(foreign)}`
  if (names.some((name) => SERVER.has(name))) return undefined
  const unknown = names.find((name) => !OTHER.has(name))
  if (unknown === undefined) return undefined
  const name = unknown.slice(0, 40)
  return `options with '${name}', with which ioredis would connect to localhost; write host, port, path or sentinels`
}

function isUrl (text: string): boolean {
  if (!/^rediss?:\/\//i.test(text)) return false
  try {
    const { hostname, username, password } = new URL(text)
    // ioredis decodes them, too, and would throw.
    decodeURIComponent(username + password)
    return hostname !== ''
  } catch {
    return false
  }
}

/** Whether an object has no class. */
function isPlain (value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
