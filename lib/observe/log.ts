import type { Listener, StoreEvent } from './events.js'

/** Milliseconds within which the same problem with the store is logged only once. */
const STORE_INTERVAL = 10_000
/** The same for failing functions of a route's policy. */
const POLICY_INTERVAL = 60_000
/** Most names in one log line. */
const MAX_NAMES = 10

/** Fastify's logger, or one like pino. */
export interface Logger {
  info: LogFunction
  warn: LogFunction
  error: LogFunction
}

interface LogFunction {
  (fields: object, message: string): void
  (message: string): void
}

/** What a Redis user lacks, for the log. */
export interface MissingRights {
  /** The line that grants it; undefined if all these commands have been renamed, or are unknown to Redis. */
  readonly grant: string | undefined
  /** Commands that have been renamed, or are unknown to Redis. */
  readonly unknown: readonly string[]
  /** What does not work. */
  readonly without: readonly string[]
}

/** A logger that logs nothing. */
export const silent: Logger = { info () {}, warn () {}, error () {} }

/** Every line that the plugin logs. No line contains a body or credentials, and repeated lines are limited. */
export class Log implements Listener {
  readonly #log: Logger
  readonly #lastAt = new Map<string, number>()

  constructor (log: Logger) {
    this.#log = log
  }

  readonly store = ({ state, store, operation, error: err, reason }: StoreEvent): void => {
    if (state === 'failed') {
      if (err !== undefined && this.#isDue(`store ${operation}`, STORE_INTERVAL)) {
        this.#log.warn({ err, store, operation }, 'api cache: a store operation failed')
      }
    } else if (this.#isDue(`store ${state}`, STORE_INTERVAL)) {
      if (state === 'available') this.#log.info({ store }, 'api cache: store available again')
      else this.#log.warn({ store, reason }, 'api cache: store unavailable, answering from the handlers')
    }
  }

