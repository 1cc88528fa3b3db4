import type { RouteHandlerMethod } from 'fastify'
import { OnlyIfCachedError } from '../errors.js'
import { isReading } from '../fastify/methods.js'
import { readable, UNREADABLE } from './encoding/plain.js'
import { bypassFor, type CachedRoute, type Exchange } from './exchange.js'
import { fill } from './fill/fill.js'
import { presentEntry, sendEntry } from './hit.js'
import { passThrough, publishRefused, refuseOnlyIfCached, sendFailure } from './pass-through.js'
import { injected, type Handle } from './refresh/refresh.js'
import { resolve } from './resolve.js'

/**
 * The handler of a cached route: serves a stored response, waits for the fill of another request, or
 * runs the route's own handler and stores its response. Because it is the handler, it runs after all
 * hooks that the application put before it, and gets the request validated, coerced and
 * authenticated.
 */
export function cachedHandler (
  route: CachedRoute, handler: RouteHandlerMethod, methods: readonly string[]
): RouteHandlerMethod {
  const isInjected = route.policy.refreshWith === 'inject'
  let handle: Handle | undefined
  const cached: RouteHandlerMethod = function cached (request, reply) {
    // Once: Fastify calls a route's handler with the same instance. One that returns nothing sends the response itself.
    const run = handle ??= (request, reply) => handler.call(this, request, reply) ?? reply
    return respond({ route, request, reply }, () => run(request, reply), isInjected ? injected : run)
  }
  if (methods.every(isReading)) return cached
  return function cachedIfReading (request, reply) {
    return (isReading(request.method) ? cached : handler).call(this, request, reply)
  }
}

/**
 * Responds to a request from the cache, or with what `run` answers; returns what Fastify is to send.
 * @param handle runs the handler to refresh an entry; default: in a request of the application's own
 */
export async function respond (exchange: Exchange, run: () => unknown, handle: Handle = injected): Promise<unknown> {
  const resolved = await resolve(exchange, exchange.request.method === 'GET', handle)
  switch (resolved.outcome) {
    case 'hit': {
      const hit = resolved.entry.plainLength === undefined ? resolved : await readable(exchange, resolved, false)
      return hit === undefined ? passThrough(exchange, bypassFor(UNREADABLE), run) : sendEntry(exchange, hit)
    }
    case 'fill': return fill(exchange, resolved, run)
    case 'failed': return sendFailure(exchange, resolved)
    case 'refused': return refuseOnlyIfCached(exchange, resolved.found)
    default: return passThrough(exchange, resolved, run)
  }
}

/**
 * The same where a framework sends what this returns, after it has done more to the reply.
 * @throws OnlyIfCachedError
 */
export async function presented (exchange: Exchange, run: () => unknown): Promise<unknown> {
  const resolved = await resolve(exchange, exchange.request.method === 'GET', injected)
  switch (resolved.outcome) {
    case 'hit': {
      const hit = resolved.entry.plainLength === undefined ? resolved : await readable(exchange, resolved, true)
      return hit === undefined
        ? await passThrough(exchange, bypassFor(UNREADABLE), run)
        : presentEntry(exchange, hit)
    }
    case 'failed': return sendFailure(exchange, resolved)
    case 'fill': {
      let answer: unknown
      // The framework may send something that it makes of the answer.
      await fill(exchange, resolved, async () => { answer = await run() })
      return answer
    }
    case 'refused':
      publishRefused(exchange, resolved.found)
      throw new OnlyIfCachedError(exchange.route.name)
    default: return await passThrough(exchange, resolved, run)
  }
}
