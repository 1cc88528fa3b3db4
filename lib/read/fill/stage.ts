import type { Readable } from 'node:stream'
import { headersOf } from '../../fastify/private-state.js'
import { releaseReply, type Interceptor } from '../../fastify/intercept-send.js'
import {
  isSerializedUnseen, mayHaveSerializer, serialize, serializeOnce, serializerOf
} from '../../fastify/serializer.js'
import type { Headers } from '../../http/headers.js'
import { isNotModified } from '../../http/validators.js'
import { addCacheStatus, publishDecision } from '../../observe/decide.js'
import { kExplanation } from '../../observe/explain.js'
import { conditioned } from '../conditions.js'
import type { Exchange } from '../exchange.js'
import { completed, type ResponseStage } from '../response-stage.js'
import { payloadOf, sentInResponse, sentOn, type Body, type Sent } from './answer.js'
import { captureNodeStream, captureWebStream, type Capturing } from './capture.js'
import { defaultHeaders } from './default-headers.js'
import type { Fill } from './life.js'
import { assess, isWanted, lateRefusal } from './storability.js'

/** A response that fills the cache, from the moment the handler sends it until all hooks have run. */
export class FillStage implements ResponseStage, Interceptor {
  readonly #exchange: Exchange
  readonly #fill: Fill
  readonly #restoreConditions: () => void
  /** The headers before the handler ran. */
  readonly #before: Headers
  /** Headers that the cache added to the handler's response. */
  #added: Readonly<Record<string, string>> = {}
  #hasTrailers = false
  /** The status of the reply after the handler sent its response. */
  #sentStatus = 0
  #closeStream: (() => void) | undefined
  /** What Cache-Status says, once the decision is published. */
  #cacheStatus: string | undefined

  constructor (exchange: Exchange, fill: Fill, restoreConditions: () => void) {
    this.#exchange = exchange
    this.#fill = fill
    this.#restoreConditions = restoreConditions
    this.#before = headersOf(exchange.reply)
  }

