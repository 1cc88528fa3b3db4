import { Commands } from './commands.js'
import { redisFromEnvironment } from './environment.js'
import { NoRedisError, UnconfirmedError } from './errors.js'
import { DEFAULT_PREFIX, Keyspace } from './key/keyspace.js'
import { Log, silent, type Logger } from './observe/log.js'
import { toSettle, type Duration } from './policy/duration.js'
import { checkFields, isFunction, isObject, settleField, type Fields } from './policy/fields.js'
import { connectionFields, DEFAULT_TIMEOUT, type ConnectionOptions } from './store/connection.js'
import type { MaybePromise } from './store/contract.js'
import { connectedStore } from './store/redis/connect.js'
import type { RedisStore } from './store/redis/redis-store.js'
import type { Invalidated } from './write/invalidation.js'
import { WriteRuntime } from './write/write-runtime.js'
import type { InvalidateOptions, WritingNames, WritingOptions } from './write/writing.js'

export { redisFromEnvironment } from './environment.js'
export {
  InvalidFieldError, InvalidNameError, NoRedisError, PatternNameError, StoreUnavailableError, TooManyNamesError,
  UnconfirmedError, UnknownFieldError
} from './errors.js'
export type { Logger } from './observe/log.js'
export type { Invalidated } from './write/invalidation.js'
export type { InvalidateOptions, WritingNames, WritingOptions } from './write/writing.js'

/** Options of a client. Those that the plugin has, too, mean the same and must have the same values. */
export interface ClientOptions extends ConnectionOptions {
  /** A logger like pino's; default: nothing is logged. */
  logger?: Logger
  /** How long database replicas may lag behind this program's writes, as the plugin's option. Default 0. */
  settle?: Duration | 0
}

const LEVELS = ['info', 'warn', 'error'] as const

const fields: Fields<ClientOptions> = {
  ...connectionFields,
  settle: settleField,
  logger: {
    accepts: (value) => isObject(value) && LEVELS.every((level) => isFunction((value as Partial<Logger>)[level])),
    expects: 'an object with the functions info, warn and error'
  }
}

/**
 * The cache of a server, for programs that have none: jobs, workers, consumers. It connects at once,
 * and its first call waits for the connection.
 * @throws UnknownFieldError, InvalidFieldError, NoRedisError
 */
export function createApiCache (options: ClientOptions = {}): ApiCacheClient {
  checkFields('fastify-api-cache/client', options, fields)
  const { redis = redisFromEnvironment(), prefix = DEFAULT_PREFIX, timeout = DEFAULT_TIMEOUT } = options
  if (redis === undefined) {
    throw new NoRedisError('createApiCache() needs a Redis: give it the redis option (a client, a URL or ioredis ' +
      'options), or set REDIS_URL')
  }
  const log = new Log(options.logger ?? silent)
  const settle = toSettle(options.settle) ?? 0
  const store = connectedStore(redis, prefix, log, { sweepShare: options.sweepShare, listTimeout: timeout })
  // A job has no response that waits, and nobody who goes on after it.
  const runtime = new WriteRuntime(store, new Keyspace(prefix), log, { timeout, settle, longestPass: Infinity })
  return new ApiCacheClient(store, runtime, timeout)
}

/**
 * The cache without a server. Unlike `fastify.apiCache` its methods reject if Redis does not confirm
 * in time, because a job that has ended sends nothing again.
 */
export class ApiCacheClient {
  readonly #store: RedisStore
  readonly #runtime: WriteRuntime
  readonly #commands: Commands
  readonly #timeout: number
  #connecting: Promise<void> | undefined
  #closed = false

  /** See `createApiCache`. */
  constructor (store: RedisStore, runtime: WriteRuntime, timeout: number) {
    this.#store = store
    this.#runtime = runtime
    this.#commands = new Commands(runtime, store)
    this.#timeout = timeout
  }

