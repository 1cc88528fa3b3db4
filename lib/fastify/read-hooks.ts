import type { onErrorHookHandler, onRequestHookHandler, onSendHookHandler, preSerializationHookHandler } from 'fastify'
import type { Core } from '../runtime.js'
import { kLook } from '../read/cached-handler.js'
import { kExchange } from '../read/response-stage.js'
import { serve } from '../read/hit.js'
import type { Look, Reader } from '../read/lookup.js'

/** For `serveFrom: 'onRequest'`: answers a HIT before anything is parsed, validated or asked. */
export function serveOnRequest (core: Core, reader: Reader): onRequestHookHandler {
  return function apiCacheOnRequest (request, reply, done) {
    reader.look(request, (look: Look): void => {
      if (!('entry' in look)) {
        request[kLook] = look
        return done()
      }
      core.counters.hits++
      reply.send(serve({ core, reader, request, reply }, look.entry, look.now))
    })
  }
}

export const seePayload: preSerializationHookHandler<unknown> = function apiCachePreSerialization (_request, reply, payload, done) {
  try {
    reply[kExchange]?.sawPayload?.(payload)
    done(null, payload)
  } catch (error) {
    done(error as Error)
  }
}

export const finishExchange: onSendHookHandler<unknown> = function apiCacheOnSend (_request, reply, payload, done) {
  const exchange = reply[kExchange]
  if (exchange === undefined) return done(null, payload)
  const last = exchange.finish(payload)
  done(null, last)
}

export const failExchange: onErrorHookHandler = function apiCacheOnError (_request, reply, _error, done) {
  reply[kExchange]?.failed?.()
  done()
}
