import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Core } from '../core.js'
import { appended, hitStatus, serialized, type CacheStatus } from '../http/cache-status.js'
import type { HeaderValue } from '../http/headers.js'
import { ageOf, freshnessOf, type Entry } from '../store/entry.js'
import { completed, kExchange, type Exchange } from './exchange.js'
import { kExplanation } from './explain.js'
import { conditioned } from './precondition.js'
import { putHeaders } from './reply-headers.js'

/** Up to here a text goes out faster together with its headers, in one string. */
const SHORT_TEXT = 2_048

const DEFAULT_TYPES = new Set<unknown>(['text/plain; charset=utf-8', 'application/octet-stream'])

/** A stored answer on its way out. */
class Hit implements Exchange {
  readonly #reply: FastifyReply
  readonly #entry: Entry
  /** What hooks are given. */
  readonly #sent: unknown
  readonly #typed: boolean

  constructor (reply: FastifyReply, entry: Entry, sent: unknown, typed: boolean) {
    this.#reply = reply
    this.#entry = entry
    this.#sent = sent
    this.#typed = typed
  }

  finish (payload: unknown): unknown {
    const reply = this.#reply
    // The answer had none, and Fastify gives one to what it sends whole.
    if (!this.#typed && DEFAULT_TYPES.has(reply.getHeader('content-type'))) reply.removeHeader('content-type')
    if (payload !== this.#sent || reply.raw.statusCode !== this.#entry.status) {
      return completed(reply, this.#entry.headers['content-encoding'], payload)
    }
    // Hooks met the text that they meet on a MISS; where they left it alone, its bytes are cheaper to send.
    return typeof payload === 'string' && payload.length > SHORT_TEXT ? this.#entry.body : payload
  }
}

/**
 * Puts an entry's status and headers on the reply and returns the payload to send.
 * @param collapsed the entry was another request's fill, waited for
 * @param now milliseconds since 1970
 */
export function serve (core: Core, request: FastifyRequest, reply: FastifyReply, entry: Entry, collapsed: boolean, now: number): unknown {
  if (reply.raw.statusCode !== entry.status) reply.code(entry.status)
  if (entry.removed !== undefined) {
    for (const name of entry.removed) reply.removeHeader(name)
  }
  // Not spread: V8 makes a hidden class of its own for each object that grows after a spread, 2 µs each.
  const headers: Record<string, HeaderValue> = Object.assign({}, entry.headers)
  headers.age = ageOf(entry, now)
  headers['cache-status'] = appended(headers['cache-status'] ?? reply.getHeader('cache-status'), statusOf(request, collapsed, freshnessOf(entry, now)))
  if (core.responseHeader !== false) headers[core.responseHeader] = 'HIT'
  putHeaders(reply, headers)

  let payload: unknown
  if (entry.kind !== 'empty') {
    payload = conditioned(request, reply, entry.kind === 'text' ? entry.text ?? entry.body.toString() : entry.body, entry.body)
    // A hook may have set a serializer for what it expected the handler to send.
    if (typeof payload === 'string') reply.serializer(asItIs)
  }
  reply[kExchange] = new Hit(reply, entry, payload, headers['content-type'] !== undefined || reply.hasHeader('content-type'))
  return payload
}

function statusOf (request: FastifyRequest, collapsed: boolean, ttl: number): string {
  const explanation = request[kExplanation]
  if (!collapsed && explanation === undefined) return hitStatus(ttl)
  const status: CacheStatus = collapsed ? { fwd: 'uri-miss', collapsed, ttl } : { hit: true, ttl }
  return serialized(explanation?.tell(status) ?? status)
}

const asItIs = (payload: unknown): string => payload as string
