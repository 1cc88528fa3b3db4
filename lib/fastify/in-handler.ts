import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { AlreadyCachedError, InvalidFieldError, WrongMethodError } from '../errors.js'
import { routeName } from '../key/cache-key.js'
import { describe, isObject } from '../policy/fields.js'
import { compileReadPolicy, type ReadDefaults, type ReadPolicy } from '../policy/read-policy.js'
import { respond } from '../read/cached-handler.js'
import { cachedRoute } from '../read/cached-route.js'
import type { CachedRoute } from '../read/exchange.js'
import type { Runtime } from '../runtime.js'
import { aroundOnSend } from './last-hook.js'
import { equipRoute } from './private-state.js'
import { onError, onPayload, onSend, watch } from './read-hooks.js'
import { kResponseStage } from './state.js'

/** A read policy for a place inside a handler. */
export type PolicyInHandler = Omit<ReadPolicy, 'serveFrom'>

/** Keeps the constraints of a route in its config. A request does not tell them. */
const kConstraints = Symbol('fastify-api-cache.constraints')

declare module 'fastify' {
  interface FastifyContextConfig {
    [kConstraints]?: RouteOptions['constraints']
  }
}

/** Lets requests tell the constraints of their route: two routes with one path share no entry. */
export function noteConstraints (route: RouteOptions): void {
  const { constraints } = route
  if (constraints === undefined || Object.keys(constraints).length === 0) return
  route.config = { ...route.config, [kConstraints]: constraints }
}

const HOOKS = {
  preSerialization: onPayload as never,
  onSend: (others: readonly unknown[]) => aroundOnSend(others, { watch, last: onSend }),
  onError
}

/** Caching inside a handler: after what has run before it there, such as a guard. */
export class InHandler {
  readonly #runtime: Runtime
  readonly #defaults: ReadDefaults
  /** By policy, then by the config of the route. */
  readonly #routes = new WeakMap<object, WeakMap<object, CachedRoute>>()

  constructor (runtime: Runtime, defaults: ReadDefaults) {
    this.#runtime = runtime
    this.#defaults = defaults
  }

  /**
   * Answers from the cache, or with what `run` answers.
   * @throws AlreadyCachedError, UnknownFieldError, InvalidFieldError, MissingFieldError, WrongMethodError
   */
  async respond (
    request: FastifyRequest, reply: FastifyReply, policy: PolicyInHandler, run: () => unknown
  ): Promise<unknown> {
    const route = this.#routeFor(request, policy)
    if (reply[kResponseStage] !== undefined) throw new AlreadyCachedError(route.name)
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    if (!isRead || request.is404 || !this.#isEquipped(request)) return await run()
    return await respond({ route, request, reply, goesOn: true }, run)
  }

  #isEquipped (request: FastifyRequest): boolean {
    const isEquipped = equipRoute(request, HOOKS)
    if (!isEquipped) this.#runtime.log.unequipped(request.log)
    return isEquipped
  }

  #routeFor (request: FastifyRequest, policy: PolicyInHandler): CachedRoute {
    const { config, url = '*', schema } = request.routeOptions
    const known = isObject(policy) ? this.#routes.get(policy)?.get(config) : undefined
    if (known !== undefined) return known
    const route = { url, schema, constraints: config[kConstraints] } as unknown as RouteOptions
    const compiled = cachedRoute(compile(routeName(route), policy, this.#defaults), route, this.#runtime)
    if (compiled.policy.coalesce === 'fleet') this.#runtime.leases?.listen()
    const routes = this.#routes.get(policy) ?? new WeakMap<object, CachedRoute>()
    this.#routes.set(policy, routes.set(config, compiled))
    return compiled
  }
}

function compile (name: string, policy: PolicyInHandler, defaults: ReadDefaults): ReturnType<typeof compileReadPolicy> {
  const what = `${name}: reply.cached`
  if (!isObject(policy)) {
    throw new WrongMethodError(what,
      `its policy must be an object such as { namespace: 'user-cache', expire: '15m' }, got ${describe(policy)}`)
  }
  if ('serveFrom' in policy && policy.serveFrom !== undefined) {
    throw new InvalidFieldError(what, 'serveFrom', 'left out inside a handler, as all hooks have run',
      describe(policy.serveFrom))
  }
  return compileReadPolicy(what, policy, defaults)
}
