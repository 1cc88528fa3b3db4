import { now } from '../../entry/clock.js'
import { SHORT_TEXT } from '../../entry/entry.js'
import { hasOtherOnSendHooks, headersOf, serializerOf } from '../../fastify/private-state.js'
import { isSerializedUnseen, mayHaveSerializer, serialize, serializeOnce } from '../../fastify/serializer.js'
import { cacheControl } from '../../http/cache-control.js'
import { storableDifference, textOf, type HandlerHeaders } from '../../http/headers.js'
import { isAboutCaller, refusalToStore } from '../../http/storable.js'
import { errorStatus, type Thrown } from '../coalesce/fill-failure.js'
import type { Exchange } from '../exchange.js'
import { Outgoing } from '../outgoing.js'
import { payloadOf, sentInResponse, sentOn, type Body, type Payload, type Sent } from './answer.js'
import { callersOwn, repeats } from './callers-own.js'
import { captureNodeStream, captureWebStream, type CaptureListener, type Capturing } from './capture.js'
import type { Fill } from './life.js'
import { assess, STATUS, type Freshness } from './storability.js'

/** Why the application's response to a failure is not stored: it repeats what only its caller has sent. */
export const OF_CALLER = 'of-caller'

/** The response that the handler has handed over to the hooks behind it. */
export interface Handed {
  readonly sent: Sent
  /** Before serialization. */
  readonly payload: unknown
  readonly outgoing: Outgoing
  readonly freshness: Freshness
  /** When, in milliseconds since 1970 and of `performance.now()`. */
  readonly at: number
  readonly atMonotonic: number
  /** The status of the reply. That of a `Response` is put on the reply later. */
  readonly replyStatus: number
}

type Capture<T> = (limit: number, listener: CaptureListener) => Capturing<T>

/** A response while the handler sends it: notes the whole body, or captures the stream. */
export class Sending {
  readonly headers: HandlerHeaders
  readonly #exchange: Exchange
  readonly #fill: Fill
  /** What has been sent; undefined before, and if it is an error. */
  handed: Handed | undefined
  /** Closes the source of a stream that is captured. */
  close: (() => void) | undefined

  constructor (exchange: Exchange, fill: Fill) {
    this.#exchange = exchange
    this.#fill = fill
    this.headers = { before: headersOf(exchange.reply), set: new Set(), removed: new Set() }
  }

  /** The handler sends this; returns what hooks get for it. */
  send (payload: unknown): unknown {
    const { reply } = this.#exchange
    if (typeof payload === 'string' && isSerializedUnseen(reply)) {
      this.#fill.refuse('serializer')
      return payload
    }
    const sent = this.#serializedText(payload)
    const seen = payloadOf(sent)
    switch (seen.as) {
      case 'text':
      case 'bytes':
      case 'empty':
        this.#sendWhole({ kind: seen.as, body: seen.body }, sent, payload)
        // It has been serialized already.
        if (typeof sent === 'string' && mayHaveSerializer(reply)) serializeOnce(reply, sent, sent)
        return sent
      case 'stream':
      case 'web-stream': return this.#sendStream(seen, payload)
      case 'response': return this.#sendResponse(seen.response)
    }
    // Fastify serializes all other payloads, and calls preSerialization hooks before.
    return payload
  }

  /** All preSerialization hooks have run. */
  serialize (payload: unknown): void {
    const { reply } = this.#exchange
    const serialized = serialize(reply, payload)
    // Copied, because a serializer may reuse its buffer.
    const body = Buffer.from(serialized as string)
    const kind = typeof serialized === 'string' ? 'text' : 'bytes'
    this.#sendWhole({ kind, body, isSerialized: true }, serialized, payload)
    serializeOnce(reply, payload, serialized)
  }

