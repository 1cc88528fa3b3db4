import type { Found } from '../read/exchange.js'
import type { ResponseStage } from '../read/response-stage.js'
import type { Intent } from '../write/intent.js'
import type { SentPayload } from '../write/write-route.js'

/*
 * What the plugin keeps on a request and a reply between hooks.
 */

/** What the lookup in an onRequest hook found, for the handler. */
export const kFound = Symbol('fastify-api-cache.found')
/** What the hooks after the handler of a cached route do to the response. */
export const kResponseStage = Symbol('fastify-api-cache.responseStage')
/** The intent of a strict write in progress. */
export const kIntent = Symbol('fastify-api-cache.intent')
/** What the handler of a write sent; set when the handler is called. */
export const kSent = Symbol('fastify-api-cache.sent')

declare module 'fastify' {
  interface FastifyRequest {
    [kFound]: Found | undefined
  }
  interface FastifyReply {
    [kResponseStage]: ResponseStage | undefined
    [kIntent]?: Intent
    [kSent]?: SentPayload
  }
}
