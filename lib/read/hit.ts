import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { SHORT_TEXT, type Entry, type StoredHeaders } from '../entry/entry.js'
import { isResponse } from '../fastify/payload.js'
import {
  hasAnyHeader, hasOtherOnSendHooks, headerOn, putHeaders, setHeaderOn, type ReplyHeaders
} from '../fastify/private-state.js'
import { isChangedBySend, serializeOnce } from '../fastify/serializer.js'
import { kResponseStage } from '../fastify/state.js'
import { extend, textOf, type HeaderDifference, type HeaderValue } from '../http/headers.js'
import { isNotModified } from '../http/validators.js'
import { publishDecision } from '../observe/decide.js'
import { withoutStream } from './conditions.js'
import type { Exchange, Hit } from './exchange.js'
import { discard } from './fill/capture.js'
import { Outgoing } from './outgoing.js'
import { addDefaults, announce, unwrapped, type ResponseStage } from './response-stage.js'
import { forClients, isSettlingEntry, SETTLING } from './settling.js'
import { isWhole } from './whole.js'

/** Headers that decide what the cache adds. */
const DECISIVE = ['date', 'etag', 'cache-control', 'expires', 'cache-status']

const DEFAULT_TYPES = new Set<unknown>(['text/plain; charset=utf-8', 'application/octet-stream'])

/**
 * Puts an entry's status and headers on the reply; returns the payload to send, or the reply if it
 * has been sent. Hooks may change what they get, so it is never part of the entry itself.
 */
export function sendEntry (exchange: Exchange, hit: Hit): unknown {
  const { request, reply } = exchange
  const { entry } = hit
  const headers = headersFor(entry, reply)
  const isDecided = hasOtherOnSendHooks(request) || hasAnyHeader(reply, DECISIVE)
  if (!isDecided && isPlain(exchange, entry, headers)) return sendPlain(exchange, hit, headers)
  const payload = present(exchange, hit, headers, hasOtherOnSendHooks(request))
  return payload === undefined ? reply.send() : payload
}

/** The same for a framework that sends the payload itself: it may have set a status that it sets again. */
export function presentEntry (exchange: Exchange, hit: Hit): unknown {
  return present(exchange, hit, headersFor(hit.entry, exchange.reply), true)
}

/** @param wantsText whether somebody gets the payload who may want a string */
function present (exchange: Exchange, hit: Hit, headers: ReplyHeaders, wantsText: boolean): unknown {
  const payload = putEntry(exchange, hit.entry, headers, wantsText)
  exchange.reply[kResponseStage] = new HitStage(exchange, hit, payload)
  return payload
}

/** Puts an entry's status and headers on the reply; returns the payload for hooks, undefined for an empty body. */
export function putEntry (
  exchange: Exchange, entry: Entry, headers = headersFor(entry, exchange.reply), wantsText = true
): unknown {
  const { request, reply } = exchange
  // Fastify puts status and headers of a `Response` on the reply after all hooks.
  const isWrapped = entry.kind === 'response' && hasOtherOnSendHooks(request)
  const payload = isWrapped ? responseOf(entry, headers) : payloadFor(exchange, entry, wantsText)
  if (!isWrapped && reply.raw.statusCode !== entry.status) reply.code(entry.status)
  putHeaders(reply, headers)
  return payload
}

/** Removes the Content-Type that Fastify adds to strings and bytes: the handler sent something else, without one. */
export function removeDefaultType (reply: FastifyReply): void {
  if (DEFAULT_TYPES.has(headerOn(reply, 'content-type'))) reply.removeHeader('content-type')
}

/** Does to a reply's headers what a handler did to those of another. */
export function applyDifference (reply: FastifyReply, { set, removed = [], extended }: HeaderDifference): void {
  for (const name of removed) reply.removeHeader(name)
  for (const name in extended) reply.header(name, extend(reply.getHeader(name), extended[name]!))
  reply.headers(copied(set))
}

/** An entry's headers for a reply, without those that it removes. */
export function headersFor (entry: Entry, reply: FastifyReply): ReplyHeaders {
  const { headers, defaultHeaders, extendedHeaders, removedHeaders } = entry
  if (removedHeaders !== undefined) for (const name of removedHeaders) reply.removeHeader(name)
  const copy = copied(headers)
  const type = defaultHeaders?.['content-type']
  if (type !== undefined && headerOn(reply, 'content-type') === undefined) copy['content-type'] = type
  for (const name in extendedHeaders) copy[name] = extend(reply.getHeader(name), extendedHeaders[name]!)
  return copy
}

/** The stored `Response`; takes the headers that it brought from `headers`. */
function responseOf ({ status, body, responseHeaders = [] }: Entry, headers: Record<string, HeaderValue>): Response {
  const own = new Headers()
  for (const name of responseHeaders) {
    for (const value of [headers[name] ?? []].flat()) own.append(name, String(value))
    delete headers[name]
  }
  return new Response(body.length === 0 ? null : Buffer.from(body), { status, headers: own })
}

/** Whether a response that no hook decides about is sent whole, and the cache adds all of its own headers. */
function isPlain ({ route: { policy }, request }: Exchange, entry: Entry, headers: ReplyHeaders): boolean {
  const { kind, defaultHeaders } = entry
  if (kind === 'empty' || defaultHeaders?.['etag'] === undefined || policy.clientMayReuse) return false
  if (request.headers.range !== undefined) return false
  for (const name of DECISIVE) {
    if (headers[name] !== undefined) return false
  }
  return headers['content-type'] !== undefined
}

/**
 * Sends a plain response as `HitStage` would. That most HITs are plain makes them cheaper: setting known
 * names on a new object costs V8 a fraction of changing the headers of a reply.
 */
