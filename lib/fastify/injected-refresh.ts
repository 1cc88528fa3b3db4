import { randomUUID } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { CachedRoute } from '../read/exchange.js'
import type { FillContext } from '../read/fill/context.js'

/** The header that names a refresh in its request. A stranger cannot guess what the process expects. */
export const REFRESH = 'api-cache-refresh'

/** A fill that waits for its request. */
interface Waiting {
  readonly route: CachedRoute
  readonly context: FillContext
}

/** The refreshes under way, by the value of their header; undefined if the handler has taken it. */
const injected = new Map<string, Waiting | undefined>()

/**
 * Runs a refresh as a request of the application's own, which meets all hooks.
 * @returns whether it has reached the route's handler
 */
export async function injectRefresh (request: FastifyRequest, waiting: Waiting): Promise<boolean> {
  const name = randomUUID()
  injected.set(name, waiting)
  try {
    await request.server.inject({
      method: 'GET',
      url: request.originalUrl,
      headers: { ...request.headers, [REFRESH]: name },
      remoteAddress: request.ip
    })
    return injected.get(name) === undefined
  } finally {
    injected.delete(name)
  }
}

/** The fill that a request is to run on this route; undefined for all others. */
export function takeInjected (request: FastifyRequest, route: CachedRoute): FillContext | undefined {
  const name = request.headers[REFRESH] as string
  const waiting = injected.get(name)
  if (waiting?.route !== route) return undefined
  injected.set(name, undefined)
  return waiting.context
}

/** Whether a request is a refresh by the cache (`refreshWith: 'inject'`). */
export const isRefresh = (request: FastifyRequest): boolean => injected.has(request.headers[REFRESH] as string)
