import type { FastifyReply } from 'fastify'
import type { Entry, StoredHeaders } from '../entry/entry.js'
import { hasOtherOnSendHooks, putHeaders } from '../fastify/private-state.js'
import { isChangedBySend, serializeOnce } from '../fastify/serializer.js'
import { kResponseStage } from '../fastify/state.js'
import { appended } from '../http/cache-status.js'
import type { HeaderValue } from '../http/headers.js'
import { etagOf } from '../http/validators.js'
import { publishDecision } from '../observe/decide.js'
import { conditioned } from './conditions.js'
import type { Exchange, Hit } from './exchange.js'
import { completed, type ResponseStage } from './response-stage.js'

/** Up to this length Node sends a string faster than bytes, in one write with the headers. */
const SHORT_TEXT = 2_048

const DEFAULT_TYPES = new Set<unknown>(['text/plain; charset=utf-8', 'application/octet-stream'])

/**
 * Puts an entry's status and headers on the reply; returns the payload to send, or the reply if it
 * has been sent. Hooks may change what they get, so it is never part of the entry itself.
 */
export function sendEntry (exchange: Exchange, hit: Hit): unknown {
  const payload = prepare(exchange, hit)
  return payload === undefined ? exchange.reply.send() : payload
}

function prepare (exchange: Exchange, hit: Hit): unknown {
  const { request, reply } = exchange
  const { entry } = hit
  if (reply.raw.statusCode !== entry.status) reply.code(entry.status)
  if (entry.removedHeaders !== undefined) {
    for (const name of entry.removedHeaders) reply.removeHeader(name)
  }
  putHeaders(reply, headersFor(exchange, hit))

  let payload: unknown
  if (entry.kind !== 'empty') {
    const whole = entry.kind === 'text' ? entry.text ?? entry.body.toString() : entry.body
    payload = conditioned(request, reply, whole, entry.body)
    if (payload === entry.body && hasOtherOnSendHooks(request)) payload = Buffer.from(entry.body)
    // The stored body is serialized already, and its type is complete.
    if (typeof payload === 'string' && isChangedBySend(reply, entry.headers['content-type'])) {
      serializeOnce(reply, payload, payload)
    }
  }
  reply[kResponseStage] = new HitStage(exchange, entry, payload)
  return payload
}

function headersFor (exchange: Exchange, { entry, key, age, freshness, collapsed }: Hit): Record<string, HeaderValue> {
  const { route: { runtime: { responseHeader } }, reply } = exchange
  const headers = copied(entry.headers)
  const status = publishDecision(exchange, {
    outcome: 'hit', collapsed, key, ttl: freshness, age, bytes: entry.body.length
  })
  headers.age = age
  headers['cache-status'] = appended(headers['cache-status'] ?? reply.getHeader('cache-status'), status)
  if (responseHeader !== false) headers[responseHeader] = 'HIT'
  return headers
}

function copied (stored: StoredHeaders): Record<string, HeaderValue> {
  // Not spread: V8 creates a hidden class for each object that grows after a spread, which takes 2 µs.
  const headers: Record<string, HeaderValue> = Object.assign({}, stored)
  for (const name in stored) {
    const value = stored[name]
    if (typeof value === 'object') headers[name] = value.slice()
  }
  return headers
}

/** A stored response while hooks run. */
class HitStage implements ResponseStage {
  readonly #exchange: Exchange
  readonly #entry: Entry
  /** The payload that hooks get. */
  readonly #sent: unknown
  readonly #sentStatus: number
  readonly #isTyped: boolean

  constructor (exchange: Exchange, entry: Entry, sent: unknown) {
    this.#exchange = exchange
    this.#entry = entry
    this.#sent = sent
    this.#sentStatus = exchange.reply.raw.statusCode
    this.#isTyped = entry.headers['content-type'] !== undefined || exchange.reply.hasHeader('content-type')
  }

  onError (): void {
    takeBack(this.#exchange, this.#entry)
  }

  onSend (payload: unknown): unknown {
    const { reply } = this.#exchange
    const status = reply.raw.statusCode
    if (status !== this.#sentStatus && status >= 400) takeBack(this.#exchange, this.#entry)
    // The response had no Content-Type, but Fastify adds one to strings and bytes.
    if (!this.#isTyped && DEFAULT_TYPES.has(reply.getHeader('content-type'))) reply.removeHeader('content-type')
    if (payload !== this.#sent || status !== this.#entry.status) {
      return completed(reply, this.#entry.headers['content-encoding'], payload)
    }
    // Hooks got a string, as on a MISS. If they did not change it, its bytes are cheaper to send.
    return typeof payload === 'string' && payload.length > SHORT_TEXT ? this.#entry.body : payload
  }
}

/** Removes the headers of the stored response: an error is sent instead. */
function takeBack ({ route: { policy, runtime }, reply }: Exchange, { kind, body, headers }: Entry): void {
  for (const name of ['age', 'date', 'cache-status', 'content-range']) reply.removeHeader(name)
  removeIfOurs(reply, 'cache-control', headers['cache-control'] === policy.clientCacheControl)
  removeIfOurs(reply, 'etag', kind !== 'empty' && headers.etag === etagOf(body))
  if (runtime.responseHeader !== false) reply.header(runtime.responseHeader, 'MISS')

  function removeIfOurs (reply: FastifyReply, name: string, isOurs: boolean): void {
    if (isOurs && reply.getHeader(name) === headers[name]) reply.removeHeader(name)
  }
}
