import { headerOn } from '../fastify/private-state.js'
import { kResponseStage } from '../fastify/state.js'
import { publishDecision, type Decided } from '../observe/decide.js'
import { applyCoding } from './encoding/apply.js'
import { choose } from './encoding/choose.js'
import type { Bypass, Exchange, Failed, Miss } from './exchange.js'
import { STATUS } from './fill/storability.js'
import { applyDifference, putEntry } from './hit.js'
import { removeDefaultType } from './hit-stage.js'
import { announce } from './response-stage.js'

/** Why the response to a HEAD is not stored. */
const HEAD = 'head'

/** Runs the handler without the cache: its response is not stored. */
export function passThrough (exchange: Exchange, found: Miss | Bypass, run: () => unknown): unknown {
  announceMiss(exchange, undecided(found))
  return run()
}

/** Answers 504 to a request with `only-if-cached` (RFC 9111 section 5.2.1.7). */
export function refuseOnlyIfCached (exchange: Exchange, found: Miss | Bypass): unknown {
  publishRefused(exchange, found)
  return exchange.reply.code(504).send()
}

/** Publishes that a request with `only-if-cached` is refused. */
export function publishRefused (exchange: Exchange, found: Miss | Bypass): void {
  announceMiss(exchange, undecided(found.outcome === 'miss' ? { outcome: 'bypass', reason: 'miss' } : found))
}

/** Publishes that the cache has no part in a response; returns what Cache-Status says. */
export function publishUnstored (exchange: Exchange, found: Miss | Bypass): string {
  return publishDecision(exchange, undecided(found))
}

const undecided = (found: Miss | Bypass): Decided => found.outcome === 'bypass'
  ? { outcome: 'bypass', detail: found.reason }
  // A HEAD: its response has no body that could be stored.
  : { outcome: 'miss', forwarded: found.forwarded, detail: HEAD, key: found.key }

/**
 * Answers with the failure of the fill that the request has waited for, through the request's own hooks
 * and error handler.
 * @throws what the handler threw
 */
export function sendFailure (exchange: Exchange, { cause, forwarded, key }: Failed): unknown {
  const { reply } = exchange
  const decided = { outcome: 'miss', forwarded, collapsed: true, key } as const
  if ('entry' in cause) {
    const payload = putEntry(exchange, cause.entry)
    announceMiss(exchange, { ...decided, detail: STATUS }, headerOn(reply, 'content-type') !== undefined)
    return payload === undefined ? reply.send() : payload
  }
  announceMiss(exchange, { ...decided, detail: 'failed' })
  if (cause.status !== undefined) reply.code(cause.status)
  if (cause.headers !== undefined) applyDifference(reply, cause.headers)
  throw cause.error
}

/**
 * Publishes a decision; the response says so once all hooks have run.
 * @param isTyped whether a Content-Type that Fastify adds by default is left
 */
function announceMiss (exchange: Exchange, decided: Decided, isTyped = true): void {
  const status = publishDecision(exchange, decided)
  exchange.reply[kResponseStage] = {
    onSend (payload) {
      if (!isTyped) removeDefaultType(exchange.reply)
      announce(exchange, 'MISS', status)
      return decided.outcome === 'miss' && decided.detail === HEAD ? asForGet(exchange, payload) : payload
    }
  }
}

/** Where a GET would be encoded, its HEAD says nothing that is true of the plain body only. */
function asForGet (exchange: Exchange, payload: unknown): unknown {
  if (exchange.route.policy.encoding === undefined) return payload
  const length = Number(headerOn(exchange.reply, 'content-length') ?? Infinity)
  const chosen = choose(exchange, {}, { length, encoded: undefined })
  return chosen === undefined ? payload : applyCoding(exchange, chosen, payload)
}
