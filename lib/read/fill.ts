import type { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify'
import type { Core } from '../core.js'
import type { CacheStatus } from '../http/cache-status.js'
import { initialAge, lifetimeOf } from '../http/freshness.js'
import { listOf, textOf, type Headers } from '../http/headers.js'
import { refusalToStore } from '../http/storable.js'
import { etagOf, isNotModified } from '../http/validators.js'
import { UNAVAILABLE } from '../store/door.js'
import type { BodyKind, Entry } from '../store/entry.js'
import { CLOSED } from '../store/store.js'
import { newVersion } from '../write/invalidator.js'
import { answerOf, answerOfResponse, payloadOf, serialize, serializeText, type Answer } from './answer.js'
import { captureNodeStream, captureWebStream, drain, type Captured } from './capture.js'
import { completed, tell, type Exchange } from './exchange.js'
import { kExplanation } from './explain.js'
import type { Flight, Outcome } from './flights.js'
import { refused, tagList, type Identity } from './identity.js'
import { conditioned } from './precondition.js'
import type { Reader } from './reader.js'

/** A fill is never conditional: these do not reach the handler of a cached route. */
const CONDITIONS = ['if-none-match', 'if-modified-since', 'range', 'if-range']
/** An answer that varies on more request headers than this is not worth storing. */
const MAX_VARY = 16

/** Under what a fill begins. */
export interface Beginning {
  readonly identity: Identity
  /** Current before the handler runs, in the order of the identity's. */
  readonly versions: readonly string[]
  /** Those of all groups of tags, where the tags are known from the payload only. */
  readonly tagGroups?: readonly string[]
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
  readonly #core: Core
  readonly #reader: Reader
  readonly #request: FastifyRequest
  readonly #reply: FastifyReply
  readonly #beginning: Beginning
  readonly #before: Headers
  readonly #hidden: Array<[string, string | string[]]> = []
  #payload: unknown
  #answer: Answer | undefined
  /** Why the answer is not stored, as far as it is known. */
  #refusal: string | undefined
  #trailers = false
  /** The status that the handler's answer left with. */
  #sentStatus = 0
  /** The Cache-Control that this fill put on the reply. */
  #ownCacheControl: string | undefined
  #streamed: { readonly body: Captured } | undefined
  #finished = false
  #landed = false

  constructor (core: Core, reader: Reader, request: FastifyRequest, reply: FastifyReply, beginning: Beginning) {
    this.#core = core
    this.#reader = reader
    this.#request = request
    this.#reply = reply
    this.#beginning = beginning
    this.#before = reply.getHeaders() as Headers
  }

  /** Runs the handler; returns what it returned. */
  run (server: ThisParameterType<RouteHandlerMethod>, handler: RouteHandlerMethod): unknown {
    this.#hideConditions()
    this.#intercept()
    this.#reply.raw.once('close', () => {
      // Sent without us: the handler has taken the response into its own hands.
      if (!this.#finished) this.#land(this.#reply.sent ? 'unshared' : 'abandoned')
    })
    let result: unknown
    try {
      result = handler.call(server, this.#request, this.#reply)
    } catch (error) {
      this.#failed()
      throw error
    }
    // A reply is thenable, too: it stands for what was or will be sent.
    if (result === this.#reply || !isThenable(result)) {
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

  sawPayload (payload: unknown): void {
    if (this.#answer !== undefined || this.#refusal !== undefined) return
    this.#payload = payload
    const serialized = serialize(this.#reply, payload)
    const out = typeof serialized === 'string'
      ? this.#answered('text', Buffer.from(serialized), serialized)
      : this.#answered('bytes', serialized, serialized)
    this.#reply.serializer(() => (out ?? '') as string)
  }

  finish (payload: unknown): unknown {
    const answer = this.#answer
    this.#finished = true
    this.#refusal ??= answer === undefined ? 'failed' : this.#lateRefusal()
    if (this.#refusal === undefined) this.#request[kExplanation]?.filled(this.#variesOn(answer!))
    const stored = this.#refusal === undefined && answer?.body !== undefined
    tell(this.#reply, { ...this.#beginning.status, stored, detail: this.#refusal ?? this.#beginning.status.detail })
    if (stored) this.#store(answer!, answer!.body!)
    else if (this.#refusal === undefined && this.#streamed !== undefined) this.#streamEnded()
    // Nobody waits for a stream: it may never end, or only as fast as its own client reads.
    else this.#land('unshared')
    return answer === undefined ? payload : completed(this.#reply, answer.headers['content-encoding'], payload)
  }

  #hideConditions (): void {
    const { headers } = this.#request.raw
    for (const name of CONDITIONS) {
      const value = headers[name]
      if (value === undefined) continue
      this.#hidden.push([name, value])
      delete headers[name]
    }
  }

  #restoreConditions (): void {
    for (const [name, value] of this.#hidden) this.#request.raw.headers[name] = value
  }

  /** Until the handler sends, the reply's `send` is ours: no hook comes before all other hooks. */
  #intercept (): void {
    const reply = this.#reply
    const { send, trailer } = reply
    reply.trailer = (name, write) => {
      this.#trailers = true
      return trailer.call(reply, name, write)
    }
    reply.send = (payload?: unknown) => {
      reply.send = send
      reply.trailer = trailer
      this.#restoreConditions()
      return send.call(reply, this.#refusal === undefined ? this.#sent(payload) : payload)
    }
  }

  /** Sees what the handler sends; returns what goes on to the hooks. */
  #sent (payload: unknown): unknown {
    const sent = typeof payload === 'string' ? serializeText(this.#reply, payload) : payload
    const seen = payloadOf(sent)
    switch (seen.as) {
      case 'text':
      case 'bytes':
      case 'empty':
        this.#payload = payload
        return this.#answered(seen.as, seen.body, sent)
      case 'node':
        return this.#streams() ? this.#unlessHeld(captureNodeStream(seen.stream, this.#reader.policy.maxBytes, this.#captured)) : payload
      case 'web':
        return this.#streams() ? this.#unlessHeld(captureWebStream(seen.stream, this.#reader.policy.maxBytes, this.#captured)) : payload
      case 'response':
        return this.#responds(seen.response)
      case 'error':
        this.#refusal = 'failed'
    }
    return payload
  }

  /** A whole body: gives it validators, and returns what the request's conditions leave of it. */
  #answered (kind: BodyKind, body: Buffer, whole: unknown): unknown {
    const reply = this.#reply
    const answer = answerOf(reply, this.#before, kind, body, kind === 'text' ? whole as string : undefined)
    this.#accept(answer)
    if (this.#refusal === undefined && answer.status === 200 && kind !== 'empty') {
      if (!reply.hasHeader('etag')) {
        const etag = etagOf(body)
        reply.header('etag', etag)
        answer.own.push(['etag', etag])
      }
      const left = conditioned(this.#request, reply, whole, body)
      if (left !== whole && Buffer.isBuffer(left) && !reply.hasHeader('content-type')) {
        reply.type(kind === 'text' ? 'text/plain; charset=utf-8' : 'application/octet-stream')
      }
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
  #unlessHeld<T extends Readable | ReadableStream> (stream: T): T | undefined {
    const { status, headers } = this.#answer!
    if (status !== 200 || !isNotModified(this.#request.headers, headers.etag, headers['last-modified'])) return stream
    this.#sentStatus = 304
    this.#reply.code(304)
    this.#core.inBackground(drain(stream, this.#reader.policy.maxBytes))
    return undefined
  }

  #responds (response: Response): Response | undefined {
    this.#sentStatus = this.#reply.statusCode
    this.#accept(answerOfResponse(this.#reply, this.#before, response))
    if (this.#refusal !== undefined || response.body === null || response.bodyUsed) return response
    const body = this.#unlessHeld(captureWebStream(response.body, this.#reader.policy.maxBytes, this.#captured))
    if (body === undefined) {
      this.#reply.headers(Object.fromEntries(response.headers))
      return undefined
    }
    return new Response(body, { status: response.status, statusText: response.statusText, headers: response.headers })
  }

  /** Takes the answer, and tells clients how to use it unless it is refused at once. */
  #accept (answer: Answer): void {
    this.#answer = answer
    this.#refusal = this.#earlyRefusal(answer)
    if (this.#refusal !== undefined) return
    if (answer.headers['cache-control'] === undefined && answer.headers.expires === undefined) {
      this.#ownCacheControl = this.#reader.policy.clientCacheControl
      this.#reply.header('cache-control', this.#ownCacheControl)
      answer.own.push(['cache-control', this.#ownCacheControl])
    }
    if (answer.headers.date === undefined) {
      const date = new Date().toUTCString()
      this.#reply.header('date', date)
      answer.own.push(['date', date])
    }
  }

  #earlyRefusal (answer: Answer): string | undefined {
    const { policy } = this.#reader
    const { headers, body } = answer
    if (!policy.statuses.has(answer.status)) return 'status'
    if (this.#trailers) return 'trailer'
    if ((body?.length ?? Number(headers['content-length'] ?? 0)) > policy.maxBytes) return 'too-large'
    if (this.#variesOn(answer).length > MAX_VARY) return 'vary'
    const now = Date.now()
    return refusalToStore(headers) ??
      (lifetimeOf(headers, policy.expire, now) <= initialAge(headers, now) ? 'expired' : undefined)
  }

  /** What only shows when all hooks have run. */
  #lateRefusal (): string | undefined {
    const reply = this.#reply
    if (reply.statusCode !== this.#sentStatus && reply.statusCode >= 400) return 'failed'
    const late: Record<string, Headers[string]> = { 'set-cookie': reply.getHeader('set-cookie') }
    const cacheControl = reply.getHeader('cache-control')
    if (cacheControl !== this.#ownCacheControl) late['cache-control'] = cacheControl
    const refusal = refusalToStore(late)
    if (refusal !== undefined) return refusal
    const { when } = this.#reader.policy
    if (when === undefined) return undefined
    try {
      const wanted: unknown = when(this.#request, reply, this.#payload)
      if (typeof wanted !== 'boolean') throw refused('when', 'true or false', wanted)
      return wanted ? undefined : 'when'
    } catch (error) {
      this.#core.complain(this.#request.log, this.#reader.route, error)
      return 'when'
    }
  }

  /** The request headers that choose between answers: the handler's Vary, and not one that only hooks set for themselves. */
  #variesOn (answer: Answer): string[] {
    if (answer.headers.vary === undefined) return []
    const { vary } = answer.headers
    if (textOf(vary) === textOf(this.#before.vary)) return []
    const known = new Set(this.#reader.policy.vary)
    return [...new Set(listOf(vary))].filter((name) => !known.has(name)).sort()
  }

  readonly #captured = (body: Captured): void => {
    this.#streamed = { body }
    if (this.#finished) this.#streamEnded()
  }

  #streamEnded (): void {
    const answer = this.#answer!
    const body = this.#streamed?.body
    if (this.#refusal !== undefined || body === undefined) return this.#land('unshared')
    if (answer.status === 200 && answer.headers.etag === undefined) answer.own.push(['etag', etagOf(body)])
    this.#store(answer, body)
  }

  /** Off the response's path: nobody waits for the store, later callers find the flight meanwhile. */
  #store (answer: Answer, body: Buffer): void {
    const declared = answer.headers['content-length']
    if (declared !== undefined && Number(declared) !== body.length) return this.#land('unshared')
    const { payloadTags } = this.#reader.policy
    let tags: string[]
    try {
      tags = payloadTags === undefined ? [] : tagList(payloadTags(this.#request, this.#payload))
    } catch (error) {
      this.#core.complain(this.#request.log, this.#reader.route, error)
      return this.#land('unshared')
    }
    const entry = this.#entry(answer, body)
    if (tags.length === 0) return this.#write(entry)
    this.#core.inBackground(this.#withTags(entry, tags).then((tagged) => {
      if (tagged === undefined) this.#land('overtaken')
      else this.#write(tagged)
    }))
  }

  #entry (answer: Answer, body: Buffer): Entry {
    const { identity, versions } = this.#beginning
    const { policy, route } = this.#reader
    const now = Date.now()
    const age = initialAge(answer.headers, now)
    const type = textOf(this.#reply.getHeader('content-type') ?? answer.headers['content-type'])
    const headers = type === undefined
      ? answer.own
      : [...answer.own.filter(([name]) => name !== 'content-type'), ['content-type', type] as const]
    return {
      route,
      versions: Object.fromEntries(identity.versions.map((version, index) => [version, versions[index]!])),
      status: answer.status,
      headers,
      kind: answer.kind,
      body,
      text: answer.text,
      filledAt: now,
      age,
      lifetime: lifetimeOf(answer.headers, policy.expire, now) - age
    }
  }

  /**
   * The entry under the versions of its payload's tags, too. They were not known when the handler
   * began to read, so none of their groups may have moved since.
   */
  async #withTags (entry: Entry, tags: string[]): Promise<Entry | undefined> {
    const { keyspace, door, invalidator } = this.#core
    const keys = tags.map((tag) => keyspace.tag(tag))
    const groups = [...new Set(tags.map((tag) => keyspace.tagGroup(tag)))]
    const current = await door.pass('claim', (store) => store.claim(keys, newVersion()))
    if (current === UNAVAILABLE || current.includes(CLOSED)) return undefined
    // After the tags: a group moves before its tags do.
    const moved = await door.pass('claim', (store) => store.claim(groups, newVersion()))
    if (moved === UNAVAILABLE || moved.includes(CLOSED) || invalidator.blocks([...keys, ...groups])) return undefined
    const unmoved = groups.every((group, index) => moved[index] === this.#beginning.tagGroups?.[keyspace.tagGroups.indexOf(group)])
    if (!unmoved) return undefined
    return { ...entry, versions: { ...entry.versions, ...Object.fromEntries(keys.map((key, index) => [key, current[index]!])) } }
  }

  #write (entry: Entry): void {
    const { door, flights, counters } = this.#core
    const { flight, identity: asked } = this.#beginning
    const variesOn = this.#variesOn(this.#answer!)
    const identity = this.#reader.variantOf(asked, variesOn, this.#request)
    const seconds = entry.lifetime
    const written = [door.pass('set', (store) => store.set(identity.key, entry, seconds))]
    if (identity.base !== undefined) {
      const marker: Entry = { ...entry, headers: [], kind: 'empty', body: Buffer.alloc(0), variesOn }
      written.push(door.pass('set', (store) => store.set(identity.base!.key, marker, seconds)))
    }
    counters.stored++
    this.#land({ entry, key: identity.key })
    // One more turn, for those whose look was answered together with this.
    this.#core.inBackground(Promise.all(written)).then(() => setImmediate(() => { flights.end(asked.key, flight) }))
  }

  /** The handler is done; where it took the response into its own hands there is nothing to wait for. */
  #returned (): void {
    if (this.#answer === undefined && this.#reply.sent) this.#land('unshared')
  }

  #failed (): void {
    this.#refusal = 'failed'
    this.#restoreConditions()
    this.#land('unshared')
  }

  #land (outcome: Outcome): void {
    if (this.#landed) return
    this.#landed = true
    this.#core.flights.land(this.#beginning.identity.key, this.#beginning.flight, outcome)
  }
}

function isThenable (value: unknown): value is Promise<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as Promise<unknown>).then === 'function'
}
