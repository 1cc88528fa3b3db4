import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { lengthOf, SHORT_TEXT, type Entry, type StoredHeaders } from '../entry/entry.js'
import {
  hasAnyHeader, hasOtherOnSendHooks, headerOn, putHeaders, type ReplyHeaders
} from '../fastify/private-state.js'
import { isChangedBySend, serializeOnce } from '../fastify/serializer.js'
import { kResponseStage } from '../fastify/state.js'
import { extend, varyWith, type HeaderDifference, type HeaderValue } from '../http/headers.js'
import { isNotModified } from '../http/validators.js'
import { publishDecision } from '../observe/decide.js'
import { VARY } from './encoding/apply.js'
import type { Chosen } from './encoding/choose.js'
import { chooseForHit, inCoding, isToBeMade } from './encoding/hit.js'
import type { Exchange, Hit } from './exchange.js'
import { HitStage } from './hit-stage.js'
import { isSettlingEntry, SETTLING } from './settling.js'

/** Headers that decide what the cache adds. */
const DECISIVE = ['date', 'etag', 'cache-control', 'expires', 'cache-status']

/**
 * Puts an entry's status and headers on the reply; returns the payload to send, or the reply if it
 * has been sent. Hooks may change what they get, so it is never part of the entry itself.
 */
export function sendEntry (exchange: Exchange, hit: Hit): unknown {
  const { route: { policy }, request, reply } = exchange
  const headers = headersFor(hit.entry, reply)
  const wantsText = hasOtherOnSendHooks(request)
  const chosen = policy.encoding === undefined ? undefined : chooseForHit(exchange, hit, headers)
  let shown = hit
  if (chosen !== undefined) {
    if (wantsText || isToBeMade(chosen)) return sent(reply, present(exchange, hit, headers, { chosen, wantsText }))
    headers['vary'] = varyWith(headers['vary'] ?? headerOn(reply, 'vary'), VARY)
    shown = inCoding(hit, chosen, headers)
  }
  const isDecided = wantsText || hasAnyHeader(reply, DECISIVE)
  if (!isDecided && isPlain(exchange, shown.entry, headers)) return sendPlain(exchange, shown, headers)
  return sent(reply, present(exchange, shown, headers, { wantsText }))
}

const sent = (reply: FastifyReply, payload: unknown): unknown => payload === undefined ? reply.send() : payload

/** The same for a framework that sends the payload itself: it may have set a status that it sets again. */
export function presentEntry (exchange: Exchange, hit: Hit): unknown {
  const headers = headersFor(hit.entry, exchange.reply)
  const isEncoded = exchange.route.policy.encoding !== undefined
  const chosen = isEncoded ? chooseForHit(exchange, hit, headers) : undefined
  return present(exchange, hit, headers, { chosen, wantsText: true })
}

interface Presented {
  readonly chosen?: Chosen | undefined
  /** Whether somebody gets the payload who may want a string. */
  readonly wantsText: boolean
}

function present (exchange: Exchange, hit: Hit, headers: ReplyHeaders, { chosen, wantsText }: Presented): unknown {
  const payload = putEntry(exchange, hit.entry, headers, wantsText)
  const cacheStatus = publishHit(exchange, hit)
  exchange.reply[kResponseStage] = new HitStage(exchange, hit, { payload, cacheStatus, chosen })
  return payload
}

/** Publishes the decision about a HIT; returns what Cache-Status says. */
export function publishHit (exchange: Exchange, { entry, key, age, freshness, collapsed, detail }: Hit): string {
  return publishDecision(exchange, {
    outcome: 'hit',
    detail: isSettlingEntry(entry) ? SETTLING : detail,
    collapsed,
    key,
    ttl: freshness,
    age,
    bytes: lengthOf(entry)
  })
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
  const { entry, age } = hit
  const { route: { policy, runtime: { responseHeader } }, request, reply } = exchange
  const { defaultHeaders } = entry
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
  headers['cache-status'] = publishHit(exchange, hit)
  if (responseHeader !== false) headers[responseHeader] = 'HIT'
  if (isSame) {
    putHeaders(reply.code(304), headers)
    return reply.send()
  }
  const payload = payloadFor(exchange, entry, false)
  putHeaders(reply, headers)
  return payload
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
