import { randomBytes } from 'node:crypto'
import type { ServerClient } from './client.js'
import { isReply } from './errors.js'
import { asInfo } from './replies.js'

/** Digits of the run id in a mark. A version ends in the mark of its run: a dot and the beginning of the run id. */
const MARK_DIGITS = 12
/** Most versions of other runs that are remembered as trusted. Forgetting them only causes MISSes. */
const MAX_TRUSTED = 100_000

/**
 * One run of a server process, from start to end. Within a run the server loses nothing that it has
 * confirmed, so a version that was written during the run is the latest. After a failover or a
 * restart from disk another run replies. A version from before that run may have been replaced
 * already, and the replacement lost.
 */
export interface ServerRun {
  readonly mark: string
  /** The run id cannot be read, and this is the first connection: versions with any mark are trusted. */
  readonly trustsAll: boolean
  /** Keys of versions with another mark that are trusted, because this process bumped them during the run. */
  readonly trusted: Set<string>
}

/** Whether a version with this mark can be trusted to be the latest under its key. */
export function trusts (run: ServerRun, key: string, mark: string): boolean {
  return mark === run.mark || run.trustsAll || run.trusted.has(key)
}

export function trust (run: ServerRun, key: string): void {
  if (run.trusted.size >= MAX_TRUSTED) run.trusted.clear()
  run.trusted.add(key)
}

/** The run of the server at the other end of a connection. It is learned again after each reconnection. */
export class Connection {
  readonly #redis: ServerClient
  readonly #refusesReplica: boolean
  readonly #onRun: (() => void) | undefined
  /** Undefined until it is known. */
  run: ServerRun | undefined
  #last: ServerRun | undefined
  #learning: Promise<ServerRun> | undefined
  readonly #ready = (): void => { this.learn().catch(() => {}) }
  readonly #close = (): void => { this.forget() }

  /** @param onRun called for each run that is not the one before, before it is used */
  constructor (redis: ServerClient, refusesReplica: boolean, onRun?: () => void) {
    this.#onRun = onRun
    this.#redis = redis
    this.#refusesReplica = refusesReplica
    redis.on('ready', this.#ready).on('close', this.#close)
    if (redis.status === 'ready') this.#ready()
  }

  learn (): Promise<ServerRun> {
    if (this.run !== undefined) return Promise.resolve(this.run)
    if (this.#learning !== undefined) return this.#learning
    const learning = this.#readRun().then((run) => {
      if (this.#learning !== learning) throw new Error('the connection to Redis was lost')
      const isAnother = run !== this.#last
      this.run = this.#last = run
      if (isAnother) this.#onRun?.()
      return run
    }).finally(() => {
      if (this.#learning === learning) this.#learning = undefined
    })
    this.#learning = learning
    return learning
  }

  forget (): void {
    this.run = undefined
    this.#learning = undefined
  }

  stop (): void {
    this.#redis.off('ready', this.#ready).off('close', this.#close)
    this.forget()
  }

  async #readRun (): Promise<ServerRun> {
    let info: string
    try {
      info = asInfo(await this.#redis.info())
    } catch (error) {
      // Refused, renamed, or unknown to a proxy. LOADING and the like pass.
      if (!isReply(error, 'NOPERM') && !isReply(error, 'ERR')) throw error
      info = ''
    }
    if (/^loading:1\b/m.test(info)) throw new Error('Redis is loading its data')
    if (this.#refusesReplica && /^role:slave\b/m.test(info)) {
      throw new Error('Redis is a replica, which lags behind its master')
    }
    const id = /^run_id:(\w+)/m.exec(info)?.[1]
    if (id === undefined) return this.#unknown()
    const mark = `.${id.slice(0, MARK_DIGITS)}`
    return this.#last?.mark === mark ? this.#last : { mark, trustsAll: false, trusted: new Set() }
  }

  /** Without INFO each reconnection counts as another run. */
  #unknown (): ServerRun {
    const digits = randomBytes(MARK_DIGITS / 2).toString('hex')
    return { mark: `.${digits}`, trustsAll: this.#last === undefined && this.#refusesReplica, trusted: new Set() }
  }
}
