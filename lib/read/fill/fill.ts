import type { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify'
import type { Core } from '../../runtime.js'
import type { CacheStatus } from '../../http/cache-status.js'
import { serialize, serializeOnce, serializerOf } from '../../fastify/serializer.js'
import { httpDateOf } from '../../http/date.js'
import type { Headers } from '../../http/headers.js'
import { etagOf, isNotModified } from '../../http/validators.js'
import type { BodyKind } from '../../entry/entry.js'
import { answerOf, answerOfResponse, payloadOf, type Answer } from './answer.js'
import { captureNodeStream, captureWebStream, type Captured, type Capturing } from './capture.js'
import { completed, kExchange, tell, type Exchange } from '../response-stage.js'
import { kExplanation } from '../../observe/explain.js'
import type { Flight, Outcome } from '../coalesce/fills-in-flight.js'
import { refused, type Identity } from '../../key/cache-key.js'
import { keep } from './store-answer.js'
import { conditioned, hideConditions, restoreConditions, type Conditions } from '../conditions.js'
import type { Reader } from '../lookup.js'
import { nominated, earlyRefusal, lateRefusal } from './storability.js'
import { headersOf } from '../../fastify/reply-headers.js'

/** Under what a fill begins. */
export interface Beginning {
  readonly identity: Identity
  /** Current before the handler runs, in the order of the identity's. */
  readonly versions: readonly string[]
  /** Those of all groups of tags, where the tags are known from the payload only. */
  readonly tagGroups: readonly string[] | undefined
  readonly flight: Flight | undefined
  /** Why the handler runs. */
  readonly status: CacheStatus
}

/**
 * One run of a handler whose answer is to be stored. What the handler sends is caught where it
 * leaves the handler, before hooks change it, as on a HIT they will run again; whether it may be
 * stored is decided after all hooks, when nothing can add a Set-Cookie any more.
 */
export class Fill implements Exchange {
  readonly core: Core
  readonly reader: Reader
  readonly request: FastifyRequest
  readonly beginning: Beginning
  readonly #reply: FastifyReply
  readonly #before: Headers
  /** The reply's own methods, while it has ours. */
  readonly #send: FastifyReply['send']
  readonly #trailer: FastifyReply['trailer']
  #hidden: Conditions | undefined
  #payload: unknown
  #answer: Answer | undefined
  /** Why the answer is not stored, as far as it is known. */
  #refusal: string | undefined
  #trailers = false
  #variesOn: readonly string[] = []
  /** The status that the handler's answer left with. */
  #sentStatus = 0
  /** Headers about the handler's answer that this fill put on the reply. */
  readonly #added: Record<string, string> = {}
  /** Closes the stream that is captured. */
  #closeStream: (() => void) | undefined
  #streamed: { readonly body: Captured } | undefined
  #finished = false
  #landed = false

  constructor (core: Core, reader: Reader, request: FastifyRequest, reply: FastifyReply, beginning: Beginning) {
    this.core = core
    this.reader = reader
    this.request = request
    this.beginning = beginning
    this.#reply = reply
    this.#before = headersOf(reply)
    this.#send = reply.send
    this.#trailer = reply.trailer
  }

  /** What the handler sent, before serialization. */
  get payload (): unknown {
    return this.#payload
  }

  /** The request headers that choose between answers like this one. */
  get variesOn (): readonly string[] {
    return this.#variesOn
  }

  /** Runs the handler; returns what it returned. */
  run (server: ThisParameterType<RouteHandlerMethod>, handler: RouteHandlerMethod): unknown {
    const reply = this.#reply
    // A fill is never conditional: conditions do not reach the handler of a cached route.
    this.#hidden = hideConditions(this.request.raw)
    reply[kExchange] = this
    // Until the handler sends, the reply's `send` is ours: no hook comes before all other hooks.
    reply.send = sendOfFill
    reply.trailer = trailerOfFill
    reply.raw.on('close', () => {
      // Sent without us: the handler has taken the response into its own hands.
      if (!this.#finished) this.land(reply.sent ? 'unshared' : 'abandoned')
      // One that no hook and no client has read to its end.
      this.#closeStream?.()
    })
    let result: unknown
    try {
      result = handler.call(server, this.request, reply)
    } catch (error) {
      this.#failed()
      throw error
    }
    // A reply is thenable, too: it stands for what was or will be sent.
    if (result === reply || !isThenable(result)) {
      this.#returned()
      return result
    }
    return result.then((payload) => {
      this.#returned()
      return payload
    }, (error: unknown) => {
      this.#failed()
      throw error
    })
  }

  /** The handler sends; returns what goes on to the hooks. */
  sends (payload: unknown): unknown {
    this.#reply.send = this.#send
    this.#reply.trailer = this.#trailer
    restoreConditions(this.request.raw, this.#hidden)
    return this.#refusal === undefined ? this.#sent(payload) : payload
  }

  /** The handler asks for a trailer, which no entry can hold. */
  setsTrailer (...trailer: Parameters<FastifyReply['trailer']>): FastifyReply {
    this.#trailers = true
    return this.#trailer.apply(this.#reply, trailer)
  }

  sawPayload (payload: unknown): void {
    if (this.#answer !== undefined || this.#refusal !== undefined) return
    this.#payload = payload
    const serialized = serialize(this.#reply, payload)
    const out = typeof serialized === 'string'
      ? this.#answered('text', Buffer.from(serialized), serialized)
      // Copied: a serializer may write its next answer to the same bytes.
      : this.#answered('bytes', Buffer.from(serialized), serialized)
    serializeOnce(this.#reply, payload, (out ?? '') as string | Buffer)
  }

  /** Something behind the handler failed: the response is the error's, about which nothing was promised. */
  failed (): void {
    this.#refusal = 'failed'
    this.#takeBack()
  }

  finish (payload: unknown): unknown {
    const answer = this.#answer
    this.#finished = true
    this.#refusal ??= answer === undefined ? 'failed' : lateRefusal(this.#reply, this.#sentStatus, this.#added['cache-control']) ?? this.#unwanted()
    if (this.#refusal === 'failed') this.#takeBack()
    const { fwd, detail } = this.beginning.status
    const stored = this.#refusal === undefined && answer?.body !== undefined
    if (this.#refusal === undefined) this.request[kExplanation]?.filled(this.variesOn)
    tell(this.#reply, { fwd, stored, detail: this.#refusal ?? detail })
    if (stored) keep(this, answer, answer.body!)
    else if (this.#refusal === undefined && this.#streamed !== undefined) this.#streamEnded()
    // Nobody waits for a stream: it may never end, or only as fast as its own client reads.
    else this.land('unshared')
    return answer === undefined ? payload : completed(this.#reply, answer.headers['content-encoding'], payload)
  }

  /** Tells those who wait for this fill what came of it. */
  land (outcome: Outcome): void {
    if (this.#landed) return
    this.#landed = true
    this.core.flights.land(this.beginning.identity.key, this.beginning.flight, outcome)
  }

  /** Sees what the handler sends; returns what goes on to the hooks. */
  #sent (payload: unknown): unknown {
    const sent = typeof payload === 'string' ? this.#serializedText(payload) : payload
    const seen = payloadOf(sent)
    switch (seen.as) {
      case 'text':
      case 'bytes':
      case 'empty': {
        this.#payload = payload
        const left = this.#answered(seen.as, seen.body, sent)
        // It has been serialized already.
        if (typeof left === 'string' && serializerOf(this.#reply) !== undefined) serializeOnce(this.#reply, left, left)
        return left
      }
      case 'node':
        return this.#streams() ? this.#unlessHeld(captureNodeStream(seen.stream, this.reader.policy.maxBytes, this.#captured)) : payload
      case 'web':
        return this.#streams() ? this.#unlessHeld(captureWebStream(seen.stream, this.reader.policy.maxBytes, this.#captured)) : payload
      case 'response':
        return this.#responds(seen.response)
      case 'error':
        this.#refusal = 'failed'
    }
    return payload
  }

  /** What Fastify makes of a text: once the reply has a content type, its own serializer gets texts, too. */
  #serializedText (text: string): unknown {
    const serializer = serializerOf(this.#reply)
    return serializer !== undefined && this.#reply.hasHeader('content-type') ? serializer(text) : text
  }

  /** A whole body: gives it validators, and returns what the request's conditions leave of it. */
  #answered (kind: BodyKind, body: Buffer, whole: unknown): unknown {
    const reply = this.#reply
    const answer = answerOf(reply, this.#before, kind, body, kind === 'text' ? whole as string : undefined)
    this.#accept(answer)
    if (this.#refusal === undefined && answer.status === 200 && kind !== 'empty') {
      if (!reply.hasHeader('etag')) {
        this.#add(answer, 'etag', etagOf(body))
      }
      const left = conditioned(this.request, reply, whole, body)
      // Fastify would name the type of a part by what the part is.
      if (left !== whole && Buffer.isBuffer(left)) reply.type(answer.type!)
      whole = left
    }
    this.#sentStatus = reply.statusCode
    return whole
  }

  /** A stream begins; whether it is worth capturing. */
  #streams (): boolean {
    this.#accept(answerOf(this.#reply, this.#before, 'bytes'))
    this.#sentStatus = this.#reply.statusCode
    return this.#refusal === undefined
  }

  /** The stream, unless the client holds what it brings: then it is only read to be stored. */
  #unlessHeld<T extends Readable | ReadableStream> (capturing: Capturing<T>): T | undefined {
    const { status, headers } = this.#answer!
    if (status !== 200 || !isNotModified(this.request.headers, headers.etag, headers['last-modified'])) {
      this.#closeStream = capturing.close
      return capturing.stream
    }
    this.#sentStatus = 304
    this.#reply.code(304)
    this.core.inBackground(this.core.drains.read(this.beginning.identity.key, this.reader.policy.maxBytes, capturing))
    return undefined
  }

  #responds (response: Response): Response | undefined {
    this.#sentStatus = this.#reply.statusCode
    this.#accept(answerOfResponse(this.#reply, this.#before, response))
    if (this.#refusal !== undefined || response.body === null || response.bodyUsed) return response
    const body = this.#unlessHeld(captureWebStream(response.body, this.reader.policy.maxBytes, this.#captured))
    if (body === undefined) {
      this.#reply.headers(Object.fromEntries(response.headers))
      return undefined
    }
    return new Response(body, { status: response.status, statusText: response.statusText, headers: response.headers })
  }

  /** Takes the answer, and tells clients how to use it unless it is refused at once. */
  #accept (answer: Answer): void {
    this.#answer = answer
    const { policy } = this.reader
    this.#variesOn = nominated(policy, answer.headers, this.#before)
    this.#refusal = this.#trailers ? 'trailer' : earlyRefusal(policy, answer, this.#variesOn)
    if (this.#refusal !== undefined) return
    if (answer.headers['cache-control'] === undefined && answer.headers.expires === undefined) {
      this.#add(answer, 'cache-control', policy.clientCacheControl)
    }
    if (answer.headers.date === undefined) this.#add(answer, 'date', httpDateOf(Date.now()))
  }

  /** Says of the answer what the handler has not said itself. */
  #add (answer: Answer, name: string, value: string): void {
    this.#added[name] = value
    this.#reply.header(name, value)
    answer.own.set[name] = value
  }

  /** What was said of the handler's answer is not true of the one that leaves instead. */
  #takeBack (): void {
    for (const [name, value] of Object.entries(this.#added)) {
      if (this.#reply.getHeader(name) === value) this.#reply.removeHeader(name)
    }
    if (this.#sentStatus === 206 || this.#sentStatus === 416) this.#reply.removeHeader('content-range')
  }

  /** Why the policy does not want this one, now that all hooks have run. */
  #unwanted (): string | undefined {
    const { when } = this.reader.policy
    if (when === undefined) return undefined
    try {
      const wanted: unknown = when(this.request, this.#reply, this.#payload)
      if (typeof wanted !== 'boolean') throw refused('when', 'true or false', wanted)
      return wanted ? undefined : 'when'
    } catch (error) {
      this.core.complain(this.request.log, this.reader.route, error)
      return 'when'
    }
  }

  readonly #captured = (body: Captured): void => {
    this.#streamed = { body }
    if (this.#finished) this.#streamEnded()
  }

  #streamEnded (): void {
    const answer = this.#answer!
    const body = this.#streamed?.body
    if (this.#refusal !== undefined || body === undefined) return this.land('unshared')
    if (answer.status === 200 && answer.headers.etag === undefined) answer.own.set.etag = etagOf(body)
    keep(this, answer, body)
  }

  /** The handler is done; where it took the response into its own hands there is nothing to wait for. */
  #returned (): void {
    if (this.#answer === undefined && this.#reply.sent) this.land('unshared')
  }

  #failed (): void {
    this.#refusal = 'failed'
    restoreConditions(this.request.raw, this.#hidden)
    this.land('unshared')
  }
}

// One function for all replies: with a closure on each, V8 kept every fill until its next full collection.
function sendOfFill (this: FastifyReply, payload?: unknown): FastifyReply {
  const left = (this[kExchange] as Fill).sends(payload)
  // Only now the reply's own again.
  return this.send(left)
}

function trailerOfFill (this: FastifyReply, ...trailer: Parameters<FastifyReply['trailer']>): FastifyReply {
  return (this[kExchange] as Fill).setsTrailer(...trailer)
}

function isThenable (value: unknown): value is Promise<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as Promise<unknown>).then === 'function'
}
