import { Inject, Injectable, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common'
import { ExternalContextCreator } from '@nestjs/core'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { from, lastValueFrom, type Observable } from 'rxjs'
import { kInHandler, type PolicyInHandler } from '../fastify/in-handler.js'
import { policyOf } from './controllers.js'
import { isOutermost, sendsItself, usesReturnValue } from './nest-internals.js'

/** How one endpoint is cached. */
interface CachedEndpoint {
  readonly policy: PolicyInHandler
  /**
   * What is kept: the `response`; the `value` that the method returned, if NestJS or interceptors
   * before this one make something of it on every request; or what the method `sent` itself.
   */
  readonly keeps: 'response' | 'value' | 'sent'
}

/** Serves HITs after all guards and the interceptors before it. */
export class ApiCacheInterceptor implements NestInterceptor {
  readonly #creator: ExternalContextCreator
  /** By class, then by method. */
  readonly #endpoints = new Map<object, Map<object, CachedEndpoint | undefined>>()

  constructor (creator: ExternalContextCreator) {
    this.#creator = creator
  }

  intercept (context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const endpoint = context.getType() === 'http' ? this.#endpointOf(context) : undefined
    return endpoint === undefined ? next.handle() : from(this.#respond(endpoint, context, next))
  }

  async #respond ({ policy, keeps }: CachedEndpoint, context: ExecutionContext, next: CallHandler): Promise<unknown> {
    const http = context.switchToHttp()
    const request = http.getRequest<FastifyRequest>()
    const reply = http.getResponse<FastifyReply>()
    const inHandler = request.server[kInHandler]
    let hasRun = false
    const run = (): Promise<unknown> => {
      hasRun = true
      return lastValueFrom(next.handle())
    }
    if (keeps === 'value') return await inHandler.value(request, reply, policy, run)
    const answer = await inHandler.present(request, reply, policy, run)
    if (keeps === 'sent' && !hasRun) await reply.send(answer)
    return answer
  }

  #endpointOf (context: ExecutionContext): CachedEndpoint | undefined {
    const controller = context.getClass()
    const method = context.getHandler()
    const methods = this.#endpoints.get(controller) ?? new Map<object, CachedEndpoint | undefined>()
    if (methods.has(method)) return methods.get(method)
    const endpoint = this.#describe(controller, method)
    this.#endpoints.set(controller, methods.set(method, endpoint))
    return endpoint
  }

  #describe (controller: object, method: { readonly name: string }): CachedEndpoint | undefined {
    const policy = policyOf(controller, method)
    if (policy === undefined) return undefined
    if (sendsItself(controller, method.name)) return { policy, keeps: 'sent' }
    const isLast = !usesReturnValue(method) && isOutermost(this, this.#creator)
    return { policy, keeps: isLast ? 'response' : 'value' }
  }
}

Injectable()(ApiCacheInterceptor)
Inject(ExternalContextCreator)(ApiCacheInterceptor, undefined, 0)
