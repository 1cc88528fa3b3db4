import type { FastifyReply, FastifyRequest, onSendHookHandler, RouteHandlerMethod } from 'fastify'
import { StoreUnavailableError } from '../errors.js'
import { namesFor } from '../policy/write-policy.js'
import type { Intents } from '../store/contract.js'
import { Intent } from '../write/intent.js'
import { afterWrite, type WriteRoute } from '../write/write-route.js'
import { beforeEnd, isStreamed } from './before-end.js'
import { HandlerRun } from './handler-run.js'
import { isResponse } from './payload.js'
import { kRun, kWrite } from './state.js'
import { WriteInProgress } from './write-in-progress.js'

/** The handler of a write whose policy has functions, or which invalidates when it has settled. */
export function runHandler (handler: RouteHandlerMethod): RouteHandlerMethod {
  return function writing (request, reply) {
    const run = reply[kRun] ??= new HandlerRun(reply)
    let result: unknown
    try {
      result = handler.call(this, request, reply)
    } catch (error) {
      run.threw(error)
      throw error
    }
    return run.returned(result)
  }
}

/** The handler of a write that invalidates when it has settled. */
export function settledHandler (route: WriteRoute, handler: RouteHandlerMethod): RouteHandlerMethod {
  const running = runHandler(handler)
  return function settled (request, reply) {
    const run = reply[kRun] = new HandlerRun(reply)
    const move = (hasWritten: boolean): Promise<unknown> | undefined =>
      hasWritten ? afterWrite(route, request, run) : undefined
    const { background, log } = route.runtime
    reply[kWrite] = new WriteInProgress(reply, run, background, {
      meanwhile: move,
      conclude: move,
      tooLong () { log.unsettledHandler(request.log, route.name) }
    })
    return running.call(this, request, reply)
  }
}

/** The handler of a strict write: records the intent first, or refuses the write. */
export function strictHandler (route: WriteRoute, intents: Intents, handler: RouteHandlerMethod): RouteHandlerMethod {
  const { policy, runtime, settle } = route
  const running = runHandler(handler)
  return async function strict (request, reply) {
    const namespaces = namesFor('invalidate', policy.invalidate, request)
    const tags = namesFor('invalidateTags', policy.invalidateTags, request)
    const intent = new Intent(runtime, intents, { namespaces, tags }, settle)
    if (!await intent.begin()) {
      throw new StoreUnavailableError('the write was refused, as its invalidation could not be recorded first')
    }
    const run = reply[kRun] = new HandlerRun(reply)
    reply[kWrite] = new WriteInProgress(reply, run, runtime.background, {
      // The versions are held.
      meanwhile: () => undefined,
      conclude: (hasWritten) => intent.end(hasWritten),
      tooLong () { runtime.log.unsettledHandler(request.log, route.name) }
    })
    return running.call(this, request, reply) ?? reply
  }
}

/** Invalidates before the response of a write is sent, and before the last byte of one that is streamed. */
export function invalidateOnSend (route: WriteRoute): onSendHookHandler<unknown> {
  // Not async: if there is nothing to wait for, a handler that sends twice behaves as without the plugin.
  return function apiCacheOnSend (request, reply, payload, done) {
    const status = statusOf(payload, reply)
    const streamed = isStreamed(payload)
    const write = reply[kWrite]
    const proceed = (): void => {
      if (!streamed) return done(null, payload)
      done(null, beforeEnd(payload, lengthOf(payload, reply), () => write === undefined
        ? moveAfterSuccess(route, request, reply, status)
        : write.responded(status)))
    }
    const moved = write === undefined
      ? moveAfterSuccess(route, request, reply, status)
      : write.responds(status, streamed)
    if (moved === undefined) return proceed()
    // Before 5.11 Fastify throws from `done` if the handler has sent twice.
    moved.then(proceed).catch(done)
  }
}

/** If the handler of a strict write has not run, nothing was recorded, and nothing is written. */
function moveAfterSuccess (
  route: WriteRoute, request: FastifyRequest, reply: FastifyReply, status: number
): Promise<unknown> | undefined {
  const hasSucceeded = status >= 200 && status < 400
  return hasSucceeded && route.policy.strict !== true ? afterWrite(route, request, reply[kRun]) : undefined
}

/** The status that leaves. Fastify puts that of a `Response` on the reply later. */
function statusOf (payload: unknown, { statusCode }: FastifyReply): number {
  return isResponse(payload) ? payload.status : statusCode
}

function lengthOf (payload: unknown, reply: FastifyReply): number | undefined {
  const own = isResponse(payload) ? payload.headers.get('content-length') : null
  const length = own ?? reply.getHeader('content-length')
  return length === undefined ? undefined : Number(length)
}
