import type {
  onErrorHookHandler, onRequestAsyncHookHandler, onSendHookHandler, preSerializationHookHandler
} from 'fastify'
import { requestDirectives } from '../http/request-directives.js'
import { readable, UNREADABLE } from '../read/encoding/plain.js'
import { bypassFor, type CachedRoute } from '../read/exchange.js'
import { sendEntry } from '../read/hit.js'
import { lookup } from '../read/lookup.js'
import { isDueEarly } from '../read/refresh/early.js'
import { isReading } from './methods.js'
import { kFound, kResponseStage } from './state.js'

/** For `serveFrom: 'onRequest'`: serves a HIT before parsing, validation and later hooks. */
export function serveOnRequest (route: CachedRoute): onRequestAsyncHookHandler {
  return async function apiCacheOnRequest (request, reply) {
    if (!isReading(request.method)) return
    const exchange = { route, request, reply }
    const directives = route.policy.obeysRequest ? requestDirectives(request.headers) : undefined
    const found = await lookup(exchange, directives)
    const { earlyRefresh } = route.policy
    // Only the handler refreshes: this request has passed no guards yet.
    if (found.outcome !== 'hit' || (earlyRefresh > 0 && isDueEarly(found, earlyRefresh))) {
      request[kFound] = found
      return
    }
    const hit = found.entry.plainLength === undefined ? found : await readable(exchange, found, false)
    if (hit === undefined) {
      request[kFound] = bypassFor(UNREADABLE)
      return
    }
    const payload = sendEntry(exchange, hit)
    return payload === reply ? reply : reply.send(payload)
  }
}

export const onPayload: preSerializationHookHandler<unknown> = function apiCachePreSerialization (
  _request, reply, payload, done
) {
  try {
    reply[kResponseStage]?.onPayload?.(payload)
    done(null, payload)
  } catch (error) {
    done(error as Error)
  }
}

export const watch: onSendHookHandler<unknown> = function apiCacheWatch (_request, reply, payload, done) {
  reply[kResponseStage]?.watch?.(payload)
  done(null, payload)
}

export const onSend: onSendHookHandler<unknown> = function apiCacheOnSend (_request, reply, payload, done) {
  const stage = reply[kResponseStage]
  const left = stage === undefined ? payload : stage.onSend(payload)
  if (left instanceof Promise) left.then((encoded) => { done(null, encoded) }, done)
  else done(null, left)
}

export const onError: onErrorHookHandler = function apiCacheOnError (_request, reply, _error, done) {
  reply[kResponseStage]?.onError?.()
  done()
}