  /** The handler has returned. If it hijacked the reply, there is nothing to wait for. */
  returned (): void {
    if (this.#fill.answer === undefined && this.#exchange.reply.sent) this.#fill.drop('hit-for-miss')
  }

  threw (): void {
    this.#fill.refusal = 'failed'
    this.#restoreConditions()
    this.#fill.drop('hit-for-miss')
  }

  /** The response has ended, or the client has disconnected. */
  closed (): void {
    if (!this.#fill.finished) {
      // Sent without us: the handler has taken the response into its own hands.
      this.#fill.drop(this.#exchange.reply.sent ? 'hit-for-miss' : 'abandoned')
      this.#publish(false)
    }
    // One that no hook and no client has read to its end.
    this.#closeStream?.()
  }

  setsTrailer (): void {
    this.#hasTrailers = true
  }

  sends (payload: unknown): unknown {
    releaseReply(this.#exchange.reply)
    this.#restoreConditions()
    if (this.#fill.refusal !== undefined) return payload
    if (typeof payload === 'string' && isSerializedUnseen(this.#exchange.reply)) {
      this.#fill.refusal = 'serializer'
      return payload
    }
    const sent = typeof payload === 'string' ? this.#serializedText(payload) : payload
    const seen = payloadOf(sent)
    switch (seen.as) {
      case 'text':
      case 'bytes':
      case 'empty': return this.#sendWhole({ kind: seen.as, body: seen.body }, sent, payload)
      case 'node': return this.#sendStream(payload, (limit, ended) => captureNodeStream(seen.stream, limit, ended))
      case 'web': return this.#sendStream(payload, (limit, ended) => captureWebStream(seen.stream, limit, ended))
      case 'response': return this.#sendResponse(seen.response)
      case 'error': this.#fill.refusal = 'failed'
    }
    // Fastify serializes all other payloads and calls `onPayload` before.
    return payload
  }

  onPayload (payload: unknown): void {
    if (this.#fill.answer !== undefined || this.#fill.refusal !== undefined) return
    const { reply } = this.#exchange
    const serialized = serialize(reply, payload)
    // Copied, because a serializer may reuse its buffer.
    const body = Buffer.from(serialized as string)
    const kind = typeof serialized === 'string' ? 'text' : 'bytes'
    const out = this.#conditionedWhole({ kind, body, isSerialized: true }, serialized, payload)
    serializeOnce(reply, payload, (out ?? '') as string | Buffer)
  }

  onError (): void {
    this.#fill.refusal = 'failed'
    this.#takeBack()
  }

  onSend (payload: unknown): unknown {
    const { request, reply } = this.#exchange
    const fill = this.#fill
    if (fill.answer !== undefined) fill.refusal ??= this.#lateRefusal()
    if (fill.refusal === 'failed') this.#takeBack()
    const stored = fill.finish()
    const { answer } = fill
    if (fill.refusal === undefined) request[kExplanation]?.filled(answer!.vary)
    addCacheStatus(reply, this.#publish(stored))
    return answer === undefined ? payload : completed(reply, answer.headers['content-encoding'], payload)
  }

  /** Once: a hook that fails after ours leads here again. */
  #publish (stored: boolean): string {
    const { context: { forwarded, detail, key }, answer, refusal } = this.#fill
    this.#cacheStatus ??= publishDecision(this.#exchange, {
      outcome: 'miss', forwarded, detail: refusal ?? detail, stored, key, bytes: answer?.body?.length
    })
    return this.#cacheStatus
  }

  /** Why the response may not be stored, after all hooks have run. */
  #lateRefusal (): string | undefined {
    return lateRefusal(this.#exchange, this.#sentStatus, this.#added['cache-control']) ??
      (isWanted(this.#exchange, this.#fill.payload) ? undefined : 'when')
  }

  /** What Fastify sends for a string: if the reply has a content type, its own serializer gets strings, too. */
  #serializedText (text: string): unknown {
    const { reply } = this.#exchange
    const serializer = serializerOf(reply)
    return serializer !== undefined && reply.hasHeader('content-type') ? serializer(text) : text
  }

  #sendWhole (body: Body, sent: unknown, payload: unknown): unknown {
    const { reply } = this.#exchange
    const left = this.#conditionedWhole(body, sent, payload)
    // It has been serialized already.
    if (typeof left === 'string' && mayHaveSerializer(reply)) serializeOnce(reply, left, left)
    return left
  }

  /** A whole body: gives it validators, and returns what the request's conditions leave of it. */
  #conditionedWhole ({ kind, body, isSerialized }: Body, whole: unknown, payload: unknown): unknown {
    const { request, reply } = this.#exchange
    const text = kind === 'text' ? whole as string : undefined
    this.#fill.payload = payload
    this.#accept(sentOn(reply, this.#before, { kind, body, text, isSerialized }))
    const { type, status } = this.#fill.answer!
    let left = whole
    if (this.#fill.refusal === undefined && status === 200 && kind !== 'empty') {
      left = conditioned(request, reply, whole, body!)
      // Fastify would name the type of a part by what the part is.
      if (left !== whole && Buffer.isBuffer(left) && type !== undefined) reply.type(type)
    }
    this.#sentStatus = reply.statusCode
    return left
  }

  /** Sends a stream, and captures it if it may be stored. */
  #sendStream<T extends Readable | ReadableStream> (
    payload: unknown, capture: (limit: number, ended: (body: Buffer | undefined) => void) => Capturing<T>
  ): unknown {
    const { route, reply } = this.#exchange
    this.#accept(sentOn(reply, this.#before, { kind: 'bytes' }))
    this.#sentStatus = reply.statusCode
    if (this.#fill.refusal !== undefined) return payload
    return this.#unlessNotModified(capture(route.policy.maxBytes, (body) => { this.#fill.captured(body) }))
  }

  /** The stream to send. If the client already has the response, the stream is only read to be stored. */
  #unlessNotModified<T extends Readable | ReadableStream> (capturing: Capturing<T>): T | undefined {
    const { route: { runtime, policy }, request, reply } = this.#exchange
    const { status, headers } = this.#fill.answer!
    if (status !== 200 || !isNotModified(request.headers, headers.etag, headers['last-modified'])) {
      this.#closeStream = capturing.close
      return capturing.stream
    }
    this.#sentStatus = 304
    reply.code(304)
    void runtime.background.run(runtime.drains.read(this.#fill.context.key.key, policy.maxBytes, capturing))
    return undefined
  }

  #sendResponse (response: Response): Response | undefined {
    const { route, reply } = this.#exchange
    this.#sentStatus = reply.statusCode
    this.#accept(sentInResponse(reply, this.#before, response))
    if (this.#fill.refusal !== undefined || response.body === null || response.bodyUsed) return response
    const { status, statusText, headers } = response
    const captured = (body: Buffer | undefined): void => { this.#fill.captured(body) }
    const body = this.#unlessNotModified(captureWebStream(response.body, route.policy.maxBytes, captured))
    if (body !== undefined) return new Response(body, { status, statusText, headers })
    reply.headers(Object.fromEntries(headers))
    return undefined
  }

  /** Assesses the response, and adds default headers if it may be stored. */
  #accept (sent: Sent): void {
    const { route, reply } = this.#exchange
    const { answer, refusal } = assess(route, sent, this.#before)
    this.#fill.answer = answer
    this.#fill.refusal = this.#hasTrailers ? 'trailer' : refusal
    if (this.#fill.refusal !== undefined) return
    this.#added = defaultHeaders(route.policy, answer)
    reply.headers(this.#added)
    Object.assign(answer.own.set, this.#added)
  }

  /** Removes the added headers: another response is sent instead of the handler's. */
  #takeBack (): void {
    const { reply } = this.#exchange
    for (const [name, value] of Object.entries(this.#added)) {
      if (reply.getHeader(name) === value) reply.removeHeader(name)
    }
    if (this.#sentStatus === 206 || this.#sentStatus === 416) reply.removeHeader('content-range')
  }
}
