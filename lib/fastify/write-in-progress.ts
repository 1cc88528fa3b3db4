import { finished } from 'node:stream'
import type { FastifyReply } from 'fastify'
import type { Background } from '../background.js'
import type { HandlerRun } from './handler-run.js'

/** Longest time in milliseconds until a write whose handler does not settle counts as written. */
const LONGEST_WRITE = 600_000

/** What a write does to the cache. */
export interface Effects {
  /** Before its response, or the last byte of it, leaves while the handler or the body is still at work. */
  meanwhile(hasWritten: boolean): Promise<unknown> | undefined
  /** When its handler has settled and its response has ended. */
  conclude(hasWritten: boolean): Promise<unknown> | undefined
  /** The handler has not settled for a long time; the write is concluded. */
  tooLong(): void
}

/**
 * A write that invalidates whatever its outcome is, if the application itself did not refuse it (4xx).
 * It lasts until its handler has settled and its response has ended: a response may leave earlier,
 * as with Fastify's `handlerTimeout`, or never, as when the client disconnects.
 */
export class WriteInProgress {
  readonly #reply: FastifyReply
  readonly #run: HandlerRun
  readonly #background: Background
  readonly #effects: Effects
  readonly #timer: NodeJS.Timeout
  #status: number | undefined
  #isStreaming = false
  #hasResponded = false
  #isOver = false

  constructor (reply: FastifyReply, run: HandlerRun, background: Background, effects: Effects) {
    this.#reply = reply
    this.#run = run
    this.#background = background
    this.#effects = effects
    this.#timer = setTimeout(() => {
      effects.tooLong()
      this.#concludeLate(true)
    }, LONGEST_WRITE).unref()
    run.whenSettled(() => { this.#whenOver() })
    finished(reply.raw, () => {
      if (reply.raw.writableFinished) run.responseEnded()
      this.#hasResponded ||= !this.#isStreaming
      this.#whenOver()
    })
  }

  /** The response is about to leave. */
  responds (status: number, isStreamed: boolean): Promise<unknown> | undefined {
    this.#status = status
    this.#isStreaming = isStreamed
    return isStreamed ? this.#effects.meanwhile(this.#hasWritten(status)) : this.responded(status)
  }

  /** All of the response but its last byte has left, or what there is of it. */
  responded (status: number): Promise<unknown> | undefined {
    this.#hasResponded = true
    const hasWritten = this.#hasWritten(status)
    return this.#run.settled ? this.#conclude(hasWritten) : this.#effects.meanwhile(hasWritten)
  }

  #whenOver (): void {
    if (!this.#hasResponded || !this.#run.settled) return
    const { headersSent, statusCode } = this.#reply.raw
    const status = headersSent ? statusCode : this.#status
    this.#concludeLate(status === undefined || this.#hasWritten(status))
  }

  #concludeLate (hasWritten: boolean): void {
    const concluding = this.#conclude(hasWritten)
    if (concluding !== undefined) void this.#background.run(concluding)
  }

  #conclude (hasWritten: boolean): Promise<unknown> | undefined {
    if (this.#isOver) return undefined
    this.#isOver = true
    clearTimeout(this.#timer)
    return this.#effects.conclude(hasWritten)
  }

  #hasWritten (status: number): boolean {
    return this.#run.timedOut || status < 400 || status > 499
  }
}
