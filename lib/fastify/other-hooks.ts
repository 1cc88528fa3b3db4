import type { FastifyRequest } from 'fastify'

interface RouteContext {
  readonly onSend?: readonly unknown[] | null
}

/** Where Fastify keeps a request's route with all its hooks: behind a symbol that it does not export. */
let kRouteContext: symbol | undefined

/** Whether a response meets onSend hooks beside this plugin's one. Where that is not known, it does. */
export function hasOtherOnSendHooks (request: FastifyRequest): boolean {
  kRouteContext ??= Object.getOwnPropertySymbols(request).find(({ description }) => description === 'fastify.context')
  const context = kRouteContext && (request as unknown as Record<symbol, RouteContext | undefined>)[kRouteContext]
  return context?.onSend?.length !== 1
}