function sendPlain (exchange: Exchange, hit: Hit, headers: ReplyHeaders): unknown {
  const { entry, key, age, freshness, collapsed } = hit
  const { route: { policy, runtime: { responseHeader } }, request, reply } = exchange
  const { body, defaultHeaders } = entry
  const isSame = entry.status === 200 &&
    isNotModified(request.headers, defaultHeaders!['etag'], headers['last-modified'])
  if (isSame) {
    // Before others are set: V8 is fast if it is the last one.
    delete headers['content-type']
    if (headers['content-encoding'] !== undefined) delete headers['content-encoding']
  }
  if (reply.raw.statusCode !== entry.status) reply.code(entry.status)
  headers['date'] = defaultHeaders!['date']
  headers['etag'] = defaultHeaders!['etag']
  headers['cache-control'] = policy.clientCacheControl
  headers['age'] = age
  headers['cache-status'] = publishDecision(exchange, {
    outcome: 'hit', detail: detailOf(hit), collapsed, key, ttl: freshness, age, bytes: body.length
  })
  if (responseHeader !== false) headers[responseHeader] = 'HIT'
  if (isSame) {
    putHeaders(reply.code(304), headers)
    return reply.send()
  }
  const payload = payloadFor(exchange, entry, false)
  putHeaders(reply, headers)
  return payload
}

const detailOf = ({ entry, detail }: Hit): string | undefined => isSettlingEntry(entry) ? SETTLING : detail

function copied (stored: StoredHeaders): Record<string, HeaderValue> {
  // Not spread: V8 creates a hidden class for each object that grows after a spread, which takes 2 µs.
  const headers: Record<string, HeaderValue> = Object.assign({}, stored)
  for (const name in stored) {
    const value = stored[name]
    if (typeof value === 'object') headers[name] = value.slice()
  }
  return headers
}

/** What hooks get: the same kind of payload as from the handler. If there are none, the cheapest to send. */
function payloadFor ({ request, reply }: Exchange, entry: Entry, wantsText: boolean): unknown {
  const { kind, body } = entry
  if (kind === 'empty') return undefined
  if (kind === 'text') {
    if (!wantsText && body.length > SHORT_TEXT) return body
    const text = entry.text ?? body.toString()
    // The stored body is serialized already, and its type is complete.
    const type = entry.headers['content-type'] ?? entry.defaultHeaders?.['content-type']
    if (isChangedBySend(reply, type)) serializeOnce(reply, text, text)
    return text
  }
  if (!hasOtherOnSendHooks(request)) return body
  switch (kind) {
    case 'stream': return Readable.from([Buffer.from(body)], { objectMode: false })
    case 'web-stream': return new Blob([body]).stream()
    default: return Buffer.from(body)
  }
}

/** A stored response while hooks run. */
class HitStage implements ResponseStage {
  readonly #exchange: Exchange
  readonly #hit: Hit
  /** What hooks get; the body of a `Response`. */
  readonly #sent: unknown
  readonly #cacheStatus: string
  readonly #isTyped: boolean
  /** The status that hooks find on the reply. */
  readonly #replyStatus: number
  readonly #outgoing: Outgoing
  #hasFailed = false

  constructor (exchange: Exchange, hit: Hit, payload: unknown) {
    const { request, reply } = exchange
    const { entry, collapsed, key, freshness, age } = hit
    const { body, defaultHeaders } = entry
    this.#exchange = exchange
    this.#hit = hit
    this.#sent = isResponse(payload) ? payload.body : payload
    this.#cacheStatus = publishDecision(exchange, {
      outcome: 'hit', detail: detailOf(hit), collapsed, key, ttl: freshness, age, bytes: body.length
    })
    this.#replyStatus = reply.statusCode
    this.#isTyped = headerOn(reply, 'content-type') !== undefined
    this.#outgoing = new Outgoing(request, reply, { payload: this.#sent, body, etag: textOf(defaultHeaders?.etag) })
  }

  onError (): void {
    this.#hasFailed = true
  }

  watch (payload: unknown): void {
    this.#outgoing.watch(payload)
  }

  onSend (given: unknown): unknown {
    const { reply } = this.#exchange
    if (!this.#isTyped) removeDefaultType(reply)
    const payload = withoutStream(reply, given)
    const left = this.#failed() ? payload : this.#leave(unwrapped(reply, payload))
    if (left !== given) discard(given)
    return left
  }

  /** Whether something other than the stored response is sent. */
  #failed (): boolean {
    const { route: { runtime }, reply } = this.#exchange
    const status = reply.statusCode
    if (!this.#hasFailed && (status === this.#replyStatus || status < 400)) return false
    if (runtime.responseHeader !== false) reply.header(runtime.responseHeader, 'MISS')
    return true
  }

  /** All hooks have run: completes the response. */
  #leave (payload: unknown): unknown {
    const { route: { policy }, reply } = this.#exchange
    const { entry, age, freshness } = this.#hit
    addDefaults(reply, forClients(policy, isSettlingEntry(entry) || freshness <= 0), entry.defaultHeaders)
    setHeaderOn(reply, 'age', age)
    announce(this.#exchange, 'HIT', this.#cacheStatus)
    const { body } = entry
    // Hooks got what they get on a MISS. A stream that they did not change is not read.
    const isOwnStream = payload === this.#sent && payload !== undefined && payload !== null && !isWhole(payload)
    const left = this.#outgoing.complete(isOwnStream ? body : payload, true)
    return typeof left === 'string' && left === this.#sent && left.length > SHORT_TEXT ? body : left
  }
}
