import type { FastifyRequest } from 'fastify'
import type { Entry } from '../../entry/entry.js'
import { tagList } from '../../key/cache-key.js'
import { isAboutCaller } from '../../http/storable.js'
import type { FillEvent } from '../../observe/events.js'
import { flightOf } from '../coalesce/coalesce.js'
import { FillFailure, type Thrown } from '../coalesce/fill-failure.js'
import type { Filled, Outcome } from '../coalesce/fills-in-flight.js'
import { keepEncoded, storedCodingOf } from '../encoding/keep.js'
import type { CachedRoute } from '../exchange.js'
import { payloadTagsOf, withPayloadTags } from '../payload-tags.js'
import type { Captured, CaptureListener } from './capture.js'
import type { FillContext } from './context.js'
import { STATUS } from './storability.js'
import { entryOf, pointerTo, type Finished } from './to-entry.js'

/**
 * The life of one fill. It begins; the handler sends its response; all hooks finish, and nothing can
 * forbid storing it any more; the outcome is published to those who wait. It does not need a client.
 */
export class Fill implements CaptureListener {
  readonly context: FillContext
  readonly route: CachedRoute
  readonly #request: FastifyRequest
  /** Why the response is not stored; undefined while nothing forbids it. */
  refusal: string | undefined
  /** Whether all hooks have run. */
  isFinished = false
  #finished: Finished | undefined
  /** The body of a stream that has ended. */
  #captured: { readonly body: Captured } | undefined
  /** How the handler failed, if the application's response to that may be stored. */
  #failure: FillFailure | 'unshared' | undefined
  #published = false
  #told = false

  constructor (route: CachedRoute, request: FastifyRequest, context: FillContext) {
    this.route = route
    this.#request = request
    this.context = context
  }

  /** Whether other requests wait for the outcome. */
  get isAwaited (): boolean {
    return !this.#published && this.context.inFlight?.isAwaited === true
  }

