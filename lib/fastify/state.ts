import type { Found } from '../read/exchange.js'
import type { ResponseStage } from '../read/response-stage.js'
import type { StoreWait } from '../store/guarded-store.js'
import type { HandlerRun } from './handler-run.js'
import type { WriteInProgress } from './write-in-progress.js'

/*
 * What the plugin keeps on a request and a reply between hooks.
 */

/** What the lookup in an onRequest hook found, for the handler. */
export const kFound = Symbol('fastify-api-cache.found')
/** What the hooks after the handler of a cached route do to the response. */
export const kResponseStage = Symbol('fastify-api-cache.responseStage')
/** A write whose response is not its end; set when the handler is called. */
export const kWrite = Symbol('fastify-api-cache.write')
/** The run of a write's handler; set when the handler is called. */
export const kRun = Symbol('fastify-api-cache.run')
/** How long a request has waited for the store; set when it needs more than its first lookup. */
export const kStoreWait = Symbol('fastify-api-cache.storeWait')
declare module 'fastify' {
  interface FastifyRequest {
    [kFound]: Found | undefined
    [kStoreWait]?: StoreWait
  }
  interface FastifyReply {
    [kResponseStage]: ResponseStage | undefined
    [kWrite]?: WriteInProgress
    [kRun]?: HandlerRun
  }
}
