import type { Redis, RedisOptions } from 'ioredis'
import { describe, isFunction, isObject } from '../policy/fields.js'
import { isPromise } from './contract.js'
import type { RedisClient } from './redis/topology.js'

/** Whether a value is a client or Cluster of ioredis, or of a package with the same API, such as iovalkey. */
export function isClient (value: unknown): value is RedisClient {
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

/** The name of a Redis client that the plugin does not support; undefined for anything else. */
function otherClient (value: object): string | undefined {
  const { mGet, mget, sendCommand, isPipeline } = value as Partial<Record<string, unknown>>
  if (isFunction(mGet) && isFunction(sendCommand)) return 'a node-redis client (package redis)'
  if (isPipeline === true) return 'an ioredis pipeline'
  return isFunction(mget) ? 'a client that is not from ioredis' : undefined
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
