import type { FastifyReply } from 'fastify'
import { appended, serialized, storedStatus, type CacheStatus } from '../http/cache-status.js'
import { weakened } from '../http/validators.js'
import { textOf } from '../http/headers.js'
import { discard } from './fill/capture.js'
import { kExplanation } from '../observe/explain.js'

/** What a reply on a cached route carries from the handler to the end of its hooks. */
export const kExchange = Symbol('fastify-api-cache.exchange')

declare module 'fastify' {
  interface FastifyReply {
    [kExchange]: Exchange | undefined
  }
}

/** One request on a cached route, from the moment that its handler would run. */
export interface Exchange {
  /** The payload before it is serialized. */
  sawPayload?(payload: unknown): void
  /** Something behind the handler failed; its error has yet to be handled. */
  failed?(): void
  /** The last word on a response, after all other hooks; returns the payload to send. */
  finish(payload: unknown): unknown
}

/** A request that has nothing to do with the cache. */
export class Bypassed implements Exchange {
  readonly #reply: FastifyReply
  readonly #status: CacheStatus

  constructor (reply: FastifyReply, status: CacheStatus) {
    this.#reply = reply
    this.#status = status
  }

  finish (payload: unknown): unknown {
    tell(this.#reply, this.#status)
    return payload
  }
}

/** Adds what this cache did to the response's Cache-Status. */
export function tell (reply: FastifyReply, status: CacheStatus): void {
  const { fwd, stored, detail } = status
  const explanation = reply.request[kExplanation]
  const member = explanation === undefined && fwd !== undefined && stored === true && detail === undefined
    ? storedStatus(fwd)
    : serialized(explanation?.tell(status) ?? status)
  reply.header('cache-status', appended(reply.getHeader('cache-status'), member))
}

/**
 * What every answer of a cached route needs when all hooks have run: a validator made weak where
 * one of them encoded the body, and no body at all beside a 304 or 416.
 */
export function completed (reply: FastifyReply, encodingBefore: unknown, payload: unknown): unknown {
  if (reply.getHeader('content-encoding') !== encodingBefore) {
    const etag = textOf(reply.getHeader('etag'))
    if (etag !== undefined) reply.header('etag', weakened(etag))
  }
  if (reply.statusCode !== 304 && reply.statusCode !== 416) return payload
  discard(payload)
  reply.removeHeader('content-type')
  reply.removeHeader('content-encoding')
  reply.removeHeader('content-length')
  return null
}
