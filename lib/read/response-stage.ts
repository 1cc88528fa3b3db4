import type { FastifyReply } from 'fastify'
import type { StoredHeaders } from '../entry/entry.js'
import { headerOn, setHeaderOn } from '../fastify/private-state.js'
import { isResponse } from '../fastify/payload.js'
import { cacheControl } from '../http/cache-control.js'
import { appended } from '../http/cache-status.js'
import { varyWith } from '../http/headers.js'
import type { Exchange } from './exchange.js'
import type { ForClients } from './settling.js'

/** What the plugin's hooks after the handler of a cached route do to one response. */
export interface ResponseStage {
  /** Gets the payload before it is serialized. */
  onPayload?(payload: unknown): void
  /** Gets the response to a handler that failed, before the application's onSend hooks. */
  onFailureResponse?(payload: unknown): void
  /** Called for an error, before the error handler. */
  onError?(): void
  /** Gets the payload between the application's onSend hooks. */
  watch?(payload: unknown): void
  /** Called after all other hooks; returns the payload to send, or a promise of it. */
  onSend(payload: unknown): unknown
}

/** Puts status and headers of a `Response` on the reply, as Fastify does when it sends one; returns its body. */
export function unwrapped (reply: FastifyReply, payload: unknown): unknown {
  // Fastify refuses one that was read already.
  if (!isResponse(payload) || payload.bodyUsed) return payload
  reply.code(payload.status)
  for (const [name, value] of payload.headers) reply.header(name, value)
  return payload.body
}

/** Adds what a stored response says to clients, where neither the handler nor a hook has said it. */
export function addDefaults (reply: FastifyReply, policy: ForClients, { date }: StoredHeaders = {}): void {
  if (date !== undefined && headerOn(reply, 'date') === undefined) setHeaderOn(reply, 'date', date)
  if (headerOn(reply, 'cache-control') === undefined && headerOn(reply, 'expires') === undefined) {
    setHeaderOn(reply, 'cache-control', policy.clientCacheControl)
    if (policy.clientMayReuse) addVary(reply, policy.callersVary)
  } else if (mayBeReused(reply)) {
    addVary(reply, policy.callersVary)
  }
}

/** Whether clients and the caches before them may reuse the response without asking. */
function mayBeReused (reply: FastifyReply): boolean {
  const { noStore, noCache } = cacheControl(headerOn(reply, 'cache-control'))
  return !noStore && !noCache
}

/** Names in Vary what a response depends on, for the caches between this one and the client. */
export function addVary (reply: FastifyReply, names: readonly string[]): void {
  const given = headerOn(reply, 'vary')
  const vary = varyWith(given, names)
  if (vary !== given) reply.header('vary', vary)
}

/** Tells in the response what the cache did. */
export function announce ({ route, reply }: Exchange, outcome: 'HIT' | 'MISS', cacheStatus: string): void {
  const { responseHeader } = route.runtime
  if (responseHeader !== false) setHeaderOn(reply, responseHeader, outcome)
  setHeaderOn(reply, 'cache-status', appended(headerOn(reply, 'cache-status'), cacheStatus))
}
