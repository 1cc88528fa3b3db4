import type { NestInterceptor } from '@nestjs/common'
import type { ExternalContextCreator } from '@nestjs/core'

/*
 * What is not in NestJS's public interface. Where it is not there any more, the answer is the one
 * with which nothing is served that should not be.
 */

/** What `@Res()` and `@Next()` are among the arguments of a method. */
const REPLY_ARGUMENTS = ['1:', '2:']

/** Whether a method answers through `@Res()` or `@Next()`, so that NestJS sends nothing. */
export function sendsItself (controller: object, method: string): boolean {
  const declared = (Reflect.getMetadata('__routeArguments__', controller, method) ?? {}) as object
  const takesReply = Object.keys(declared).some((key) => REPLY_ARGUMENTS.some((start) => key.startsWith(start)))
  return takesReply && Reflect.getMetadata('__responsePassthrough__', controller, method) !== true
}

/** Whether NestJS makes the response of what a method returns, for `@Redirect` and `@Render`. */
export const usesReturnValue = (method: object): boolean =>
  Reflect.hasMetadata('__redirect__', method) || Reflect.hasMetadata('__renderTemplate__', method)

interface Configured {
  readonly interceptorsContextCreator?: {
    readonly config?: { getGlobalInterceptors? (): readonly NestInterceptor[] }
  }
}

/** Whether no other interceptor gets what this one returns. */
export function isOutermost (interceptor: NestInterceptor, creator: ExternalContextCreator): boolean {
  const { interceptorsContextCreator } = creator as unknown as Configured
  return interceptorsContextCreator?.config?.getGlobalInterceptors?.()[0] === interceptor
}
