import type { FastifyReply } from 'fastify'

/** Gets what is sent on a reply before any hook does. */
export interface Interceptor {
  /** Gets the payload that is sent; returns the payload for the hooks. */
  sends (payload: unknown): unknown
}

/** Also gets what is done to the reply's headers, in lower case, until `releaseReply`. */
export interface HeaderInterceptor extends Interceptor {
  setsHeader (name: string): void
  removesHeader (name: string): void
  setsTrailer (): void
}

/** Methods of a reply that are replaced. */
type Methods = Pick<FastifyReply, 'send' | 'trailer' | 'header' | 'type' | 'removeHeader'>

interface Interception {
  /** The reply's own methods. */
  readonly own: Methods
  interceptor: Interceptor | HeaderInterceptor | undefined
  /** The same interceptor if it gets headers. */
  headers: HeaderInterceptor | undefined
}

const kInterception = Symbol('fastify-api-cache.interception')

declare module 'fastify' {
  interface FastifyReply {
    [kInterception]?: Interception
  }
}

/**
 * Passes everything that is sent on the reply to the interceptor. A hook cannot do that: no hook runs
 * before all others, and none runs for every kind of payload.
 */
export function interceptSend (reply: FastifyReply, interceptor: Interceptor): void {
  reply[kInterception] = { own: methodsOf(reply), interceptor, headers: undefined }
  reply.send = interceptedSend
}

/** Also passes what is done to the headers: they do not show who set them, or that one was set again. */
export function interceptReply (reply: FastifyReply, interceptor: HeaderInterceptor): void {
  interceptSend(reply, interceptor)
  reply[kInterception]!.headers = interceptor
  reply.trailer = interceptedTrailer
  reply.header = interceptedHeader
  reply.type = interceptedType
  reply.removeHeader = interceptedRemoveHeader
}

const methodsOf = ({ send, trailer, header, type, removeHeader }: FastifyReply): Methods =>
  ({ send, trailer, header, type, removeHeader })

/** Restores the reply's own `send`. */
export function releaseSend (reply: FastifyReply): void {
  const interception = reply[kInterception]
  if (interception === undefined) return
  interception.interceptor = undefined
  // The handler may have replaced it again; its function calls ours, which then only passes on.
  if (reply.send === interceptedSend) reply.send = interception.own.send
}

/** Restores all of the reply's own methods. */
export function releaseReply (reply: FastifyReply): void {
  releaseSend(reply)
  const interception = reply[kInterception]
  if (interception?.headers === undefined) return
  const { own } = interception
  interception.headers = undefined
  if (reply.trailer === interceptedTrailer) reply.trailer = own.trailer
  if (reply.header === interceptedHeader) reply.header = own.header
  if (reply.type === interceptedType) reply.type = own.type
  if (reply.removeHeader === interceptedRemoveHeader) reply.removeHeader = own.removeHeader
}

// One function for all replies: V8 kept a closure per reply, and all it refers to, until a full garbage collection.
function interceptedSend (this: FastifyReply, payload?: unknown): FastifyReply {
  const { own, interceptor } = this[kInterception]!
  return own.send.call(this, interceptor === undefined ? payload : interceptor.sends(payload))
}

function interceptedTrailer (this: FastifyReply, ...trailer: Parameters<FastifyReply['trailer']>): FastifyReply {
  const { own, headers } = this[kInterception]!
  headers?.setsTrailer()
  return own.trailer.apply(this, trailer)
}

function interceptedHeader (this: FastifyReply, name: string, value: unknown): FastifyReply {
  const { own, headers } = this[kInterception]!
  headers?.setsHeader(name.toLowerCase())
  return own.header.call(this, name, value)
}

function interceptedType (this: FastifyReply, type: string): FastifyReply {
  const { own, headers } = this[kInterception]!
  headers?.setsHeader('content-type')
  return own.type.call(this, type)
}

function interceptedRemoveHeader (this: FastifyReply, name: string): FastifyReply {
  const { own, headers } = this[kInterception]!
  headers?.removesHeader(name.toLowerCase())
  return own.removeHeader.call(this, name)
}
