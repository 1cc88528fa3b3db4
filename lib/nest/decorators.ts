import 'reflect-metadata'
import type { Type } from '@nestjs/common'
import { MetadataScanner } from '@nestjs/core'
import { FASTIFY_ROUTE_CONFIG, kOfClass } from '../fastify/nest.js'
import type { PolicyInHandler } from '../fastify/in-handler.js'
import { isObject } from '../policy/fields.js'
import type { Invalidation, SoftNamespaces } from '../policy/invalidation.js'
import type { WritePolicy } from '../policy/write-policy.js'

const CACHED = 'fastify-api-cache:cached'
const INVALIDATES = 'fastify-api-cache:invalidates'

/** Metadata of NestJS: which method of HTTP a method answers. */
export const HTTP_METHOD = 'method'

type Decorator = ClassDecorator & MethodDecorator

/**
 * Caches the responses of a GET method, or of all GET methods of a controller. Guards and the
 * interceptors before ours run on every HIT. Fields on a method replace those on its class.
 * @param policy the fields of `config.cache`, without `serveFrom`
 */
export const Cached = (policy: Partial<PolicyInHandler>): Decorator => decorator(CACHED, policy)

/** Leaves a method, or a class that inherits from a cached one, without a cache. */
export const NoCache = (): Decorator => decorator(CACHED, false)

/**
 * Says what a writing method, or all of a controller, invalidates when it succeeds. A request that a
 * guard refuses invalidates nothing.
 * @param what a namespace, a list of them, a function of the request and the payload, namespaces with `soft`, or a
 *   write policy
 */
export function Invalidates (what: Invalidation | SoftNamespaces | WritePolicy): Decorator {
  const isPolicy = isObject(what) && !('namespaces' in what)
  return decorator(INVALIDATES, isPolicy ? what as WritePolicy : { invalidate: what as Invalidation | SoftNamespaces })
}

function decorator (key: string, value: Partial<PolicyInHandler> | WritePolicy | false): Decorator {
  return (target: object, _name?: string | symbol, descriptor?: PropertyDescriptor): void => {
    const method = descriptor?.value as object | undefined
    Reflect.defineMetadata(key, value, method ?? target)
    if (value === false) return
    // Where the module is missing, the plugin refuses what it finds here.
    if (method !== undefined) addToConfig(method, { cache: value })
    else for (const endpoint of endpointsOf(target as Type)) addToConfig(endpoint, { [kOfClass]: true })
  }
}

/** What is there already stays. */
function addToConfig (method: object, added: object): void {
  const config = Reflect.getMetadata(FASTIFY_ROUTE_CONFIG, method) as object | undefined
  Reflect.defineMetadata(FASTIFY_ROUTE_CONFIG, { ...added, ...config }, method)
}

/** The methods of a class, its own and inherited ones, that answer requests. */
function endpointsOf ({ prototype }: Type): object[] {
  const methods = prototype as Record<string, object>
  return new MetadataScanner().getAllMethodNames(methods)
    .map((name) => methods[name]!)
    .filter((method) => Reflect.hasMetadata(HTTP_METHOD, method) && cachedOn(method) !== false)
}

/** What decorators say about one place: undefined for nothing, false for `@NoCache()`. */
export const cachedOn = (place: object): Partial<PolicyInHandler> | false | undefined =>
  Reflect.getMetadata(CACHED, place) as Partial<PolicyInHandler> | false | undefined

export const invalidatesOn = (place: object): WritePolicy | undefined =>
  Reflect.getMetadata(INVALIDATES, place) as WritePolicy | undefined
