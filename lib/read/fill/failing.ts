import type { onSendHookHandler } from 'fastify'
import { isTimeout } from '../../fastify/handler-run.js'
import { hasOwnPreHandlers, putFirstOnSend } from '../../fastify/private-state.js'
import { kResponseStage } from '../../fastify/state.js'
import type { Exchange } from '../exchange.js'

/** A response to a handler that failed, until the application's error handler or not-found handler has made it. */
export class Failing {
  readonly #exchange: Exchange
  #error: unknown
  /** What was sent last: the error, or what the application made of it. */
  payload: unknown
  /** Whether the response may be kept, and so is noted before the application's onSend hooks. */
  isNoted = false

  /** @param error undefined for `reply.callNotFound()` */
  constructor (exchange: Exchange, error: unknown) {
    this.#exchange = exchange
    this.#error = this.payload = error
  }

  /** Whether the handler has not failed, but called the not-found handler, which has not failed either. */
  get isNotFound (): boolean {
    return this.#error === undefined && this.#exchange.request.is404
  }

  /** Whether a response with this status tells of the failure, and does not hide it. */
  isTold (status: number): boolean {
    return status >= 400 || this.isNotFound
  }

  /** Whether the response to this error may be stored. */
  get isStorable (): boolean {
    return this.#exchange.request.is404 || (storesFailures(this.#exchange) && !isTimeout(this.#error))
  }

  /**
   * This is sent: the error, or a response to it.
   * @returns whether the response may still be that of the application to this error
   */
  sends (payload: unknown): boolean {
    const { request, goesOn } = this.#exchange
    this.payload = payload
    if (payload instanceof Error && payload !== this.#error) {
      // A second error may be that of a hook.
      if (this.#error !== undefined || !request.is404) return false
      this.#error = payload
    }
    if (this.isNoted) return true
    // A handler around `reply.cached` may have caught the error and sent something of its own.
    const isGiven = request.is404 ? goesOn !== true && !hasOwnPreHandlers(request) : payload === this.#error
    this.isNoted = isGiven && this.isStorable && putFirstOnSend(request, noteResponse)
    return this.isNoted
  }
}

/** Whether the policy stores responses with a status of an error. */
function storesFailures ({ route: { policy: { lifetimes } } }: Exchange): boolean {
  for (const status of lifetimes.keys()) if (status >= 400) return true
  return false
}

const noteResponse: onSendHookHandler<unknown> = function apiCacheNoteResponse (_request, reply, payload, done) {
  reply[kResponseStage]?.onFailureResponse?.(payload)
  done(null, payload)
}
