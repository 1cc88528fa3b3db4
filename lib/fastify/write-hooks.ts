import { types } from 'node:util'
import type { FastifyReply, onResponseHookHandler, onSendAsyncHookHandler, RouteHandlerMethod } from 'fastify'
import { namesFor } from '../policy/write-policy.js'
import type { Intents } from '../store/contract.js'
import { Intent } from '../write/intent.js'
import { afterWrite, type SentPayload, type WriteRoute } from '../write/write-route.js'
import { interceptSend, releaseReply, type Interceptor } from './intercept-reply.js'
import { kIntent, kSent } from './state.js'

/** The handler of a strict write: records the intent first, or refuses the write. */
export function strictHandler (
  { policy, runtime }: WriteRoute, intents: Intents, handler: RouteHandlerMethod
): RouteHandlerMethod {
  return async function strict (request, reply) {
    const namespaces = namesFor('invalidate', policy.invalidate, request)
    const tags = namesFor('invalidateTags', policy.invalidateTags, request)
    const intent = new Intent(runtime, intents, namespaces, tags)
    await intent.begin()
    reply[kIntent] = intent
    return handler.call(this, request, reply) ?? reply
  }
}

/** The handler of a write whose policy has functions: keeps what it sends for them. */
export function keepPayload (handler: RouteHandlerMethod): RouteHandlerMethod {
  return function writing (request, reply) {
    const keeper = reply[kSent] = new PayloadKeeper(reply)
    interceptSend(reply, keeper)
    let result: unknown
    try {
      result = handler.call(this, request, reply)
    } catch (error) {
      keeper.threw(error)
      throw error
    }
    // Other thenables may run their work in `then`, so calling it here would run the work twice.
    if (types.isPromise(result)) result.then(undefined, (error: unknown) => { keeper.threw(error) })
    return result
  }
}

/** What a write's handler sent, or the error handler if it threw, before hooks and serialization. */
class PayloadKeeper implements Interceptor, SentPayload {
  payload: unknown
  readonly #reply: FastifyReply
  #thrown: { readonly error: unknown } | undefined

  constructor (reply: FastifyReply) {
    this.#reply = reply
  }

  sends (payload: unknown): unknown {
    // An error is not a payload; the error handler sends one next.
    if (payload instanceof Error || (this.#thrown !== undefined && payload === this.#thrown.error)) return payload
    releaseReply(this.#reply)
    this.payload = payload
    return payload
  }

  /** The handler threw an `Error` or any other value. */
  threw (error: unknown): void {
    this.#thrown = { error }
  }
}

/** Invalidates before the response of a successful write is sent. */
export function invalidateOnSend (route: WriteRoute): onSendAsyncHookHandler<unknown> {
  return async function apiCacheOnSend (request, reply, payload) {
    const hasWritten = succeeded(reply.statusCode) && succeeded(statusOf(payload) ?? 200)
    if (route.policy.strict === true) {
      await reply[kIntent]?.end(hasWritten)
    } else if (hasWritten) {
      const invalidated = afterWrite(route, request, reply[kSent])
      if (invalidated !== undefined) await invalidated
    }
    return payload
  }
}

/** Ends the intent of a write whose handler hijacked the reply, so that onSend hooks did not run. */
export const endUnanswered: onResponseHookHandler = async function apiCacheOnResponse (_request, reply) {
  // If the client disconnected, the handler may still be writing.
  if (reply.raw.writableFinished) await reply[kIntent]?.end(true)
}

const succeeded = (status: number): boolean => status >= 200 && status < 400

/** A `Response` has its own status, which Fastify puts on the reply later. */
function statusOf (payload: unknown): number | undefined {
  return Object.prototype.toString.call(payload) === '[object Response]' ? (payload as Response).status : undefined
}
