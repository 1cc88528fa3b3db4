import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { HeaderValue } from '../http/headers.js'

/*
 * What Fastify keeps on a reply, a request or an instance behind symbols that it does not export. Each function
 * says `undefined` where Fastify keeps it there no more, and its caller then takes the public way, which is
 * slower, stores less or reports less. test/fastify/private-state.test.ts fails when that happens.
 */

export type ReplyHeaders = Record<string, HeaderValue>
export type Serializer = (payload: unknown) => string | Buffer

export type PreSerializationHook = (this: unknown, request: FastifyRequest, ...rest: readonly unknown[]) => unknown

interface RouteContext {
  preHandler?: readonly unknown[] | null
  onSend?: readonly unknown[] | null
  onError?: readonly unknown[] | null
  preSerialization?: readonly PreSerializationHook[] | null
}

type Holder = Record<symbol, unknown>

/** No object has a property behind it. */
const kNowhere = Symbol('fastify-api-cache.nowhere')

// Each function has a look-up of its own: one for all three costs V8 twice the time.
let kHeaders = kNowhere
let kSerializer = kNowhere
let kRouteContext = kNowhere

/** The object that holds a reply's headers, names in lower case. */
export function ownHeaders (reply: FastifyReply): ReplyHeaders | undefined {
  const found = (reply as unknown as Holder)[kHeaders]
  if (found !== undefined) return found as ReplyHeaders
  kHeaders = symbolOf(reply, 'fastify.reply.headers')
  return (reply as unknown as Holder)[kHeaders] as ReplyHeaders | undefined
}

/** A header of a reply; `name` is in lower case. Cheaper than `reply.getHeader`. */
export function headerOn (reply: FastifyReply, name: string): HeaderValue {
  const own = ownHeaders(reply)
  return own === undefined ? reply.getHeader(name) : own[name] ?? reply.raw.getHeader(name)
}

/** Whether a reply has one of these headers; names are in lower case. */
export function hasAnyHeader (reply: FastifyReply, names: readonly string[]): boolean {
  for (const name of names) if (headerOn(reply, name) !== undefined) return true
  return false
}

/** Sets a header of a reply; `name` is in lower case. Cheaper than `reply.header`. */
export function setHeaderOn (reply: FastifyReply, name: string, value: HeaderValue): void {
  const own = ownHeaders(reply)
  if (own === undefined) reply.header(name, value)
  else own[name] = value
}

/**
 * A copy of the headers that a reply has now, with names in lower case. `reply.getHeaders()` is
 * only used if the raw response has headers: V8 is slow with the object that its spread makes.
 */
export function headersOf (reply: FastifyReply): ReplyHeaders {
  const own = ownHeaders(reply)
  return own === undefined || reply.raw.getHeaderNames().length > 0 ? reply.getHeaders() : Object.assign({}, own)
}

/**
 * Puts headers, with names in lower case, on a reply. If it has none yet, the object itself
 * becomes the reply's: setting headers one by one costs a HIT more than everything else here.
 */
export function putHeaders (reply: FastifyReply, headers: ReplyHeaders): void {
  const own = ownHeaders(reply)
  if (own !== undefined && Object.keys(own).length === 0) (reply as unknown as Holder)[kHeaders] = headers
  else reply.headers(headers)
}

/** What `reply.serializer(…)` set last, or null. */
export function ownSerializer (reply: FastifyReply): Serializer | null | undefined {
  const found = (reply as unknown as Holder)[kSerializer]
  if (found !== undefined) return found as Serializer | null
  kSerializer = symbolOf(reply, 'fastify.reply.serializer')
  return (reply as unknown as Holder)[kSerializer] as Serializer | null | undefined
}

/** The serializer that a hook or the handler chose for this reply, if one did and that can be seen. */
export const serializerOf = (reply: FastifyReply): Serializer | undefined => ownSerializer(reply) ?? undefined

function routeContext (request: FastifyRequest): RouteContext | undefined {
  const found = (request as unknown as Holder)[kRouteContext]
  if (found !== undefined) return found as RouteContext
  kRouteContext = symbolOf(request, 'fastify.context')
  return (request as unknown as Holder)[kRouteContext] as RouteContext | undefined
}

/** How many onSend hooks a response meets. */
export const onSendHooks = (request: FastifyRequest): number | undefined => routeContext(request)?.onSend?.length

/** Whether the route has onSend hooks besides this plugin's. True if that is unknown. */
export function hasOtherOnSendHooks (request: FastifyRequest): boolean {
  return onSendHooks(request) !== 1
}

const wrapped = new WeakSet<RouteContext>()

/** Wraps each preSerialization hook of the request's route, once. */
export function wrapPreSerialization (
  request: FastifyRequest, wrap: (hook: PreSerializationHook) => PreSerializationHook
): void {
  const context = routeContext(request)
  if (context?.preSerialization == null || wrapped.has(context)) return
  wrapped.add(context)
  context.preSerialization = context.preSerialization.map((hook) => wrap(hook))
}

/** Hooks that a route of its own request gets after it was declared. */
export interface LateHooks {
  readonly preSerialization: PreSerializationHook
  readonly onSend: (others: readonly unknown[]) => unknown[]
  readonly onError: unknown
}

const equipped = new WeakSet<RouteContext>()

/**
 * Gives the request's route hooks after all of its own, once.
 * @returns whether that is possible
 */
export function equipRoute (request: FastifyRequest, { preSerialization, onSend, onError }: LateHooks): boolean {
  const context = routeContext(request)
  if (context?.onSend === undefined) return false
  if (equipped.has(context)) return true
  equipped.add(context)
  // New lists: responses that are being sent go through the old ones.
  context.preSerialization = [...context.preSerialization ?? [], preSerialization]
  context.onSend = onSend(context.onSend ?? [])
  context.onError = [...context.onError ?? [], onError]
  return true
}

/**
 * Puts a hook before all onSend hooks that the response to one request meets.
 * @returns whether that is possible
 */
export function putFirstOnSend (request: FastifyRequest, hook: unknown): boolean {
  const context = routeContext(request)
  if (context?.onSend == null) return false
  const onSend = { value: [hook, ...context.onSend] }
  ;(request as unknown as Holder)[kRouteContext] = Object.create(context, { onSend })
  return true
}

/** Whether the handler of a request has preHandler hooks besides those of its instance. True if that is unknown. */
export function hasOwnPreHandlers (request: FastifyRequest): boolean {
  const ofInstance = hooksOf(request.server)?.preHandler
  return ofInstance === undefined || (routeContext(request)?.preHandler?.length ?? 0) > ofInstance.length
}

/** How many preSerialization hooks all routes of an instance have. */
export const preSerializationHooks = (instance: FastifyInstance): number | undefined =>
  hooksOf(instance)?.preSerialization?.length

type Hooks = Partial<Record<'preHandler' | 'preSerialization', readonly unknown[]>>

const hooksOf = (instance: FastifyInstance): Hooks | undefined =>
  (instance as unknown as Holder)[symbolOf(instance, 'fastify.hooks')] as Hooks | undefined

/** Looked for again on an object without the symbol known last: each copy of Fastify in a process has its own. */
function symbolOf (holder: object, description: string): symbol {
  return Object.getOwnPropertySymbols(holder).find((symbol) => symbol.description === description) ?? kNowhere
}
