import { interceptSend } from '../../fastify/intercept-send.js'
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
  if (route.runtime.responseHeader !== false) reply.header(route.runtime.responseHeader, 'MISS')
  // The handler must send a whole response, so it does not see the request's conditions.
  const hidden = hideConditions(request.raw)
  const life = new Fill(route, request, context)
  const restore = (): void => { if (hidden !== undefined) restoreConditions(request.raw, hidden) }
  const stage = new FillStage(exchange, life, restore)
  reply[kResponseStage] = stage
  interceptSend(reply, stage)
  reply.raw.on('close', () => { stage.closed() })

  const explanation = request[kExplanation]
  if (explanation !== undefined) explanation.fills = true
  let result: unknown
  try {
    result = run()
  } catch (error) {
    stage.threw()
    throw error
  }
  // A reply is thenable, too, but returning it does not mean that the handler is still running.
  if (result === reply || !isThenable(result)) {
    stage.returned()
    return result
  }
  return result.then((payload) => {
    stage.returned()
    return payload
  }, (error: unknown) => {
    stage.threw()
    throw error
  })
}

function isThenable (value: unknown): value is Promise<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as Promise<unknown>).then === 'function'
}
