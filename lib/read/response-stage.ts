import type { FastifyReply } from 'fastify'
import { textOf } from '../http/headers.js'
import { weakened } from '../http/validators.js'
import { discard } from './fill/capture.js'

/** What the plugin's hooks after the handler of a cached route do to one response. */
export interface ResponseStage {
  /** Gets the payload before it is serialized. */
  onPayload?(payload: unknown): void
  /** Called for an error, before the error handler. */
  onError?(): void
  /** Called after all other hooks; returns the payload to send. */
  onSend(payload: unknown): unknown
}

/**
 * Completes a response of a cached route after all hooks: makes its ETag weak if a hook encoded the
 * body, and removes the body of a 304 or 416.
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
