import { interceptReply } from '../../fastify/intercept-reply.js'
import { kResponseStage } from '../../fastify/state.js'
import { kExplanation } from '../../observe/explain.js'
import { hideConditions, restoreConditions } from '../conditions.js'
import type { Exchange } from '../exchange.js'
import type { FillContext } from './context.js'
import { Fill } from './life.js'
import { FillStage } from './stage.js'

/**
 * Runs a handler to store its response; returns what the handler returned. The payload is captured
 * when the handler sends it, before hooks change it, because hooks run again on each HIT. Whether
 * it may be stored is decided after all hooks, because any of them may add a Set-Cookie.
 */
export function fill (exchange: Exchange, context: FillContext, run: () => unknown): unknown {
  const { route, request, reply } = exchange
  // The handler must send a whole response, so it does not see the request's conditions. But if its
  // last response could not be stored, it gets them, because it may answer them itself.
  const hidden = route.runtime.fills.unstorable.has(context.key.key) ? undefined : hideConditions(request.raw)
  const life = new Fill(route, request, context)
  const stage = new FillStage(exchange, life, hidden && (() => { restoreConditions(request.raw, hidden) }))
  reply[kResponseStage] = stage
  interceptReply(reply, stage)
  reply.raw.on('close', () => { stage.closed() })

  const explanation = request[kExplanation]
  if (explanation !== undefined) explanation.fills = true
  let result: unknown
  try {
    result = run()
  } catch (error) {
    stage.threw(error)
    throw error
  }
  // A reply is thenable, too, but returning it does not mean that the handler is still running.
  if (result === reply || !isThenable(result)) {
    stage.returned(result)
    return result
  }
  return result.then((payload) => {
    stage.returned(payload)
    return payload
  }, (error: unknown) => {
    stage.threw(error)
    throw error
  })
}

function isThenable (value: unknown): value is Promise<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as Promise<unknown>).then === 'function'
}
