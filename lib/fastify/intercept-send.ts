import type { FastifyReply } from 'fastify'

/** Gets what is sent on a reply before any hook does. */
export interface Interceptor {
  /** Gets the payload that is sent; returns the payload for the hooks. */
  sends (payload: unknown): unknown
  /** Called when a trailer is set. */
  setsTrailer?(): void
}

interface Interception {
  /** The reply's own methods. */
  readonly send: FastifyReply['send']
  readonly trailer: FastifyReply['trailer']
  interceptor: Interceptor | undefined
}

const kInterception = Symbol('fastify-api-cache.interception')

declare module 'fastify' {
  interface FastifyReply {
    [kInterception]?: Interception
  }
}

/**
 * Passes everything that is sent on the reply to the interceptor, until `releaseReply`. A hook
 * cannot do that: no hook runs before all others, and none runs for every kind of payload.
 */
export function interceptSend (reply: FastifyReply, interceptor: Interceptor): void {
  reply[kInterception] = { send: reply.send, trailer: reply.trailer, interceptor }
  reply.send = interceptedSend
  if (interceptor.setsTrailer !== undefined) reply.trailer = interceptedTrailer
}

/** Restores the reply's own methods. */
export function releaseReply (reply: FastifyReply): void {
  const interception = reply[kInterception]
  if (interception === undefined) return
  interception.interceptor = undefined
  // The handler may have replaced them again; its functions call these, which then only pass on.
  if (reply.send === interceptedSend) reply.send = interception.send
  if (reply.trailer === interceptedTrailer) reply.trailer = interception.trailer
}

// One function for all replies: V8 kept a closure per reply, and all it refers to, until a full garbage collection.
function interceptedSend (this: FastifyReply, payload?: unknown): FastifyReply {
  const { send, interceptor } = this[kInterception]!
  return send.call(this, interceptor === undefined ? payload : interceptor.sends(payload))
}

function interceptedTrailer (this: FastifyReply, ...trailer: Parameters<FastifyReply['trailer']>): FastifyReply {
  const { trailer: own, interceptor } = this[kInterception]!
  interceptor?.setsTrailer?.()
  return own.apply(this, trailer)
}
