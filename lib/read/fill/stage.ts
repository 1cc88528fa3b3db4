import type { Readable } from 'node:stream'
import { releaseReply, releaseSend, type HeaderInterceptor } from '../../fastify/intercept-reply.js'
import { isResponse } from '../../fastify/payload.js'
import { headerOn, headersOf } from '../../fastify/private-state.js'
import { httpDateOf } from '../../http/date.js'
import { areSendable, type HeaderValue } from '../../http/headers.js'
import { cookiesIn } from '../../http/storable.js'
import { publishDecision } from '../../observe/decide.js'
import { kExplanation } from '../../observe/explain.js'
import { withoutStream } from '../conditions.js'
import { applyCoding } from '../encoding/apply.js'
import { choose, codingNamed, isToBeDecoded, type Chosen } from '../encoding/choose.js'
import type { Exchange } from '../exchange.js'
import { addDefaults, announce, unwrapped, type ResponseStage } from '../response-stage.js'
import { nominatedBy } from './answer.js'
import { Answer } from './returned.js'
import { detailOfFill, forClients, isSettlingFill } from '../settling.js'
import { discard } from './capture.js'
import { Failing } from './failing.js'
import type { Fill } from './life.js'
import { Sending, type Handed } from './sending.js'
import { assess, judge, least, STATUS, type Freshness } from './storability.js'
import type { Finished } from './to-entry.js'

/** A response that fills the cache, from the moment the handler sends it until all hooks have run. */
export class FillStage implements ResponseStage, HeaderInterceptor {
  readonly #exchange: Exchange
  readonly #fill: Fill
  readonly #sending: Sending
  /** Gives the request its conditions back; undefined if the handler got them. */
  readonly #restoreConditions: (() => void) | undefined
  #isRead = false
  #failing: Failing | undefined
  /** What the handler returned, if that is its answer. */
  #answer: Answer | undefined
  /** Whether the client left before all hooks had run. */
  #isLeft = false
  /** What Cache-Status says, once the decision is published. */
  #cacheStatus: string | undefined

  constructor (exchange: Exchange, fill: Fill, restoreConditions: (() => void) | undefined) {
    this.#exchange = exchange
    this.#fill = fill
    this.#restoreConditions = restoreConditions
    this.#sending = new Sending(exchange, fill)
  }

