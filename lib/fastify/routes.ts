import type { FastifyInstance, RouteOptions } from 'fastify'
import type { Core } from '../runtime.js'
import { EarlyRouteError, InvalidFieldError, NestRouteError, WrongMethodError } from '../errors.js'
import { isOfNest } from './nest.js'
import { isObject, show } from '../policy/fields.js'
import { compileReadPolicy, isReadField, type ReadDefaults, type ReadPolicy } from '../policy/read-policy.js'
import { checkWritePolicy, type WritePolicy } from '../policy/write-policy.js'
import { cachedHandler } from '../read/cached-handler.js'
import { failExchange, finishExchange, seePayload, serveOnRequest } from './read-hooks.js'
import { Reader } from '../read/lookup.js'
import { invalidateOnSend } from './write-hooks.js'
import { keepingPayload } from './sent.js'
import { endUnanswered, strictHandler } from '../write/intent.js'

const READING = new Set(['GET', 'HEAD'])
/** The other methods that change nothing; what is not known to be safe is a writing one (RFC 9111 section 4.4). */
const SAFE = new Set(['OPTIONS', 'TRACE', 'PROPFIND', 'REPORT', 'SEARCH', 'QUERY'])

/** On the config of each route that met the plugin: policies may be shared between routes. */
const kEquipped = Symbol('fastify-api-cache.equipped')

declare module 'fastify' {
  interface FastifyContextConfig {
    [kEquipped]?: true
  }
}

type HookName = 'onRequest' | 'preSerialization' | 'onSend' | 'onError' | 'onResponse'

/** Gives a route with a policy its handler and its hooks; a route without one is left as it is. */
export function equipRoute (core: Core, defaults: ReadDefaults, route: RouteOptions): void {
  const policy: unknown = route.config?.cache
  if (policy === undefined) return
  const methods = [route.method].flat()
  const what = `${methods.join(',')} ${route.url}`
  if (!isObject(policy)) throw new WrongMethodError(what, `config.cache must be an object such as { namespace: 'user-cache', expire: '15m' }, got ${show(policy)}`)
  if (methods.every((method) => READING.has(method))) equipReading(core, defaults, what, policy as ReadPolicy, route)
  else equipWriting(core, what, methods, policy as WritePolicy, route)
  route.config = { ...route.config, [kEquipped]: true }
}

function equipReading (core: Core, defaults: ReadDefaults, what: string, policy: ReadPolicy, route: RouteOptions): void {
  if ('invalidate' in policy || 'invalidateTags' in policy) {
    throw new WrongMethodError(what, "invalidate and invalidateTags belong on POST, PUT, PATCH or DELETE; a GET is cached with { namespace: 'user-cache', expire: '15m' }")
  }
  const reader = new Reader(compileReadPolicy(what, policy, defaults), route, core)
  if (reader.policy.serveFrom === 'handler' && !core.guardsAreHooks && isOfNest(route.handler)) throw new NestRouteError(what)
  const handler = reader.explainer?.watching(route.handler) ?? route.handler
  route.handler = cachedHandler(core, reader, handler)
  if (reader.policy.serveFrom === 'onRequest') addLast(route, 'onRequest', serveOnRequest(core, reader))
  addLast(route, 'preSerialization', seePayload)
  addLast(route, 'onSend', finishExchange)
  addLast(route, 'onError', failExchange)
}

function equipWriting (core: Core, what: string, methods: string[], policy: WritePolicy, route: RouteOptions): void {
  if (methods.some((method) => READING.has(method) || SAFE.has(method))) {
    throw new WrongMethodError(what, 'config.cache is for GET and HEAD, or for POST, PUT, PATCH and DELETE; declare one route for each kind')
  }
  const readField = Object.keys(policy).find(isReadField)
  if (readField !== undefined) {
    throw new WrongMethodError(what, `'${readField}' belongs on GET; a writing method declares { invalidate: 'user-cache' }`)
  }
  checkWritePolicy(what, policy)
  if (policy.strict === true) {
    if (!core.holds) throw new InvalidFieldError(what, 'strict', 'left out with a store that has no hold and letGo', 'true')
    route.handler = strictHandler(core, policy, route.handler)
    addLast(route, 'onResponse', endUnanswered)
  } else if (typeof policy.invalidate === 'function' || typeof policy.invalidateTags === 'function') {
    // Whether they read the payload cannot be told: a default parameter or `arguments` counts as none.
    route.handler = keepingPayload(route.handler)
  }
  addLast(route, 'onSend', invalidateOnSend(core, what, policy))
}

/**
 * Adds a hook behind all others of the route, also behind those that plugins registered later add
 * in their own onRoute hooks: these have all run once this turn is over.
 */
function addLast (route: RouteOptions, name: HookName, hook: unknown): void {
  const place = (): void => {
    const others = [route[name] ?? []].flat().filter((other) => other !== hook)
    Object.assign(route, { [name]: [...others, hook] })
  }
  place()
  queueMicrotask(place)
}

/**
 * Routes that were declared before the plugin was loaded never met it. Where there may be such, one
 * that was to be cached is logged when it is first asked, and one that was to invalidate is refused:
 * what it writes would stay old in the cache.
 */
export function watchEarlierRoutes (fastify: FastifyInstance): void {
  if (fastify.printRoutes().startsWith('(empty')) return
  const warned = new WeakSet<object>()
  fastify.addHook('onRequest', function apiCacheEarlierRoutes (request, _reply, done) {
    const { config, method, url } = request.routeOptions
    if (config.cache === undefined || config[kEquipped] === true) return done()
    if (![method].flat().every((one) => READING.has(one))) return done(new EarlyRouteError(`${request.method} ${url}`))
    if (!warned.has(config)) {
      warned.add(config)
      request.log.warn({ route: `${request.method} ${url}` },
        'api cache: this route was declared before the plugin was loaded, so nothing of it is cached; await app.register(apiCache) before declaring routes')
    }
    done()
  })
}