  /** Forbids storing the response. The first reason is the one that is told, but what is private is never shared. */
  refuse (reason: string | undefined): void {
    if (this.refusal === undefined || this.#isOfStatus) this.refusal = reason ?? this.refusal
  }

  captured (body: Captured): void {
    this.#captured = { body }
    if (this.#finished !== undefined) this.#complete(this.#finished, body)
    // Nobody waits until a body ends that is not stored.
    else if (body === undefined) this.drop('hit-for-miss')
  }

  failed (error?: unknown): void {
    this.drop(error === undefined ? 'abandoned' : new FillFailure({ error }, this.#request))
  }

  readsOn (stop: () => void): boolean {
    if (!this.isAwaited) return false
    this.context.inFlight!.whenPublished(stop)
    return true
  }

  /** The handler has sent a stream: nobody knows when it will end. */
  streams (): void {
    if (this.context.inFlight !== undefined) this.context.inFlight.isStream = true
  }

  /**
   * The handler threw, or sent an error.
   * @param goesOn whether the application's response to it may be stored. If it is not, those who wait get the error.
   */
  threw (thrown: Thrown | undefined, goesOn = false): void {
    const failure = thrown === undefined ? 'unshared' : new FillFailure(thrown, this.#request)
    if (goesOn) {
      this.#failure = failure
    } else {
      this.refuse('failed')
      this.drop(failure)
    }
  }

  /**
   * All hooks have run.
   * @param finished undefined if the response is not one of the handler
   * @returns whether the response is stored now
   */
  finish (finished: Finished | undefined): boolean {
    this.isFinished = true
    if (finished === undefined) this.refuse('failed')
    if (this.refusal !== undefined) this.route.runtime.fills.unstorable.set(this.context.key.key, true)
    if (finished === undefined || (this.refusal !== undefined && !this.#isOfStatus)) {
      this.drop(finished === undefined ? 'unshared' : 'hit-for-miss')
      return false
    }
    this.#finished = finished
    const body = finished.sent.body ?? this.#captured?.body
    if (body !== undefined) this.#complete(finished, body)
    return finished.sent.body !== undefined && this.refusal === undefined
  }

  /** Ends the fill without an entry. */
  drop (reason: Exclude<Outcome, Filled>): void {
    const outcome = this.#failure ?? reason
    this.#publish(outcome)
    this.#tell('not-stored', this.refusal ?? (outcome instanceof FillFailure ? 'failed' : outcome))
  }

  /** Whether this is a refresh that took too long: another one may have stored something newer. */
  get #isGivenUp (): boolean {
    const { isRefresh, inFlight } = this.context
    return isRefresh && !this.#published && inFlight?.isPublished === true
  }

  /** Whether nothing but its status forbids storing the response. */
  get #isOfStatus (): boolean {
    return this.refusal === STATUS
  }

  /** The body is complete. */
  #complete (finished: Finished, body: Captured): void {
    if (body === undefined) return this.drop('hit-for-miss')
    if (this.#isGivenUp) return this.drop('abandoned')
    const tags = this.#isOfStatus ? [] : this.#payloadTags(finished)
    const entry = tags && entryOf(this.route, this.context, finished, body)
    if (tags === undefined || entry === undefined) return this.drop('hit-for-miss')
    if (this.#isOfStatus) return this.#reject(entry, finished.vary)
    if (this.context.inFlight !== undefined) this.context.inFlight.isStoring = true
    // A guarded store never rejects.
    void this.route.runtime.background.run(tags.length === 0
      ? this.#keep(entry, finished.vary)
      : this.#keepTagged(entry, finished.vary, tags))
  }

  /** Undefined if the policy's function failed. */
  #payloadTags ({ payload }: Finished): readonly string[] | undefined {
    const { policy: { payloadTags }, name, runtime } = this.route
    if (payloadTags === undefined) return []
    try {
      return tagList(payloadTags(this.#request, payload))
    } catch (error) {
      runtime.log.policyFault(this.#request.log, name, error)
      return undefined
    }
  }

  /** A response that is not stored because of its status is the same for all who wait, unless it varies. */
  #reject (entry: Entry, vary: readonly string[]): void {
    const { key, vary: known = [] } = this.context.key
    const isSame = vary.every((name) => known.includes(name))
    this.drop(isSame && !isAboutCaller(entry.status) ? new FillFailure({ entry, key }, this.#request) : 'unshared')
  }

  async #keepTagged (entry: Entry, vary: readonly string[], tags: readonly string[]): Promise<void> {
    const tagged = await withPayloadTags(this.route.runtime, entry, tags, this.context.groups)
    if (tagged === undefined) this.drop('invalidated')
    else await this.#keep(tagged, vary)
  }

  /** The response does not wait for the store. Until the entry is stored, later requests find the fill. */
  async #keep (entry: Entry, vary: readonly string[]): Promise<void> {
    const { runtime: { fills, refreshes, store, knownTags }, variants, policy } = this.route
    const { key: asked, inFlight, versions } = this.context
    if (fills.unstorable.size > 0) fills.unstorable.delete(asked.key)
    refreshes.backoff.succeeded(flightOf(this.route, asked))
    const key = variants.learn(asked, vary, this.#request)
    if (policy.payloadTags !== undefined) knownTags.note(key, payloadTagsOf(entry, key.versions))
    this.#publish({ entry, key: key.key })
    this.#tell('stored', undefined, entry.body.length)
    const stored = store.call('set', (store) => store.set(key.key, entry))
    const { base } = key
    if (base !== undefined) {
      variants.stored(key, versions, entry.deleteAt)
      await store.call('set', (store) => store.set(base.key, pointerTo(entry, key.vary ?? [])))
    }
    await stored
    const coding = storedCodingOf(this.route, entry)
    if (coding !== undefined) keepEncoded(this.route, key, entry, coding)
    if (inFlight !== undefined) fills.releaseSoon(inFlight)
  }

  /** Passes the outcome to those who wait for this fill. */
  #publish (outcome: Outcome): void {
    if (this.#published) return
    this.#published = true
    const { inFlight } = this.context
    if (inFlight !== undefined) this.route.runtime.fills.publish(inFlight, outcome)
  }

  #tell (outcome: FillEvent['outcome'], reason?: string, bytes?: number): void {
    if (this.#told) return
    this.#told = true
    const { runtime: { events, keyspace: { prefix } }, name: route } = this.route
    events.publish('fill', { prefix, route, key: this.context.key.key, outcome, reason, bytes })
  }
}
