import { kResponseStage } from '../fastify/state.js'
import { publishDecision } from '../observe/decide.js'
import type { Bypass, Exchange, Miss } from './exchange.js'
import { announce } from './response-stage.js'

/** Runs the handler without the cache: its response is not stored. */
export function passThrough (exchange: Exchange, found: Miss | Bypass, run: () => unknown): unknown {
  publish(exchange, found)
  return run()
}

/** Answers 504 to a request with `only-if-cached` (RFC 9111 section 5.2.1.7). */
export function refuseOnlyIfCached (exchange: Exchange, found: Miss | Bypass): unknown {
  publishRefused(exchange, found)
  return exchange.reply.code(504).send()
}

/** Publishes that a request with `only-if-cached` is refused. */
export function publishRefused (exchange: Exchange, found: Miss | Bypass): void {
  publish(exchange, found.outcome === 'miss' ? { outcome: 'bypass', reason: 'miss' } : found)
}

/** Publishes that the cache has no part in a response; returns what Cache-Status says. */
export function publishUnstored (exchange: Exchange, found: Miss | Bypass): string {
  return publishDecision(exchange, found.outcome === 'bypass'
    ? { outcome: 'bypass', detail: found.reason }
    // A HEAD: its response has no body that could be stored.
    : { outcome: 'miss', forwarded: found.forwarded, detail: 'head', key: found.key })
}

/** The same; the response says so once all hooks have run. */
function publish (exchange: Exchange, found: Miss | Bypass): void {
  const status = publishUnstored(exchange, found)
  exchange.reply[kResponseStage] = {
    onSend (payload) {
      announce(exchange, 'MISS', status)
      return payload
    }
  }
}
