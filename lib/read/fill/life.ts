import type { FastifyRequest } from 'fastify'
import type { Entry } from '../../entry/entry.js'
import { tagList } from '../../key/cache-key.js'
import type { FillEvent } from '../../observe/events.js'
import type { Filled, Outcome } from '../coalesce/fills-in-flight.js'
import type { CachedRoute } from '../exchange.js'
import { withPayloadTags } from '../payload-tags.js'
import type { Captured } from './capture.js'
import type { FillContext } from './context.js'
import { entryOf, pointerTo, type Finished } from './to-entry.js'

/**
 * The life of one fill. It begins; the handler sends its response; all hooks finish, and nothing can
 * forbid storing it any more; the outcome is published to those who wait. It does not need a client.
 */
export class Fill {
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
  #published = false
  #told = false

  constructor (route: CachedRoute, request: FastifyRequest, context: FillContext) {
    this.route = route
    this.#request = request
    this.context = context
  }

  /** Forbids storing the response. The first reason is the one that is told. */
  refuse (reason: string | undefined): void {
    this.refusal ??= reason
  }

  /** The stream that the handler sent has ended without error. */
  captured (body: Captured): void {
    this.#captured = { body }
    if (this.#finished !== undefined) this.#store(this.#finished, body)
  }

  /**
   * All hooks have run.
   * @param finished undefined if the response is not one of the handler
   * @returns whether the response is stored now
   */
  finish (finished: Finished | undefined): boolean {
    this.isFinished = true
    if (finished === undefined) this.refuse('failed')
    if (this.refusal !== undefined || finished === undefined) {
      this.route.runtime.fills.unstorable.set(this.context.key.key, true)
      this.drop('hit-for-miss')
      return false
    }
    this.#finished = finished
    const { body } = finished.sent
    if (body !== undefined) this.#store(finished, body)
    else if (this.#captured !== undefined) this.#store(finished, this.#captured.body)
    // Other requests do not wait for a stream. It may never end, or only as fast as its client reads.
    else this.#publish('hit-for-miss')
    return body !== undefined
  }

  /** Ends the fill without an entry. */
  drop (outcome: Exclude<Outcome, Filled>): void {
    this.#publish(outcome)
    this.#tell('not-stored', this.refusal ?? outcome)
  }

  #store (finished: Finished, body: Captured): void {
    const { policy, name, runtime } = this.route
    if (body === undefined) return this.drop('hit-for-miss')
    let tags: readonly string[] = []
    try {
      if (policy.payloadTags !== undefined) tags = tagList(policy.payloadTags(this.#request, finished.payload))
    } catch (error) {
      runtime.log.policyFault(this.#request.log, name, error)
      return this.drop('hit-for-miss')
    }
    const entry = entryOf(this.route, this.context, finished, body)
    if (entry === undefined) return this.drop('hit-for-miss')
    // A guarded store never rejects.
    void runtime.background.run(tags.length === 0
      ? this.#keep(entry, finished.vary)
      : this.#keepTagged(entry, finished.vary, tags))
  }

  async #keepTagged (entry: Entry, vary: readonly string[], tags: readonly string[]): Promise<void> {
    const tagged = await withPayloadTags(this.route.runtime, entry, tags, this.context.groups)
    if (tagged === undefined) this.drop('invalidated')
    else await this.#keep(tagged, vary)
  }

  /** The response does not wait for the store. Until the entry is stored, later requests find the fill. */
  async #keep (entry: Entry, vary: readonly string[]): Promise<void> {
    const { runtime: { fills, store }, variants } = this.route
    const { key: asked, inFlight, versions } = this.context
    if (fills.unstorable.size > 0) fills.unstorable.delete(asked.key)
    const key = variants.learn(asked, vary, this.#request)
    this.#publish({ entry, key: key.key })
    this.#tell('stored', undefined, entry.body.length)
    const writes = [store.call('set', (store) => store.set(key.key, entry))]
    const { base } = key
    if (base !== undefined) {
      variants.stored(key, versions, entry.deleteAt)
      writes.push(store.call('set', (store) => store.set(base.key, pointerTo(entry, key.vary ?? []))))
    }
    await Promise.all(writes)
    fills.releaseSoon(asked.key, inFlight)
  }

  /** Passes the outcome to those who wait for this fill. */
  #publish (outcome: Outcome): void {
    if (this.#published) return
    this.#published = true
    this.route.runtime.fills.publish(this.context.key.key, this.context.inFlight, outcome)
  }

  #tell (outcome: FillEvent['outcome'], reason?: string, bytes?: number): void {
    if (this.#told) return
    this.#told = true
    const { runtime: { events, keyspace: { prefix } }, name: route } = this.route
    events.publish('fill', { prefix, route, key: this.context.key.key, outcome, reason, bytes })
  }
}
