import { RequestMethod, type Type } from '@nestjs/common'
import { APP_INTERCEPTOR, MetadataScanner, type ModulesContainer } from '@nestjs/core'
import { NestInterceptorError, WrongMethodError } from '../errors.js'
import type { InHandler, PolicyInHandler } from '../fastify/in-handler.js'
import { FASTIFY_ROUTE_CONFIG } from '../fastify/nest.js'
import { checkWritePolicy, type WritePolicy } from '../policy/write-policy.js'
import { cachedOn, HTTP_METHOD, invalidatesOn } from './decorators.js'

/** A method of a controller that answers requests. */
interface Endpoint {
  /** Such as `CatsController.findAll`. */
  readonly name: string
  readonly controller: object
  readonly method: object
  readonly httpMethod: RequestMethod
}

/** Metadata of NestJS. */
const SSE = '__sse__'

const READING = new Set([RequestMethod.GET, RequestMethod.HEAD, RequestMethod.ALL])

/** The policy of a cached endpoint: the fields of its class, and its own in front of them. */
export function policyOf (controller: object, method: object): PolicyInHandler | undefined {
  const own = cachedOn(method)
  const inherited = cachedOn(controller)
  if (own === false || (own === undefined && (inherited === undefined || inherited === false))) return undefined
  if (Reflect.hasMetadata(SSE, method)) return undefined
  return { ...inherited, ...own } as PolicyInHandler
}

/**
 * Checks what decorators say, and gives the routes of writing methods their policy, before NestJS declares them.
 * @throws UnknownFieldError, InvalidFieldError, MissingFieldError, WrongMethodError, NestInterceptorError
 */
export function prepareControllers (modules: ModulesContainer, inHandler: InHandler): void {
  const late = lateInterceptor(modules)
  for (const endpoint of endpointsOf(modules)) {
    const isCached = prepareRead(endpoint, inHandler)
    if (isCached && late !== undefined) throw new NestInterceptorError(endpoint.name, late)
    prepareWrite(endpoint)
  }
}

/** The name of an APP_INTERCEPTOR that is made for each request, if there is one: NestJS runs it after all others. */
function lateInterceptor (modules: ModulesContainer): string | undefined {
  for (const { injectables } of modules.values()) {
    for (const [token, { metatype }] of injectables) {
      // Those of classes and methods are kept under the class itself, those of the application under a numbered name.
      if (typeof token === 'string' && token.startsWith(APP_INTERCEPTOR)) return metatype?.name ?? APP_INTERCEPTOR
    }
  }
  return undefined
}

function * endpointsOf (modules: ModulesContainer): Generator<Endpoint> {
  const scanner = new MetadataScanner()
  for (const { controllers } of modules.values()) {
    for (const { metatype } of controllers.values()) {
      const controller = metatype as Type
      const prototype = controller.prototype as Record<string, object>
      for (const name of scanner.getAllMethodNames(prototype)) {
        const method = prototype[name]!
        const httpMethod = Reflect.getMetadata(HTTP_METHOD, method) as RequestMethod | undefined
        if (httpMethod !== undefined) yield { name: `${controller.name}.${name}`, controller, method, httpMethod }
      }
    }
  }
}

/** @returns whether the endpoint is cached */
function prepareRead ({ name, controller, method, httpMethod }: Endpoint, inHandler: InHandler): boolean {
  const own = cachedOn(method)
  if (own !== undefined && own !== false) {
    configure(name, method, undefined, own)
    if (!READING.has(httpMethod)) {
      throw new WrongMethodError(name, "@Cached is for GET; a writing method has @Invalidates('user-cache')")
    }
    if (Reflect.hasMetadata(SSE, method)) {
      throw new WrongMethodError(name, '@Cached is for responses that end, not for @Sse; remove it here')
    }
  }
  const policy = READING.has(httpMethod) ? policyOf(controller, method) : undefined
  if (policy !== undefined) inHandler.check(`${name}: @Cached`, policy)
  return policy !== undefined
}

function prepareWrite ({ name, controller, method, httpMethod }: Endpoint): void {
  const own = invalidatesOn(method)
  const policy = own ?? (READING.has(httpMethod) ? undefined : invalidatesOn(controller))
  if (policy === undefined) return
  if (READING.has(httpMethod)) {
    throw new WrongMethodError(name, '@Invalidates is for POST, PUT, PATCH and DELETE; declare one method for each')
  }
  checkWritePolicy(`${name}: @Invalidates`, policy)
  configure(name, method, policy, policy)
}

/** Sets `config.cache` of a method's route, where nothing but `own` is. */
function configure (name: string, method: object, cache: WritePolicy | undefined, own: object): void {
  const config = Reflect.getMetadata(FASTIFY_ROUTE_CONFIG, method) as { cache?: unknown } | undefined
  if (config?.cache !== undefined && config.cache !== own) {
    throw new WrongMethodError(name, 'its route has another policy, in @RouteConfig or of another class that ' +
      'inherits the method; say it once, with a decorator on the method')
  }
  Reflect.defineMetadata(FASTIFY_ROUTE_CONFIG, { ...config, cache }, method)
}
