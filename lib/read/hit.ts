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
const SHORT_TEXT = 4_096

const NONE: readonly string[] = []
const DEFAULT_TYPES = new Set<unknown>(['text/plain; charset=utf-8', 'application/octet-stream'])

/** A stored answer on its way out. */
class Hit implements Exchange {
  readonly #reply: FastifyReply
  readonly #text: string
  readonly #body: Buffer
  readonly #encoding: unknown
  readonly #typed: boolean

  constructor (reply: FastifyReply, text: string, body: Buffer, encoding: unknown) {
    this.#reply = reply
    this.#typed = reply.hasHeader('content-type')
    this.#text = text
    this.#body = body
    this.#encoding = encoding
  }

  finish (payload: unknown): unknown {
    // The answer had none, and Fastify gives one to what it sends whole.
    if (!this.#typed && DEFAULT_TYPES.has(this.#reply.getHeader('content-type'))) this.#reply.removeHeader('content-type')
    // Hooks met the text that they meet on a MISS; where they left it alone, its bytes are cheaper to send.
    return completed(this.#reply, this.#encoding, payload === this.#text && this.#text.length > SHORT_TEXT ? this.#body : payload)
  }
}

/**
 * Puts an entry's status and headers on the reply and returns the payload to send.
 * @param collapsed the entry was another request's fill, waited for
 */
export function serve (core: Core, request: FastifyRequest, reply: FastifyReply, entry: Entry, collapsed: boolean): unknown {
  const now = Date.now()
  if (reply.raw.statusCode !== entry.status) reply.code(entry.status)
  for (const name of entry.removed ?? NONE) reply.removeHeader(name)
  // Not spread: V8 makes a hidden class of its own for each object that grows after a spread, 2 µs each.
  const headers: Record<string, HeaderValue> = Object.assign({}, entry.headers)
  headers.age = ageOf(entry, now)
  headers['cache-status'] = appended(headers['cache-status'] ?? reply.getHeader('cache-status'), statusOf(request, collapsed, freshnessOf(entry, now)))
  if (core.responseHeader !== false) headers[core.responseHeader] = 'HIT'
  putHeaders(reply, headers)
  const encoding = entry.headers['content-encoding']

  if (entry.kind === 'empty') {
    reply[kExchange] = new Hit(reply, '', entry.body, encoding)
    return undefined
  }
  const text = entry.kind === 'text' ? entry.text ?? entry.body.toString() : ''
  const whole = entry.kind === 'text' ? text : entry.body
  const payload = conditioned(request, reply, whole, entry.body)
  reply[kExchange] = new Hit(reply, text, entry.body, encoding)
  // A hook may have set a serializer for what it expected the handler to send.
  if (typeof payload === 'string') reply.serializer(asItIs)
  return payload
}

function statusOf (request: FastifyRequest, collapsed: boolean, ttl: number): string {
  const explanation = request[kExplanation]
  if (!collapsed && explanation === undefined) return hitStatus(ttl)
  const status: CacheStatus = collapsed ? { fwd: 'uri-miss', collapsed, ttl } : { hit: true, ttl }
  return serialized(explanation?.tell(status) ?? status)
}

const asItIs = (payload: unknown): string => payload as string
