import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Core } from '../runtime.js'
import { hasOtherOnSendHooks } from '../fastify/other-hooks.js'
import { isChangedBySend, serializeOnce } from '../fastify/serializer.js'
import { appended, hitStatus, serialized, type CacheStatus } from '../http/cache-status.js'
import type { HeaderValue } from '../http/headers.js'
import { etagOf } from '../http/validators.js'
import { ageOf, freshnessOf, type Entry, type StoredHeaders } from '../entry/entry.js'
import { completed, kExchange, type Exchange } from './response-stage.js'
import { kExplanation } from '../observe/explain.js'
import { conditioned } from './conditions.js'
import type { Reader } from './lookup.js'
import { putHeaders } from '../fastify/reply-headers.js'

/** Up to here a text goes out faster together with its headers, in one string. */
const SHORT_TEXT = 2_048

const DEFAULT_TYPES = new Set<unknown>(['text/plain; charset=utf-8', 'application/octet-stream'])

/** Who gets a stored answer. */
export interface Recipient {
  readonly core: Core
  readonly reader: Reader
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  /** The answer is another request's fill, waited for. */
  readonly collapsed?: boolean
}

/** A stored answer on its way out. */
class Hit implements Exchange {
  readonly #recipient: Recipient
  readonly #entry: Entry
  /** What hooks are given. */
  readonly #sent: unknown
  readonly #typed: boolean
  readonly #sentStatus: number

  constructor (recipient: Recipient, entry: Entry, sent: unknown, typed: boolean) {
    this.#recipient = recipient
    this.#entry = entry
    this.#sent = sent
    this.#typed = typed
    this.#sentStatus = recipient.reply.raw.statusCode
  }

  /** What was said of the stored answer is not true of the error that leaves instead. */
  failed (): void {
    const { core, reader, reply } = this.#recipient
    const { body, kind, headers } = this.#entry
    for (const name of ['age', 'date', 'cache-status', 'content-range']) reply.removeHeader(name)
    const added = { etag: kind === 'empty' ? undefined : etagOf(body), 'cache-control': reader.policy.clientCacheControl }
    for (const [name, value] of Object.entries(added)) {
      if (headers[name] === value && reply.getHeader(name) === value) reply.removeHeader(name)
    }
    if (core.responseHeader !== false) reply.header(core.responseHeader, 'MISS')
  }

  finish (payload: unknown): unknown {
    const { reply } = this.#recipient
    const status = reply.raw.statusCode
    if (status !== this.#sentStatus && status >= 400) this.failed()
    // The answer had none, and Fastify gives one to what it sends whole.
    if (!this.#typed && DEFAULT_TYPES.has(reply.getHeader('content-type'))) reply.removeHeader('content-type')
    if (payload !== this.#sent || status !== this.#entry.status) {
      return completed(reply, this.#entry.headers['content-encoding'], payload)
    }
    // Hooks met the text that they meet on a MISS; where they left it alone, its bytes are cheaper to send.
    return typeof payload === 'string' && payload.length > SHORT_TEXT ? this.#entry.body : payload
  }
}

/**
 * Puts an entry's status and headers on the reply and returns the payload to send. What hooks meet
 * is theirs to change, and no part of the entry.
 * @param now milliseconds since 1970
 */
export function serve (recipient: Recipient, entry: Entry, now: number): unknown {
  const { core, request, reply } = recipient
  if (reply.raw.statusCode !== entry.status) reply.code(entry.status)
  if (entry.removed !== undefined) {
    for (const name of entry.removed) reply.removeHeader(name)
  }
  const headers = copied(entry.headers)
  headers.age = ageOf(entry, now)
  headers['cache-status'] = appended(headers['cache-status'] ?? reply.getHeader('cache-status'), statusOf(recipient, freshnessOf(entry, now)))
  if (core.responseHeader !== false) headers[core.responseHeader] = 'HIT'
  putHeaders(reply, headers)

  let payload: unknown
  if (entry.kind !== 'empty') {
    payload = conditioned(request, reply, entry.kind === 'text' ? entry.text ?? entry.body.toString() : entry.body, entry.body)
    if (payload === entry.body && hasOtherOnSendHooks(request)) payload = Buffer.from(entry.body)
    // What is stored has been serialized, and has the type that goes with that.
    if (typeof payload === 'string' && isChangedBySend(reply, entry.headers['content-type'])) serializeOnce(reply, payload, payload)
  }
  reply[kExchange] = new Hit(recipient, entry, payload, headers['content-type'] !== undefined || reply.hasHeader('content-type'))
  return payload
}

function copied (stored: StoredHeaders): Record<string, HeaderValue> {
  // Not spread: V8 makes a hidden class of its own for each object that grows after a spread, 2 µs each.
  const headers: Record<string, HeaderValue> = Object.assign({}, stored)
  for (const name in headers) {
    const value = headers[name]
    if (Array.isArray(value)) headers[name] = value.slice()
  }
  return headers
}

function statusOf ({ request, collapsed = false }: Recipient, ttl: number): string {
  const explanation = request[kExplanation]
  if (!collapsed && explanation === undefined) return hitStatus(ttl)
  const status: CacheStatus = collapsed ? { fwd: 'uri-miss', collapsed, ttl } : { hit: true, ttl }
  return serialized(explanation?.tell(status) ?? status)
}
