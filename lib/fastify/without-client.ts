import { ServerResponse, type IncomingMessage } from 'node:http'
import { Writable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'

type ReplyClass = new (raw: ServerResponse, request: FastifyRequest, log: unknown) => FastifyReply

/** The same validated request, which no client can change or abort any more. `signal` becomes its own. */
export function withoutClient (request: FastifyRequest, signal: AbortSignal): FastifyRequest {
  const raw: IncomingMessage = Object.create(request.raw, { headers: own({ ...request.raw.headers }) })
  return Object.create(request, { raw: own(raw), signal: own(signal) })
}

/**
 * A reply to such a request that is sent to nobody. The hooks behind the handler run for it as for any other;
 * those before it have run for the caller, and onResponse does not run again.
 * @param reply any reply of the route: decorators make its class the instance's own
 * @returns undefined if Fastify makes replies in another way; a request of the application's own is left then
 */
export function replyToNobody (request: FastifyRequest, reply: FastifyReply): FastifyReply | undefined {
  const response = new ServerResponse(request.raw)
  response.assignSocket(new Nowhere() as never)
  const made = new (reply.constructor as ReplyClass)(response, request, request.log)
  return made.request === request && made.raw === response ? made : undefined
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
