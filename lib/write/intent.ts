import type { FastifyReply, onResponseHookHandler, RouteHandlerMethod } from 'fastify'
import { inBatches } from './in-batches.js'
import type { Core } from '../runtime.js'
import { StoreUnavailableError } from '../errors.js'
import { namesFor, type WritePolicy } from '../policy/write-policy.js'
import { UNAVAILABLE } from '../store/guarded-store.js'
import { newVersion } from './invalidator.js'

/** Milliseconds after which a writer that has said nothing more counts as dead. */
const LIFETIME = 30_000

/** What a strict write on its way is about to make old. */
export const kIntent = Symbol('fastify-api-cache.intent')

declare module 'fastify' {
  interface FastifyReply {
    [kIntent]?: Intent
  }
}

/**
 * A write that is recorded in the store from before its handler runs until its outcome is known.
 * Meanwhile the versions that it is going to move are held: nothing that was filled under them is
 * served and nothing is filled, in any process. A hold that nobody ends expires, and its version
 * with it.
 */
class Intent {
  readonly #core: Core
  readonly #namespaces: string[]
  readonly #tags: string[]
  readonly #writer = newVersion()
  #ended = false

  constructor (core: Core, namespaces: string[], tags: string[]) {
    this.#core = core
    this.#namespaces = namespaces
    this.#tags = tags
  }

  /** @throws StoreUnavailableError */
  async record (): Promise<void> {
    for await (const [namespaces, tags] of inBatches(this.#namespaces, this.#tags)) {
      const versions = this.#core.versionsOf(namespaces, tags)
      const held = await this.#core.door.pass('hold', (store) => store.hold?.(versions, this.#writer, LIFETIME))
      if (held !== UNAVAILABLE) continue
      // Some of it may have been recorded.
      this.#core.inBackground(this.#letGo(false))
      throw new StoreUnavailableError('the write was refused, as its invalidation could not be recorded first')
    }
  }

  /** Ends it before the response leaves, so that whoever has seen the answer sees what was written. */
  async end (hasWritten: boolean): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    const gone = this.#letGo(hasWritten)
    if (!hasWritten) {
      this.#core.inBackground(gone)
      return
    }
    await gone
    this.#core.sweep(this.#namespaces, this.#tags)
  }

  /** Where a move cannot be delivered at once, it is kept. */
  async #letGo (moved: boolean): Promise<void> {
    for await (const [namespaces, tags] of inBatches(this.#namespaces, this.#tags)) {
      const versions = this.#core.versionsOf(namespaces, tags)
      const fresh = newVersion()
      const gone = await this.#core.door.pass('letGo', (store) => store.letGo?.(versions, this.#writer, fresh, moved))
      if (gone === UNAVAILABLE && moved) await this.#core.invalidator.move(versions)
    }
  }
}

/** The handler of a strict write: refuses what cannot be recorded before anything is written. */
export function strictHandler (core: Core, policy: WritePolicy, handler: RouteHandlerMethod): RouteHandlerMethod {
  return async function strict (request, reply) {
    const intent = new Intent(core, namesFor('invalidate', policy.invalidate, request), namesFor('invalidateTags', policy.invalidateTags, request))
    await intent.record()
    reply[kIntent] = intent
    return handler.call(this, request, reply) ?? reply
  }
}

/** Ends a write whose handler took the response into its own hands: no other hook has seen it. */
export const endUnanswered: onResponseHookHandler = async function apiCacheOnResponse (_request, reply: FastifyReply) {
  // A client that went away leaves a handler behind that may still write.
  if (reply.raw.writableFinished) await reply[kIntent]?.end(true)
}
