import type { RouteHandlerMethod } from 'fastify'

/** Under which NestJS keeps what `@RouteConfig()` says, on the method and on the handler that it makes of it. */
export const FASTIFY_ROUTE_CONFIG = '__fastify_route_config__'
/** Marks the config of routes whose class says how they are cached or what they invalidate: only the module knows. */
export const kOfClass = Symbol('fastify-api-cache.ofClass')
/** On the instance: there is the module. */
export const kNestModule = Symbol('fastify-api-cache.nestModule')

declare module 'fastify' {
  interface FastifyContextConfig {
    [kOfClass]?: true
  }
}

/** The method with which its FastifyAdapter declares a route. */
const DECLARES = 'injectRouteOptions'

/** What reflect-metadata adds to `Reflect`. */
type Metadata = typeof Reflect & { hasMetadata?: (key: string, target: object) => boolean }

/**
 * Whether a route that is being added is one of a NestJS controller: its guards run inside the handler.
 * The handler tells where neither the adapter (it does for paths with parameters) nor another
 * plugin has wrapped it; else it shows in who is adding the route.
 */
export function isOfNest (handler: RouteHandlerMethod): boolean {
  return (Reflect as Metadata).hasMetadata?.(FASTIFY_ROUTE_CONFIG, handler) === true || isCalledFrom(DECLARES)
}

function isCalledFrom (name: string): boolean {
  const { stackTraceLimit, prepareStackTrace } = Error
  try {
    Error.stackTraceLimit = Infinity
    Error.prepareStackTrace = (_error, calls) => calls
    const calls = new Error('who calls?').stack as unknown as NodeJS.CallSite[]
    return calls.some((call) => call.getFunctionName() === name)
  } finally {
    Object.assign(Error, { stackTraceLimit, prepareStackTrace })
  }
}
