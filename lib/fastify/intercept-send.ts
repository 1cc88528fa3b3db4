import type { FastifyReply } from 'fastify'

/** Sees what is sent on a reply before any hook does. */
export interface Interceptor {
  /** Is given what is sent; returns what goes on to the hooks. */
  sends (payload: unknown): unknown
}

interface Interception {
  /** The reply's own. */
  readonly send: FastifyReply['send']
  interceptor: Interceptor | undefined
}

const kInterception = Symbol('fastify-api-cache.interception')

declare module 'fastify' {
  interface FastifyReply {
    [kInterception]?: Interception
  }
}

/**
 * From now on the interceptor is given whatever is sent on the reply, until `releaseSend`. No hook
 * can do that: one that comes before all other hooks does not exist, nor one for every kind of payload.
 */
export function interceptSend (reply: FastifyReply, interceptor: Interceptor): void {
  reply[kInterception] = { send: reply.send, interceptor }
  reply.send = intercepted
}

/** Gives the reply back its own `send`. */
export function releaseSend (reply: FastifyReply): void {
  const interception = reply[kInterception]
  if (interception === undefined) return
  interception.interceptor = undefined
  // The handler may have put something of its own there, which goes on to ours.
  if (reply.send === intercepted) reply.send = interception.send
}

// One function for all replies: with a closure on each, V8 kept what it holds until its next full collection.
function intercepted (this: FastifyReply, payload?: unknown): FastifyReply {
  const { send, interceptor } = this[kInterception]!
  return send.call(this, interceptor === undefined ? payload : interceptor.sends(payload))
}
