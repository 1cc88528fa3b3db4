import { types } from 'node:util'
import type { FastifyReply, RouteHandlerMethod } from 'fastify'
import { interceptSend, releaseSend, type Interceptor } from './intercept-send.js'

/** On a reply whose handler has been called. */
export const kSent = Symbol('fastify-api-cache.sent')

declare module 'fastify' {
  interface FastifyReply {
    [kSent]?: Sent
  }
}

/** What a write's handler sent, before hooks and serialization; or an error handler, where it threw. */
class Sent implements Interceptor {
  payload: unknown
  readonly #reply: FastifyReply
  #thrown: { readonly error: unknown } | undefined

  constructor (reply: FastifyReply) {
    this.#reply = reply
  }

  sends (payload: unknown): unknown {
    // An error is no payload; what an error handler makes of it comes next.
    if (payload instanceof Error || (this.#thrown !== undefined && payload === this.#thrown.error)) return payload
    releaseSend(this.#reply)
    this.payload = payload
    return payload
  }

  /** The handler threw, an `Error` or anything else. */
  threw (error: unknown): void {
    this.#thrown = { error }
  }
}

/** The handler of a write whose policy has functions, which are told what it sends. */
export function keepingPayload (handler: RouteHandlerMethod): RouteHandlerMethod {
  return function writing (request, reply) {
    const sent = reply[kSent] = new Sent(reply)
    interceptSend(reply, sent)
    let result: unknown
    try {
      result = handler.call(this, request, reply)
    } catch (error) {
      sent.threw(error)
      throw error
    }
    // No other thenable is asked: one that runs when it is asked would run twice.
    if (types.isPromise(result)) result.then(undefined, (error: unknown) => { sent.threw(error) })
    return result
  }
}
