import { now } from '../../entry/clock.js'
import type { ServerClient } from './client.js'
import { isReply } from './errors.js'
import { asInfo } from './replies.js'
import { ServerClock, thisMoment, type Moment } from './server-clock.js'
import { isLoading, isReplica, runOf, timeOf, unknownRun, type ServerRun } from './server-run.js'

/** Milliseconds between two questions to a server whether its run goes on. */
const INTERVAL = 250
/** Milliseconds after which nothing is trusted before the server has confirmed its run again. */
const MAX_UNCONFIRMED = 1_000
/** What is asked for. Before Redis 7 INFO takes one at a time. */
const SECTIONS = ['server', 'persistence', 'replication'] as const

export interface RunListeners {
  /** Called for each run that is not the one before, before it is used. */
  onRun(run: ServerRun): void
  /** Called each time that the server says that it is a replica. */
  onReplica(): void
  /** Called when the server's clock was set back. */
  onSetBack(): void
}

/**
 * Watches which run of which server is at the other end of a connection: anew after each
 * reconnection, and while the connection lives, because a failover need not end it. And how far the
 * server's clock is ahead.
 */
export class RunWatch {
  readonly #redis: ServerClient
  readonly #listeners: RunListeners
  readonly #timer: NodeJS.Timeout
  #run: ServerRun | undefined
  #last: ServerRun | undefined
  #clock = new ServerClock()
  /** When the server was asked that has confirmed the run: nothing is confirmed any more when this clock was set. */
  #confirmedAt = -Infinity
  #asking: Promise<ServerRun> | undefined
  readonly #close = (): void => { this.forget() }
  readonly #look = (): void => {
    // Who may not use INFO learns nothing by asking again.
    if (this.#redis.status === 'ready' && this.#confirmedAt !== Infinity) this.#ask().catch(() => {})
  }

  constructor (redis: ServerClient, listeners: RunListeners) {
    this.#redis = redis
    this.#listeners = listeners
    redis.on('ready', this.#look).on('close', this.#close)
    this.#timer = setInterval(this.#look, INTERVAL).unref()
    this.#look()
  }

  /** False before the server has told its run, and while it is a replica. */
  get isKnown (): boolean {
    return this.#run !== undefined
  }

  /** Milliseconds by which the clock of the last known run's server is ahead. */
  get ahead (): number {
    return this.#clock.ahead
  }

  /** The run, if it was confirmed lately. */
  current (time = now()): ServerRun | undefined {
    return time - this.#confirmedAt < MAX_UNCONFIRMED ? this.#run : undefined
  }

  /** The run that has given all replies until now. */
  async confirmed (): Promise<ServerRun> {
    // If the question was sent too long ago, one that is sent now will do, however long the answer takes.
    await this.#asking?.catch(() => {})
    return this.current() ?? await this.#ask()
  }

  forget (): void {
    this.#run = undefined
    this.#confirmedAt = -Infinity
    this.#asking = undefined
  }

  stop (): void {
    clearInterval(this.#timer)
    this.#redis.off('ready', this.#look).off('close', this.#close)
    this.forget()
  }

  #ask (): Promise<ServerRun> {
    if (this.#asking !== undefined) return this.#asking
    const asked = thisMoment()
    const asking = this.#info().then((info) => {
      if (this.#asking !== asking) throw new Error('the connection to Redis was lost')
      return this.#learn(info, asked)
    }).finally(() => {
      if (this.#asking === asking) this.#asking = undefined
    })
    this.#asking = asking
    return asking
  }

  /** Empty if INFO is refused, renamed, or unknown to a proxy. LOADING and the like pass. */
  async #info (): Promise<string> {
    try {
      const sections = await Promise.all(SECTIONS.map((section) => this.#redis.info(section)))
      return sections.map(asInfo).join('\n')
    } catch (error) {
      if (isReply(error, 'NOPERM') || isReply(error, 'ERR')) return ''
      throw error
    }
  }

  #learn (info: string, asked: Moment): ServerRun {
    if (isLoading(info)) throw new Error('Redis is loading its data')
    if (isReplica(info)) {
      this.forget()
      this.#listeners.onReplica()
      throw new Error('Redis is a replica, which lags behind its master')
    }
    const told = runOf(info) ?? unknownRun()
    const run = this.#last?.mark === told.mark ? this.#last : told
    const isAnother = run !== this.#last
    this.#run = this.#last = run
    this.#confirmedAt = run.server === undefined ? Infinity : asked.at
    if (isAnother) this.#clock = new ServerClock()
    const time = timeOf(info)
    if (time !== undefined && this.#clock.learn(time, asked, thisMoment())) this.#listeners.onSetBack()
    if (isAnother) this.#listeners.onRun(run)
    return run
  }
}
