import type { FastifyInstance, RouteOptions } from 'fastify'
import { EarlyRouteError } from '../errors.js'
import type { Log } from '../observe/log.js'
import { isReading } from './methods.js'

/** Marks the config of each route that the plugin has seen. Not the policy, which several routes may share. */
const kApplied = Symbol('fastify-api-cache.applied')

declare module 'fastify' {
  interface FastifyContextConfig {
    [kApplied]?: true
  }
}

/** Marks a route that the plugin has seen. */
export function markApplied (route: RouteOptions): void {
  route.config = { ...route.config, [kApplied]: true }
}

/**
 * Finds routes with a policy that were declared before the plugin was loaded, so that it never saw
 * them. The first request to such a read route is logged. Requests to such a write route are
 * refused, because the write would invalidate nothing.
 */
export function watchEarlyRoutes (fastify: FastifyInstance, log: Log): void {
  // Fastify has no other public way to tell whether there are routes.
  if (fastify.printRoutes().startsWith('(empty')) return
  const warned = new WeakSet<object>()
  fastify.addHook('onRequest', function apiCacheEarlyRoutes (request, _reply, done) {
    const { config, method, url } = request.routeOptions
    if (config.cache === undefined || config.cache === false || config[kApplied] === true) return done()
    const route = `${request.method} ${url}`
    if (![method].flat().some((one) => isReading(one))) return done(new EarlyRouteError(route))
    if (!warned.has(config)) {
      warned.add(config)
      log.earlyRoute(request.log, route)
    }
    done()
  })
}
