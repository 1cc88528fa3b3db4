import type { FastifyInstance, RouteOptions } from 'fastify'
import { InvalidFieldError, NestClassError, NestRouteError, WrongMethodError } from '../errors.js'
import { toSettle } from '../policy/duration.js'
import { softOf } from '../policy/invalidation.js'
import { describe, isObject } from '../policy/fields.js'
import { compileReadPolicy, isReadField, type ReadDefaults, type ReadPolicy } from '../policy/read-policy.js'
import { checkWritePolicy, hasFunctions, type WritePolicy } from '../policy/write-policy.js'
import { cachedHandler } from '../read/cached-handler.js'
import { cachedRoute } from '../read/cached-route.js'
import type { Runtime } from '../runtime.js'
import type { WriteRoute } from '../write/write-route.js'
import { markApplied } from './early-routes.js'
import { addLast, addOnSend } from './last-hook.js'
import { isReading, isWriting } from './methods.js'
import { isOfNest, kNestModule, kOfClass } from './nest.js'
import { onError, onPayload, onSend, serveOnRequest, watch } from './read-hooks.js'
import type { SharedRoutes } from './shared-routes.js'
import { invalidateOnSend, runHandler, settledHandler, strictHandler } from './write-hooks.js'

/** What all routes of one registration are given. */
export interface Registration {
  readonly runtime: Runtime
  readonly defaults: ReadDefaults
  /** Whether the application says that no framework guards its routes inside their handlers. */
  readonly guardsAreHooks: boolean
  readonly sharedRoutes: SharedRoutes
}

/** Gives a route with a policy its handler and its hooks; a route without one is left as it is. */
export function applyPolicy (registration: Registration, route: RouteOptions, instance: FastifyInstance): void {
  const { runtime } = registration
  const policy: unknown = route.config?.cache
  const methods = [route.method].flat()
  const name = `${methods.join(',')} ${route.url}`
  if (route.config?.[kOfClass] === true && !instance.hasDecorator(kNestModule)) throw new NestClassError(name)
  if (policy === undefined || policy === false) return
  if (!isObject(policy)) {
    throw new WrongMethodError(name,
      `config.cache must be an object such as { namespace: 'user-cache', expire: '15m' }, got ${describe(policy)}`)
  }
  if (methods.every(isWriting)) applyWritePolicy(runtime, name, policy as WritePolicy, route)
  // A route of @fastify/websocket answers nothing that could be cached.
  else if ('websocket' in route && route.websocket === true) return
  else if (methods.some(isReading)) applyReadPolicy(registration, name, route, instance)
  else {
    throw new WrongMethodError(name, 'config.cache is for GET and HEAD, or for POST, PUT, PATCH and DELETE')
  }
  markApplied(route)
}

function applyReadPolicy (
  { runtime, defaults, guardsAreHooks, sharedRoutes }: Registration, name: string, route: RouteOptions,
  instance: FastifyInstance
): void {
  const given = route.config!.cache as ReadPolicy
  if ('invalidate' in given || 'invalidateTags' in given) {
    throw new WrongMethodError(name, 'invalidate and invalidateTags belong on POST, PUT, PATCH or DELETE; ' +
      "a GET is cached with { namespace: 'user-cache', expire: '15m' }; declare one route for each kind")
  }
  if (given.serveFrom !== 'onRequest' && !guardsAreHooks && isOfNest(route.handler)) throw new NestRouteError(name)
  const policy = compileReadPolicy(name, given, defaults)
  const cached = cachedRoute(policy, route, runtime)
  const handler = cached.explainer?.watching(route.handler) ?? route.handler
  route.handler = cachedHandler(cached, handler, [route.method].flat())
  if (policy.serveFrom === 'onRequest') addLast(route, 'onRequest', serveOnRequest(cached))
  if (policy.coalesce === 'fleet') runtime.leases?.listen()
  if (policy.scope === 'shared') sharedRoutes.add({ name: cached.name, route, instance })
  addLast(route, 'preSerialization', onPayload)
  addOnSend(route, { watch, last: onSend })
  addLast(route, 'onError', onError)
}

function applyWritePolicy (runtime: Runtime, name: string, policy: WritePolicy, route: RouteOptions): void {
  const readField = Object.keys(policy).find(isReadField)
  if (readField !== undefined) {
    throw new WrongMethodError(name,
      `'${readField}' belongs on GET; a writing method declares { invalidate: 'user-cache' }`)
  }
  checkWritePolicy(name, policy)
  const write: WriteRoute = {
    name,
    policy,
    runtime,
    settle: toSettle(policy.settle) ?? runtime.settle,
    soft: { namespaces: softOf(policy.invalidate), tags: softOf(policy.invalidateTags) }
  }
  if (policy.strict === true) {
    if (runtime.intents === undefined) {
      throw new InvalidFieldError(name, 'strict', 'left out with a store without intents', 'true')
    }
    route.handler = strictHandler(write, runtime.intents, route.handler)
  } else if (policy.invalidateOn === 'settled') {
    route.handler = settledHandler(write, route.handler)
  } else if (hasFunctions(policy)) {
    route.handler = runHandler(route.handler)
  }
  addLast(route, 'onSend', invalidateOnSend(write))
}
