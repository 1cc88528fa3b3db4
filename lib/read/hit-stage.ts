import type { FastifyReply } from 'fastify'
import { SHORT_TEXT } from '../entry/entry.js'
import { isResponse } from '../fastify/payload.js'
import { headerOn, setHeaderOn } from '../fastify/private-state.js'
import { textOf } from '../http/headers.js'
import { withoutStream } from './conditions.js'
import { announceCoding, applyCoding, withdrawCoding } from './encoding/apply.js'
import { isToBeDecoded, type Chosen } from './encoding/choose.js'
import type { Exchange, Hit } from './exchange.js'
import { discard } from './fill/capture.js'
import { Outgoing } from './outgoing.js'
import { addDefaults, announce, unwrapped, type ResponseStage } from './response-stage.js'
import { forClients, isSettlingEntry } from './settling.js'
import { isWhole } from './whole.js'

const DEFAULT_TYPES = new Set<unknown>(['text/plain; charset=utf-8', 'application/octet-stream'])

/** Removes the Content-Type that Fastify adds to strings and bytes: the handler sent something else, without one. */
export function removeDefaultType (reply: FastifyReply): void {
  if (DEFAULT_TYPES.has(headerOn(reply, 'content-type'))) reply.removeHeader('content-type')
}

/** What a HIT gives to the hooks behind the handler. */
interface Presented {
  readonly payload: unknown
  /** What Cache-Status says. */
  readonly cacheStatus: string
  readonly chosen: Chosen | undefined
}

/** A stored response while hooks run. */
export class HitStage implements ResponseStage {
  readonly #exchange: Exchange
  readonly #hit: Hit
  /** What hooks get; the body of a `Response`. */
  readonly #sent: unknown
  readonly #cacheStatus: string
  readonly #isTyped: boolean
  /** The status that hooks find on the reply. */
  readonly #replyStatus: number
  readonly #outgoing: Outgoing
  /** Undefined if the response is the same for all clients, whatever codings they accept. */
  readonly #chosen: Chosen | undefined
  #hasFailed = false

  constructor (exchange: Exchange, hit: Hit, { payload, cacheStatus, chosen }: Presented) {
    const { request, reply } = exchange
    const { body, defaultHeaders } = hit.entry
    this.#exchange = exchange
    this.#hit = hit
    this.#sent = isResponse(payload) ? payload.body : payload
    this.#cacheStatus = cacheStatus
    this.#replyStatus = reply.statusCode
    this.#isTyped = headerOn(reply, 'content-type') !== undefined
    this.#chosen = chosen
    if (chosen !== undefined) announceCoding(reply, chosen)
    this.#outgoing = new Outgoing(request, reply, { payload: this.#sent, body, etag: textOf(defaultHeaders?.etag) })
  }

  onError (): void {
    this.#hasFailed = true
    if (this.#chosen !== undefined) withdrawCoding(this.#exchange.reply)
  }

  watch (payload: unknown): void {
    this.#outgoing.watch(payload)
  }

  onSend (given: unknown): unknown {
    const { reply } = this.#exchange
    if (!this.#isTyped) removeDefaultType(reply)
    const payload = withoutStream(reply, given)
    if (payload !== given) discard(given)
    return this.#failed() ? payload : this.#leave(unwrapped(reply, payload))
  }

  /** Whether something other than the stored response is sent. */
  #failed (): boolean {
    const { route: { runtime }, reply } = this.#exchange
    const status = reply.statusCode
    if (!this.#hasFailed && (status === this.#replyStatus || status < 400)) return false
    if (this.#chosen !== undefined) withdrawCoding(reply)
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
    const left = this.#outgoing.complete(isOwnStream ? body : payload, true, isToBeDecoded(this.#chosen))
    if (left !== payload) discard(payload)
    const bytes = typeof left === 'string' && left === this.#sent && left.length > SHORT_TEXT ? body : left
    if (this.#chosen === undefined) return bytes
    const chosen = this.#outgoing.isUnchanged ? this.#chosen : { ...this.#chosen, bytes: undefined }
    return applyCoding(this.#exchange, chosen, bytes)
  }
}
