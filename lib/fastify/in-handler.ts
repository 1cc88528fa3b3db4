import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { AlreadyCachedError, InvalidFieldError, MissingFieldError, WrongMethodError } from '../errors.js'
import { routeName } from '../key/cache-key.js'
import { describe, isObject } from '../policy/fields.js'
import {
  compileReadPolicy, type CompiledReadPolicy, type ReadDefaults, type ReadPolicy
} from '../policy/read-policy.js'
import { staleFields } from '../policy/stale-policy.js'
import { presented, respond } from '../read/cached-handler.js'
import { cachedRoute } from '../read/cached-route.js'
import { cachedValue } from '../read/cached-value.js'
import type { CachedRoute, Exchange } from '../read/exchange.js'
import type { Runtime } from '../runtime.js'
import { aroundOnSend } from './last-hook.js'
import { isReading } from './methods.js'
import { equipRoute } from './private-state.js'
import { onError, onPayload, onSend, watch } from './read-hooks.js'
import { kResponseStage } from './state.js'

/** A read policy for a place inside a handler. */
export type PolicyInHandler = Omit<ReadPolicy, 'serveFrom'>

const STALE_FIELDS = Object.keys(staleFields) as Array<keyof typeof staleFields>

/** Keeps the constraints of a route in its config. A request does not tell them. */
const kConstraints = Symbol('fastify-api-cache.constraints')

/** Caching inside handlers, on the instance, for a framework. */
export const kInHandler = Symbol('fastify-api-cache.inHandler')

declare module 'fastify' {
  interface FastifyInstance {
    [kInHandler]: InHandler
  }
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

/** By policy, then by the config of the route. */
type CompiledPolicies = WeakMap<object, WeakMap<object, CachedRoute>>

/** Caching inside a handler: after what has run before it there, such as a guard. */
export class InHandler {
  readonly #runtime: Runtime
  readonly #defaults: ReadDefaults
  readonly #responses: CompiledPolicies = new WeakMap()
  readonly #values: CompiledPolicies = new WeakMap()

  constructor (runtime: Runtime, defaults: ReadDefaults) {
    this.#runtime = runtime
    this.#defaults = defaults
  }

  /** Checks a policy. For those that are known before any request. */
  check (what: string, policy: PolicyInHandler): void {
    compile(what, policy, this.#defaults)
  }

  /**
   * Answers from the cache, or with what `run` answers.
   * @throws AlreadyCachedError, UnknownFieldError, InvalidFieldError, MissingFieldError, WrongMethodError
   */
  async respond (
    request: FastifyRequest, reply: FastifyReply, policy: PolicyInHandler, run: () => unknown
  ): Promise<unknown> {
    const exchange = this.#exchange(request, reply, policy)
    return exchange === undefined ? await run() : await respond({ ...exchange, goesOn: true }, run)
  }

  /** The same for a framework that sends what this returns. */
  async present (
    request: FastifyRequest, reply: FastifyReply, policy: PolicyInHandler, run: () => unknown
  ): Promise<unknown> {
    const exchange = this.#exchange(request, reply, policy)
    return exchange === undefined ? await run() : await presented(exchange, run)
  }

  /**
   * A value of which code of the application makes the response.
   * @throws MissingFieldError without a `key`, which tells it from other values of the same request; InvalidFieldError
   *   for a field for stale entries: nobody could run it for a refresh
   */
  async keyedValue (
    request: FastifyRequest, reply: FastifyReply, policy: PolicyInHandler, run: () => unknown
  ): Promise<unknown> {
    if (isObject(policy) && policy.key === undefined) {
      throw new MissingFieldError('reply.cachedValue',
        "a policy needs a key that tells the value from others, such as { key: () => 'top-ten' }")
    }
    const stale = isObject(policy) ? STALE_FIELDS.find((name) => policy[name] !== undefined) : undefined
    if (stale !== undefined) {
      throw new InvalidFieldError('reply.cachedValue', stale,
        'left out, as a value is made anew by the next request when it is stale', describe(policy[stale]))
    }
    return await this.#value({ request, reply }, policy, run, false)
  }

  /** The only value of a response, with what is done to status and headers for it. */
  async value (
    request: FastifyRequest, reply: FastifyReply, policy: PolicyInHandler, run: () => unknown
  ): Promise<unknown> {
    if (reply[kResponseStage] !== undefined) throw new AlreadyCachedError(String(request.routeOptions.url))
    return await this.#value({ request, reply }, policy, run, true)
  }

  async #value (
    { request, reply }: Omit<Exchange, 'route'>, policy: PolicyInHandler, run: () => unknown, ownsReply: boolean
  ): Promise<unknown> {
    if (request.is404) return await run()
    return await cachedValue({ route: this.#routeFor(request, policy, this.#values), request, reply }, run, ownsReply)
  }

  /** @returns undefined if nothing can be stored */
  #exchange (request: FastifyRequest, reply: FastifyReply, policy: PolicyInHandler): Exchange | undefined {
    const route = this.#routeFor(request, policy)
    if (reply[kResponseStage] !== undefined) throw new AlreadyCachedError(route.name)
    const isCached = isReading(request.method) && !request.is404 && this.#isEquipped(request)
    return isCached ? { route, request, reply } : undefined
  }

  #isEquipped (request: FastifyRequest): boolean {
    const isEquipped = equipRoute(request, HOOKS)
    if (!isEquipped) this.#runtime.log.unequipped(request.log)
    return isEquipped
  }

  #routeFor (request: FastifyRequest, policy: PolicyInHandler, compiled = this.#responses): CachedRoute {
    const { config, url = '*', schema } = request.routeOptions
    const known = isObject(policy) ? compiled.get(policy)?.get(config) : undefined
    if (known !== undefined) return known
    const given = { url, schema, constraints: config[kConstraints] } as unknown as RouteOptions
    const what = `${routeName(given)}: ${compiled === this.#values ? 'reply.cachedValue' : 'reply.cached'}`
    const route = cachedRoute(compile(what, policy, this.#defaults), given, this.#runtime)
    if (route.policy.coalesce === 'fleet') this.#runtime.leases?.listen()
    // An entry with a value is no response, even under the same key.
    const kept = compiled === this.#values ? forValues(route) : route
    const routes = compiled.get(policy) ?? new WeakMap<object, CachedRoute>()
    compiled.set(policy, routes.set(config, kept))
    return kept
  }
}

/** Code of the application reads a value: it is kept as it is. */
const forValues = (route: CachedRoute): CachedRoute =>
  ({ ...route, name: `${route.name} value`, policy: { ...route.policy, encoding: undefined } })

function compile (what: string, policy: PolicyInHandler, defaults: ReadDefaults): CompiledReadPolicy {
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
