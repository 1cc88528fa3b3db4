import type { RouteOptions } from 'fastify'
import { keyOf, routeName } from '../key/cache-key.js'
import { Explainer } from '../observe/explain.js'
import type { CompiledReadPolicy } from '../policy/read-policy.js'
import type { Runtime } from '../runtime.js'
import type { CachedRoute } from './exchange.js'
import { Variants } from './variants.js'

/** Prepares a route with a read policy when it is added. */
export function cachedRoute (policy: CompiledReadPolicy, route: RouteOptions, runtime: Runtime): CachedRoute {
  const { keyspace, log, explains } = runtime
  const name = routeName(route)
  const explainer = explains ? new Explainer(policy, name, log) : undefined
  const key = keyOf(policy, route, keyspace)
  return {
    name,
    policy,
    runtime,
    keyOf: explainer?.noting(key) ?? key,
    variants: new Variants(keyspace, policy.vary),
    explainer
  }
}
