import { ServerResponse, type IncomingMessage } from 'node:http'
import { Writable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'

/** A request that nobody waits for. */
export interface WithoutClient {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  /** Aborts the request's signal. */
  abort(): void
}

type ReplyClass = new (raw: ServerResponse, request: FastifyRequest, log: unknown) => FastifyReply

/**
 * The same validated request, with a reply of its own that is sent to nobody. The hooks behind the handler run
 * for it as for any other; those before it have run for the caller, and onResponse does not run again. What
 * is done to it does not change the caller's request, and does not stop when the caller leaves.
 * @param reply any reply of the route: decorators make its class the instance's own
 */
export function withoutClient (request: FastifyRequest, reply: FastifyReply): WithoutClient {
  const raw: IncomingMessage = Object.create(request.raw, { headers: own({ ...request.raw.headers }) })
  const controller = new AbortController()
  const detached: FastifyRequest = Object.create(request, { raw: own(raw), signal: own(controller.signal) })
  const response = new ServerResponse(request.raw)
  response.assignSocket(new Nowhere() as never)
  const detachedReply = new (reply.constructor as ReplyClass)(response, detached, request.log)
  return { request: detached, reply: detachedReply, abort () { controller.abort() } }
}

const own = (value: unknown): PropertyDescriptor => ({ value, writable: true, configurable: true, enumerable: true })

class Nowhere extends Writable {
  override _write (_chunk: unknown, _encoding: string, done: () => void): void {
    done()
  }
}

/** Runs a handler and sends what it returns or throws, as Fastify does. */
export function sendReturned (reply: FastifyReply, run: () => unknown): void {
  new Promise((resolve) => { resolve(run()) }).then((payload) => {
    if (payload !== undefined && payload !== reply && !reply.sent) reply.send(payload)
  }).catch((error: unknown) => {
    if (!reply.sent) reply.send(error instanceof Error ? error : new Error('not an error', { cause: error }))
  }).catch(() => {
    // An error handler that throws again: nobody waits for its response.
  })
}
