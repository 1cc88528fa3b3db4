import type { RouteHandlerMethod } from 'fastify'
import { kFound } from '../fastify/state.js'
import { requestDirectives } from '../http/request-directives.js'
import { coalesce } from './coalesce/coalesce.js'
import { bypassFor, type CachedRoute, type Exchange } from './exchange.js'
import { fill } from './fill/fill.js'
import { sendEntry } from './hit.js'
import { lookup } from './lookup.js'
import { passThrough, refuseOnlyIfCached, sendFailure } from './pass-through.js'

/**
 * The handler of a cached route: serves a stored response, waits for the fill of another request, or
 * runs the route's own handler and stores its response. Because it is the handler, it runs after all
 * hooks that the application put before it, and gets the request validated, coerced and
 * authenticated.
 */
export function cachedHandler (route: CachedRoute, handler: RouteHandlerMethod): RouteHandlerMethod {
  return async function cached (request, reply) {
    const exchange: Exchange = { route, request, reply }
    // A handler that returns nothing sends the response itself.
    const run = (): unknown => handler.call(this, request, reply) ?? reply

    const directives = route.policy.obeysRequest ? requestDirectives(request.headers) : undefined
    // With `attachValidation` the handler responds to invalid requests itself.
    const found = request.validationError != null
      ? bypassFor('validation')
      : await (request[kFound] ?? lookup(exchange, directives))
    if (found.outcome === 'hit') return sendEntry(exchange, found)
    // RFC 9111 section 5.2.1.7.
    if (directives?.onlyIfCached === true) return refuseOnlyIfCached(exchange, found)
    if (found.outcome === 'bypass' || request.method !== 'GET') return passThrough(exchange, found, run)

    const joined = await coalesce(exchange, found, directives)
    if (joined.outcome === 'hit') return sendEntry(exchange, joined)
    if (joined.outcome === 'failed') return sendFailure(exchange, joined)
    if (joined.outcome === 'bypass') return passThrough(exchange, joined, run)
    return fill(exchange, joined, run)
  }
}
