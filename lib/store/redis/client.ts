import type { EventEmitter } from 'node:events'
import type { RedisOptions } from 'ioredis'

export type Argument = string | number | Buffer

/**
 * What the store needs from a client. Clients and Clusters of ioredis, and of iovalkey, have it as they
 * are; `node-redis.ts` and `node-redis-cluster.ts` adapt those of node-redis. What a reply is, is not
 * believed but checked (`replies.ts`).
 */
export interface Commands extends EventEmitter {
  /** `'ready'` while commands can be sent, `'wait'` before `connect()`. */
  readonly status: string
  connect(): Promise<unknown>
  /** @param reconnect whether to open another connection */
  disconnect(reconnect?: boolean): void

  /** For commands without a method here. Texts in the reply are strings. */
  call(command: string, ...args: Argument[]): Promise<unknown>
  getBuffer(key: string): Promise<unknown>
  getrangeBuffer(key: string, start: number, end: number): Promise<unknown>
  set(key: string, value: string | Buffer, unit: 'PX', milliseconds: number): Promise<unknown>
  set(key: string, value: string | Buffer, unit: 'EX', seconds: number, condition: 'NX'): Promise<unknown>
  exists(key: string): Promise<unknown>
  pttl(key: string): Promise<unknown>
  del(key: string): Promise<unknown>
  unlink(key: string): Promise<unknown>
  eval(script: string, numberOfKeys: number, ...keysAndArguments: Argument[]): Promise<unknown>
  publish(channel: string, message: string): Promise<unknown>
}

/** Hears what is published, as the event `message` with channel and message. */
export interface Subscriber extends EventEmitter {
  subscribe(channel: string): Promise<unknown>
  disconnect(): void
}

/** A connection to one server. Events: `ready`, `close` when it is lost, `error`. */
export interface ServerClient extends Commands, Subscriber {
  readonly isCluster: boolean
  readonly options: {
    readonly keyPrefix?: string | undefined
    readonly username?: string | undefined
    readonly host?: string | undefined
    readonly port?: number | undefined
  } & SentinelOptions
  /** The socket, where the client lets it be seen. */
  readonly stream?: { readonly writable: boolean } | undefined
  disconnect(reconnect?: boolean): void
  duplicate(options?: DuplicateOptions): ServerClient
  client(subcommand: 'ID'): Promise<unknown>
  info(section: 'server' | 'persistence' | 'replication'): Promise<unknown>
  ping(): Promise<unknown>
  mgetBuffer(keys: string[]): Promise<unknown>
  scan(cursor: string, match: 'MATCH', pattern: string, count: 'COUNT', number: number): Promise<unknown>
}

/** The options of ioredis by which it finds its server through Sentinels. */
export type SentinelOptions = Readonly<Pick<RedisOptions,
  'sentinels' | 'name' | 'family' | 'sentinelUsername' | 'sentinelPassword' | 'sentinelTLS'>>

/** The options of ioredis that differ between the connections of a store. */
export interface DuplicateOptions {
  connectionName?: string
  enableOfflineQueue?: boolean
  maxRetriesPerRequest?: number | null
  autoResubscribe?: boolean
  lazyConnect?: boolean
  keyPrefix?: string
  protocol?: 2 | 3
  replyMapping?: 'legacy'
}

/** A Cluster. It sends a command to the master of its first key. Events: `+node`, `-node`, `refresh`. */
export interface ClusterClient extends Commands {
  readonly isCluster: boolean
  readonly options: {
    readonly keyPrefix?: string | undefined
    readonly scaleReads?: unknown
    readonly redisOptions?: { readonly username?: string | undefined } | undefined
  }
  /** For each slot the names of its servers, the master's first: `host:port`. */
  readonly slots: ReadonlyArray<readonly string[]>
  nodes(role?: 'master'): readonly ServerClient[]
  duplicate(): Subscriber
}

export type RedisClient = ServerClient | ClusterClient