  noRedis (): void {
    this.#log.warn("api cache: no Redis, so entries are kept in this process's memory " +
      'and an invalidation reaches no other process')
  }

  redisIsSilent (err: unknown): void {
    this.#log.warn({ err }, 'api cache: Redis does not answer yet, starting without it')
  }

  connectionFailed (err: unknown): void {
    if (!this.#isDue('connection failed', STORE_INTERVAL)) return
    this.#log.warn({ err }, 'api cache: the connection to Redis failed')
  }

  /** Once for each line that grants something: the rights are tried at each connection. */
  missingRights ({ grant, unknown, without }: MissingRights): void {
    if (!this.#isDue(`rights ${grant} ${unknown.join()}`, Infinity)) return
    this.#log.warn({ grant, unknown, without },
      'api cache: the Redis user may not use all that the cache needs')
  }

  /** @param names keys of versions */
  undelivered (names: readonly string[] | 'everything', pending: number): void {
    if (!this.#isDue('undelivered', STORE_INTERVAL)) return
    const versions = names === 'everything' ? names : names.slice(0, MAX_NAMES)
    this.#log.error({ versions, pending }, 'api cache: an invalidation could not be delivered yet')
  }

  /** @param pending how many, with those that were pending before */
  repeating (pending: number): void {
    this.#lastAt.set('repeated', performance.now())
    this.#log.info({ pending }, 'api cache: another Redis answers, so that the last invalidations are repeated')
  }

  clockSetBack (): void {
    this.#lastAt.set('repeated', performance.now())
    this.#log.warn('api cache: the clock of Redis was set back, so that entries may be older than they seem; ' +
      'everything is invalidated')
  }

  delivered (): void {
    const wasRepeated = this.#lastAt.delete('repeated')
    if (this.#lastAt.delete('undelivered') || wasRepeated) this.#log.info('api cache: all invalidations are delivered')
  }

  closedUndelivered (names: readonly string[], pending: number): void {
    this.#log.error({ versions: names.slice(0, MAX_NAMES), pending },
      'api cache: closed with invalidations that could not be delivered')
  }

  policyFault (log: Logger, route: string, err: unknown): void {
    if (!this.#isDue(`policy ${route}`, POLICY_INTERVAL)) return
    log.warn({ err, route }, "api cache: a function of the route's policy failed, the request bypasses the cache")
  }

  /** @param hasRun whether the handler has run, so that it may have written something */
  writePolicyFault (log: Logger, route: string, err: unknown, hasRun: boolean): void {
    if (!this.#isDue(`policy ${route}`, POLICY_INTERVAL)) return
    const failed = "api cache: a function of the route's policy failed"
    if (hasRun) log.error({ err, route }, `${failed} after a write, so everything is invalidated`)
    else log.warn({ err, route }, `${failed}; the handler did not run, so nothing is invalidated`)
  }

  /** @param cause what the handler threw, or the entry of its response */
  refreshFailed (
    log: Logger, route: string, cause: { readonly error: unknown } | { readonly entry: { readonly status: number } }
  ): void {
    if (!this.#isDue(`refresh ${route}`, STORE_INTERVAL)) return
    const fields = 'error' in cause ? { err: cause.error, route } : { status: cause.entry.status, route }
    log.error(fields, 'api cache: a refresh failed')
  }

  unsettledHandler (log: Logger, route: string): void {
    if (!this.#isDue(`unsettled ${route}`, POLICY_INTERVAL)) return
    log.warn({ route }, 'api cache: the handler of a write has not settled for minutes, so the write counts as done')
  }

  earlyRoute (log: Logger, route: string): void {
    log.warn({ route }, 'api cache: this route was declared before the plugin was loaded, so it is not cached; ' +
      'await app.register(apiCache) before declaring routes')
  }

  /** Once per route. The names of the cookies, not their values. */
  setCookie (log: Logger, route: string, cookies: readonly string[]): void {
    if (!this.#isDue(`set-cookie ${route}`, Infinity)) return
    log.info({ route, cookies: cookies.slice(0, MAX_NAMES) }, 'api cache: a response is not stored, as it sets ' +
      'cookies; name those in ignoreSetCookie that hooks set for each caller and that do not make a response private')
  }

  /** Once per route. The names of the credentials, not their values. */
  onlyCredentials (log: Logger, route: string, credentials: readonly string[]): void {
    if (!this.#isDue(`credentials ${route}`, Infinity)) return
    log.info({ route, credentials }, 'api cache: nothing of this route is cached, as all requests so far have ' +
      'credentials; name the cookies that tell who asks in credentials.cookies if others do not, or say in scope ' +
      'who shares a response')
  }

  /** Once per route: such values are made again for each request. */
  notPlain (log: Logger, route: string): void {
    if (!this.#isDue(`not plain ${route}`, Infinity)) return
    log.warn({ route }, 'api cache: a value is not cached, as JSON would give back something else (an instance of ' +
      'a class, a date, bytes); cache plain data; in NestJS import ApiCacheModule before other interceptors')
  }

  unequipped (log: Logger): void {
    if (!this.#isDue('unequipped', POLICY_INTERVAL)) return
    log.warn('api cache: this version of Fastify has no place for the hooks of reply.cached, so it caches nothing; ' +
      'give the route a policy in config.cache')
  }

  /** No warning: a hook that does the same for everyone is fine, and this is logged at each start. */
  sharedSerialization (routes: readonly string[]): void {
    if (routes.length === 0) return
    this.#log.info({ routes }, "api cache: these routes have scope: 'shared' and preSerialization hooks, so everyone " +
      'gets what the hooks made for one request; explain: true reports what they read that is not part of the key')
  }

  /** Once: the applications go on meeting. */
  otherApplication (application: string | undefined, other: string | undefined): void {
    if (!this.#isDue('other application', Infinity)) return
    this.#log.warn({ application, other }, 'api cache: another application has the same prefix on this store, and ' +
      "they replace each other's entries; give each its own 'prefix', or both the same 'application' if they are one")
  }

  /** With `explain: true`: the decision about a request, and why. */
  explanation (log: Logger, result: 'HIT' | 'MISS', explanation: object): void {
    log.info(explanation, `api cache: ${result}`)
  }

  /** With `explain: true`: what the handler and preSerialization hooks read that is not part of the key. */
  uncoveredReads (log: Logger, route: string, reads: readonly string[]): void {
    log.warn({ route, reads }, 'api cache: the handler or a preSerialization hook read something that is not part ' +
      'of the key, so other requests may get a response made for this one; ' +
      'add it to scope, vary, query or key, or send Cache-Control: private')
  }

  /** Whether this was not logged within the last `milliseconds`. */
  #isDue (what: string, milliseconds: number): boolean {
    const now = performance.now()
    if (now - (this.#lastAt.get(what) ?? -Infinity) < milliseconds) return false
    this.#lastAt.set(what, now)
    return true
  }
}