  /** The handler has returned. If it hijacked the reply, there is nothing to wait for. */
  returned (result: unknown): void {
    const { reply, goesOn } = this.#exchange
    if (this.#sending.handed !== undefined) return
    if (reply.sent) this.#fill.drop('hit-for-miss')
    else if (result !== undefined && result !== reply) this.#answer = new Answer(result, goesOn === true)
  }

  /** The handler threw this, or sent it. */
  threw (error: unknown): void {
    this.#restoreConditions?.()
    this.#failing = new Failing(this.#exchange, error)
    if (!this.#isLeft) return this.#fill.threw(this.#sending.thrown(error), this.#failing.isStorable)
    // It may have failed because its client left.
    this.#fill.refuse('failed')
    this.#fill.drop('abandoned')
  }

  /** The response has ended, or the client has disconnected. */
  closed (): void {
    if (!this.#fill.isFinished) {
      this.#isLeft = true
      // Sent without us: the handler has taken the response into its own hands.
      if (this.#exchange.reply.sent) this.#fill.drop('hit-for-miss')
      // If others wait, the handler goes on for them.
      else if (!this.#fill.isAwaited) this.#fill.drop('abandoned')
      this.#publish(false)
    }
    // One that no hook and no client has read to its end.
    if (!this.#isRead) this.#sending.close?.()
  }

  setsHeader (name: string): void {
    this.#sending.headers.set.add(name)
  }

  removesHeader (name: string): void {
    this.#sending.headers.removed.add(name)
  }

  setsTrailer (): void {
    this.#fill.refuse('trailer')
  }

  sends (payload: unknown): unknown {
    this.#restoreConditions?.()
    if (this.#failing === undefined && payload instanceof Error) this.threw(payload)
    if (this.#exchange.request.is404) this.#failing ??= new Failing(this.#exchange, undefined)
    if (this.#failing?.sends(payload) === false) this.#fill.refuse('failed')
    if (this.#failing !== undefined) return payload
    releaseSend(this.#exchange.reply)
    // Whoever made something else of it would make that of the stored answer once more.
    if (this.#answer?.is(payload) === false) this.#fill.refuse('changed')
    return this.#sending.send(payload)
  }

  onFailureResponse (serialized: unknown): void {
    // The second one is that to a hook that failed after the first.
    const isFirst = this.#sending.handed === undefined
    if (!isFirst || this.#failing?.isTold(this.#exchange.reply.statusCode) !== true) this.#fill.refuse('failed')
    else if (this.#fill.refusal === undefined) this.#sending.sendForFailure(serialized, this.#failing?.payload)
  }

  onPayload (payload: unknown): void {
    if (this.#sending.handed !== undefined || this.#failing !== undefined || this.#fill.refusal === 'failed') return
    try {
      this.#sending.serialize(payload)
    } catch (error) {
      this.#fill.threw(this.#sending.thrown(error))
      throw error
    }
  }

  onError (): void {
    if (this.#failing?.isNoted !== true) this.#fill.refuse('failed')
  }

  watch (payload: unknown): void {
    this.#sending.handed?.outgoing.watch(payload)
  }

  onSend (given: unknown): unknown {
    const { reply } = this.#exchange
    const { handed } = this.#sending
    releaseReply(reply)
    const succeeded = handed !== undefined && !this.#hasFailed(handed)
    const payload = withoutStream(reply, given)
    if (!succeeded) this.#fail()
    const left = succeeded ? this.#leave(handed, unwrapped(reply, payload)) : payload
    if (left === null) this.#abandon(given)
    return left
  }

  #fail (): void {
    this.#fill.refuse('failed')
    this.#fill.finish(undefined)
    announce(this.#exchange, 'MISS', this.#publish(false))
  }

  /** Whether something is sent that is neither the handler's response nor one to its failure that may be stored. */
  #hasFailed ({ replyStatus }: Handed): boolean {
    const { reply: { statusCode } } = this.#exchange
    const { refusal } = this.#fill
    if (refusal === 'failed' || (statusCode !== replyStatus && statusCode >= 400)) return true
    // Those who wait share the response of a not-found handler, but an error itself.
    const isShared = refusal === STATUS && this.#failing?.isNotFound === true
    return this.#failing !== undefined && refusal !== undefined && !isShared
  }

  /** All hooks have run: completes the response, and stores what the handler made. */
  #leave (handed: Handed, payload: unknown): unknown {
    const { route: { policy }, request, reply } = this.#exchange
    const { outgoing } = handed
    const finished = this.#assessLeaving(handed)
    const { defaultHeaders } = finished
    const isRefused = this.#fill.refusal !== undefined
    const chosen = isRefused || policy.encoding === undefined ? undefined : this.#chooseCoding(handed)
    if (!isRefused) {
      defaultHeaders['date'] = httpDateOf(Date.now())
      addDefaults(reply, forClients(policy, isSettlingFill(this.#fill.context)), defaultHeaders)
    }
    // A handler that got the request's conditions has answered them itself.
    const answersConditions = !isRefused || this.#restoreConditions !== undefined
    const left = answersConditions ? outgoing.complete(payload, !isRefused, isToBeDecoded(chosen)) : payload
    if (outgoing.bodyEtag !== undefined) defaultHeaders['etag'] = outgoing.bodyEtag
    const stored = this.#fill.finish(finished)
    if (!isRefused) request[kExplanation]?.filled(finished.vary)
    announce(this.#exchange, 'MISS', this.#publish(stored))
    return chosen === undefined ? left : applyCoding(this.#exchange, chosen, left)
  }

  /** Undefined if a hook has encoded the response, or nobody gets it. */
  #chooseCoding ({ sent: { headers, body } }: Handed): Chosen | undefined {
    const leaving = headerOn(this.#exchange.reply, 'content-encoding')
    const isHooks = codingNamed(leaving) !== codingNamed(headers['content-encoding'])
    if (isHooks || this.#fill.context.isRefresh) return undefined
    return choose(this.#exchange, {}, { length: body?.length ?? Infinity, encoded: undefined })
  }

  /** Whether the response that leaves may be stored: hooks may have forbidden it. */
  #assessLeaving ({ sent, payload, freshness, at, atMonotonic }: Handed): Finished {
    const { route: { policy, variants }, reply } = this.#exchange
    const headers = headersOf(reply)
    const { refusal, freshness: leaving } = assess(policy, { status: sent.status, headers, body: sent.body }, at)
    const vary = variants.nominated(headers['vary'], nominatedBy(sent))
    if (refusal === 'set-cookie' && this.#fill.refusal === undefined) this.#logCookies(headers['set-cookie'])
    this.#fill.refuse(refusal ?? variants.refusalFor(vary) ?? (areSendable(headers) ? undefined : 'invalid-header'))
    return {
      sent,
      payload,
      freshness: this.#judged(payload, least(freshness, leaving)),
      sentAt: at,
      sentAtMonotonic: atMonotonic,
      vary,
      defaultHeaders: {}
    }
  }

  /** What the policy's functions make of a response that may be stored otherwise. */
  #judged (payload: unknown, freshness: Freshness): Freshness {
    if (this.#fill.refusal !== undefined) return freshness
    const { refusal, freshness: judged } = judge(this.#exchange, payload, freshness)
    this.#fill.refuse(refusal)
    return judged
  }

  /** Hooks that set a cookie for each caller keep a route cold for good. */
  #logCookies (setCookie: HeaderValue): void {
    const { route: { runtime: { log }, policy: { ignoresCookie }, name }, request } = this.#exchange
    log.setCookie(request.log, name, cookiesIn(setCookie).filter((cookie) => !ignoresCookie(cookie)))
  }

  /** A payload that no client gets. A stream is read all the same if it may be stored. */
  #abandon (given: unknown): void {
    const { route: { runtime, policy } } = this.#exchange
    const payload = isResponse(given) ? given.body : given
    const close = (): void => {
      discard(payload)
      this.#sending.close?.()
    }
    if (this.#sending.close === undefined || this.#fill.refusal !== undefined) return close()
    this.#isRead = true
    const { key } = this.#fill.context.key
    void runtime.background.run(runtime.drains.read(key, policy.maxBytes, { stream: payload as Readable, close }))
  }

  /** Once: a hook that fails after ours leads here again. */
  #publish (stored: boolean): string {
    const { context: { forwarded, key, isRefresh } } = this.#fill
    if (isRefresh) return ''
    const bytes = this.#sending.handed?.sent.body?.length
    const detail = detailOfFill(this.#fill)
    this.#cacheStatus ??= publishDecision(this.#exchange, { outcome: 'miss', forwarded, detail, stored, key, bytes })
    return this.#cacheStatus
  }
}
