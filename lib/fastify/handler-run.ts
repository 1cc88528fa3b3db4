import { types } from 'node:util'
import type { FastifyReply } from 'fastify'
import type { SentPayload } from '../write/write-route.js'
import { interceptSend, releaseReply, type Interceptor } from './intercept-reply.js'

/**
 * What the handler of a write has sent, or the error handler if it threw, before hooks and
 * serialization; and whether it is still at work, for a write that invalidates when it has settled.
 */
export class HandlerRun implements Interceptor, SentPayload {
  payload: unknown
  /** Whether Fastify's `handlerTimeout` has sent an error while the handler was at work. */
  timedOut = false
  /** Whether the handler has settled. One that returns no promise has done so when it sends. */
  settled = false
  readonly #reply: FastifyReply
  #thrown: { readonly error: unknown } | undefined
  #hasSent = false
  /** Whether the handler has returned, and is to send later. */
  #isToSend = false
  #onSettled: (() => void) | undefined

  constructor (reply: FastifyReply) {
    this.#reply = reply
    interceptSend(reply, this)
  }

  sends (payload: unknown): unknown {
    if (isTimeout(payload)) this.timedOut = true
    // After a timeout the error handler sends first; what is sent behind the response is the handler's.
    else if (!this.timedOut || this.#reply.sent) this.#sent()
    // An error is not a payload; the error handler sends one next.
    if (payload instanceof Error || (this.#thrown !== undefined && payload === this.#thrown.error)) return payload
    if (!this.timedOut) releaseReply(this.#reply)
    this.payload = payload
    return payload
  }

  /** The handler threw an `Error` or any other value. */
  threw (error: unknown): void {
    this.#thrown = { error }
    this.#settle()
  }

  /** The handler returned; returns what Fastify gets. */
  returned (result: unknown): unknown {
    if (result === undefined || result === this.#reply) {
      this.#isToSend = true
      if (this.#hasSent) this.#settle()
      return result
    }
    if (!isThenable(result)) {
      this.#settle()
      return result
    }
    // A thenable of another kind may do its work in `then`, which must be called once only.
    const promise = types.isPromise(result) ? result : Promise.resolve(result)
    promise.then((value) => {
      if (this.timedOut && value !== undefined) this.payload = value
      this.#settle()
    }, (error: unknown) => { this.threw(error) })
    return promise
  }

  /** Calls back once, when the handler has settled. */
  whenSettled (callback: () => void): void {
    if (this.settled) callback()
    else this.#onSettled = callback
  }

  /** Called when the response is closed: a handler that has hijacked the reply and returned no promise has ended it. */
  responseEnded (): void {
    if (this.#isToSend && !this.#hasSent && !this.timedOut) this.#settle()
  }

  #sent (): void {
    this.#hasSent = true
    if (this.#isToSend) this.#settle()
  }

  #settle (): void {
    if (this.settled) return
    this.settled = true
    this.#onSettled?.()
  }
}

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof (value as Partial<PromiseLike<unknown>> | null)?.then === 'function'

/** Whether this is the error that Fastify sends while a handler is at work for too long (`handlerTimeout`). */
export const isTimeout = (payload: unknown): boolean =>
  payload instanceof Error && (payload as Error & { code?: unknown }).code === 'FST_ERR_HANDLER_TIMEOUT'
