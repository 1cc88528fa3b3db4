import { kResponseStage } from '../fastify/state.js'
import { publishDecision, type Decided } from '../observe/decide.js'
import type { Bypass, Exchange, Failed, Miss } from './exchange.js'
import { STATUS } from './fill/storability.js'
import { applyDifference, putEntry } from './hit.js'
import { announce } from './response-stage.js'

/** Runs the handler without the cache: its response is not stored. */
export function passThrough (exchange: Exchange, found: Miss | Bypass, run: () => unknown): unknown {
  publish(exchange, found)
  return run()
}

/** Answers 504 to a request with `only-if-cached` (RFC 9111 section 5.2.1.7). */
export function refuseOnlyIfCached (exchange: Exchange, found: Miss | Bypass): unknown {
  publish(exchange, found.outcome === 'miss' ? { outcome: 'bypass', reason: 'miss' } : found)
  return exchange.reply.code(504).send()
}

/**
 * Answers with the failure of the fill that the request has waited for, through the request's own hooks
 * and error handler.
 * @throws what the handler threw
 */
export function sendFailure (exchange: Exchange, { cause, forwarded, key }: Failed): unknown {
  const { reply } = exchange
  const isThrown = 'error' in cause
  const detail = isThrown ? 'failed' : STATUS
  announceMiss(exchange, { outcome: 'miss', forwarded, detail, collapsed: true, key })
  if (!isThrown) return putEntry(exchange, cause.entry) ?? reply.send()
  if (cause.status !== undefined) reply.code(cause.status)
  if (cause.headers !== undefined) applyDifference(reply, cause.headers)
  throw cause.error
}

/** Publishes that the cache has no part in this response. */
function publish (exchange: Exchange, found: Miss | Bypass): void {
  announceMiss(exchange, found.outcome === 'bypass'
    ? { outcome: 'bypass', detail: found.reason }
    // A HEAD: its response has no body that could be stored.
    : { outcome: 'miss', forwarded: found.forwarded, detail: 'head', key: found.key })
}

/** Publishes a decision; the response says so once all hooks have run. */
function announceMiss (exchange: Exchange, decided: Decided): void {
  const status = publishDecision(exchange, decided)
  exchange.reply[kResponseStage] = {
    onSend (payload) {
      announce(exchange, 'MISS', status)
      return payload
    }
  }
}