  /**
   * Invalidates all entries of the namespaces. Resolves when Redis has confirmed it: from then on no
   * process serves them. The sweep runs afterwards.
   * @throws InvalidNameError, UnknownFieldError, InvalidFieldError, UnconfirmedError
   */
  async invalidate (namespaces: string | readonly string[], options?: InvalidateOptions): Promise<Invalidated> {
    return confirmed('invalidate()', await this.#awaited(() => this.#commands.invalidate(namespaces, options)))
  }

  /**
   * Invalidates all entries that have one of the tags. See `invalidate`.
   */
  async invalidateTags (tags: string | readonly string[], options?: InvalidateOptions): Promise<Invalidated> {
    return confirmed('invalidateTags()', await this.#awaited(() => this.#commands.invalidateTags(tags, options)))
  }

  /**
   * Invalidates everything under the prefix. See `invalidate`. It takes as long as a pass over all keys of the Redis
   * does, and rejects when that does not answer within the timeout.
   */
  async clear (): Promise<Invalidated> {
    return confirmed('clear()', await this.#awaited(() => this.#commands.clear()))
  }

  /**
   * Runs a write, such as a transaction or an import. While it is at work its namespaces and tags are
   * held: no process serves or fills their entries. When it has settled they are invalidated,
   * whatever its outcome is, also if this process crashes meanwhile.
   * @returns what `run` returns
   * @throws InvalidNameError, UnknownFieldError, InvalidFieldError, StoreUnavailableError before `run` is called;
   *   what `run` throws; UnconfirmedError after it has returned
   */
  async writing<T> (names: WritingNames, run: () => MaybePromise<T>, options: WritingOptions = {}): Promise<T> {
    const { value, delivered } = await this.#awaited(() => this.#commands.writing(names, run, options))
    if (!delivered) throw new UnconfirmedError('the invalidation after writing(), whose function has run,')
    return value
  }

  /**
   * The keys of the entries of a namespace, without the client's keyPrefix.
   * @throws InvalidNameError, StoreUnavailableError
   */
  keys (namespace: string): AsyncGenerator<string, void, undefined> {
    return this.#listed(this.#commands.keys(namespace))
  }

  /**
   * The namespaces that have entries or a version under the prefix, each once. One whose name is too
   * long for a key comes as keys have it: its beginning, `~` and a hash.
   * @throws StoreUnavailableError
   */
  namespaces (): AsyncGenerator<string, void, undefined> {
    return this.#listed(this.#commands.namespaces())
  }

  /**
   * Waits for sweeps, for a second at most, sends once more what was not confirmed, and closes the
   * connection if the client has opened it. Nothing of the client keeps the process alive then.
   */
  async close (): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#runtime.close()
    this.#store.close()
  }

  /** The result of a call, for which the process stays alive: deadlines and a lost connection do not keep it so. */
  async #awaited<T> (call: () => Promise<T>): Promise<T> {
    const running = setInterval(() => {}, this.#timeout)
    try {
      await this.#connected()
      return await call()
    } finally {
      clearInterval(running)
    }
  }

  /** Waits for a connection that is not there yet, or is lost; the call that follows learns whether it is there. */
  async #connected (): Promise<void> {
    if (this.#closed || this.#store.ready()) return
    this.#connecting ??= this.#connect().finally(() => { this.#connecting = undefined })
    await this.#connecting
  }

  async #connect (): Promise<void> {
    const end = performance.now() + this.#timeout
    // It fails with each attempt of the client, which tries again.
    for (let left = this.#timeout; left > 0 && !this.#closed; left = end - performance.now()) {
      try {
        return await this.#store.opened(Math.ceil(left))
      } catch {}
    }
  }

  async * #listed (list: AsyncGenerator<string>): AsyncGenerator<string, void, undefined> {
    for (;;) {
      const next = await this.#awaited(() => list.next())
      if (next.done === true) return
      yield next.value
    }
  }
}

function confirmed (what: string, invalidated: Invalidated): Invalidated {
  if (!invalidated.delivered) throw new UnconfirmedError(what)
  return invalidated
}