  /**
   * The application's response to a handler that failed.
   * @param payload before serialization
   */
  sendForFailure (serialized: unknown, payload: unknown): void {
    const { reply, request, route } = this.#exchange
    const seen = payloadOf(serialized)
    if (!('body' in seen)) return this.#fill.refuse('failed')
    const { as: kind, body } = seen
    const text = kind === 'text' ? serialized as string : undefined
    const sent = sentOn(reply, this.headers, { kind, body, text, isSerialized: true })
    const said = callersOwn(request, this.#fill.context.key, route.policy)
    if (repeats(body.toString(), said)) return this.#fill.refuse(OF_CALLER)
    const set = Object.fromEntries(Object.entries(sent.own.set).filter(([, value]) => !repeats(textOf(value)!, said)))
    this.#handOver({ ...sent, own: { ...sent.own, set } }, payload, serialized, this.#assess(sent))
  }

  /** What those who wait for the response get for an error; undefined if it is only for this caller. */
  thrown (error: unknown): Thrown | undefined {
    const { reply } = this.#exchange
    const headers = headersOf(reply)
    const status = errorStatus(error) ?? reply.statusCode
    const { ignoresCookie } = this.#exchange.route.policy
    const isPrivate = isAboutCaller(status) ||
      refusalToStore(status, headers, cacheControl(headers['cache-control']), ignoresCookie) !== undefined
    if (isPrivate) return undefined
    return { error, status: reply.statusCode, headers: storableDifference(this.headers, headers) }
  }

  #sendWhole ({ kind, body, isSerialized }: Body, handedOver: unknown, payload: unknown): void {
    const { request } = this.#exchange
    const isText = kind === 'text' && (body!.length <= SHORT_TEXT || hasOtherOnSendHooks(request))
    const text = isText ? handedOver as string : undefined
    const sent = sentOn(this.#exchange.reply, this.headers, { kind, body, text, isSerialized })
    this.#handOver(sent, payload, handedOver, this.#assess(sent))
  }

  #sendStream (seen: Payload & { readonly as: 'stream' | 'web-stream' }, payload: unknown): unknown {
    const sent = sentOn(this.#exchange.reply, this.headers, { kind: seen.as })
    const freshness = this.#assess(sent)
    const captured = seen.as === 'stream'
      ? this.#captured((...to) => captureNodeStream(seen.stream, ...to))
      : this.#captured((...to) => captureWebStream(seen.stream, ...to))
    const handedOver = captured ?? payload
    this.#handOver(sent, payload, handedOver, freshness)
    return handedOver
  }

  #sendResponse (response: Response): Response {
    const sent = sentInResponse(this.#exchange.reply, this.headers, response)
    const freshness = this.#assess(sent)
    const { status, statusText, headers, body } = response
    const captured = body === null || response.bodyUsed
      ? undefined
      : this.#captured((...to) => captureWebStream(body, ...to))
    this.#handOver(sent, response, captured ?? body, freshness)
    return captured === undefined ? response : new Response(captured, { status, statusText, headers })
  }

  /** The stream as hooks and the client get it; undefined if nobody else may get it, so that it is not captured. */
  #captured<T> (capture: Capture<T>): T | undefined {
    const { refusal } = this.#fill
    if (refusal !== undefined && refusal !== STATUS) return undefined
    this.#fill.streams()
    const { stream, close } = capture(this.#exchange.route.policy.maxBytes, this.#fill)
    this.close = close
    return stream
  }

  #assess (sent: Sent): Freshness {
    const { refusal, freshness } = assess(this.#exchange.route.policy, sent, Date.now())
    // An outage does not take the place of an entry that is refreshed.
    const isOutage = this.#fill.context.isRefresh && sent.status >= 500
    this.#fill.refuse(refusal ?? (isOutage ? STATUS : undefined))
    return freshness
  }

  #handOver (sent: Sent, payload: unknown, handedOver: unknown, freshness: Freshness): void {
    const { request, reply } = this.#exchange
    this.handed = {
      sent,
      payload,
      freshness,
      outgoing: new Outgoing(request, reply, { payload: handedOver, body: sent.body, etag: undefined }),
      at: now(),
      atMonotonic: performance.now(),
      replyStatus: reply.statusCode
    }
  }

  /** A string as Fastify sends it: if the reply has a content type, its own serializer gets strings, too. */
  #serializedText (payload: unknown): unknown {
    const { reply } = this.#exchange
    const serializer = serializerOf(reply)
    if (typeof payload !== 'string' || serializer === undefined || !reply.hasHeader('content-type')) return payload
    return serializer(payload)
  }
}
