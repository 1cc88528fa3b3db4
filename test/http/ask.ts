import { once } from 'node:events'
import { request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import type { ApiCacheOptions } from '../../index.js'
import { serving } from '../support/serving.js'

export interface Answered {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly bytes: Buffer
  readonly text: string
  readonly trailers: NodeJS.Dict<string>
}

export type Ask = (path?: string, headers?: Record<string, string>, method?: string) => Promise<Answered>

/** The response to a request that says exactly this: fetch adds to conditional ones. */
export async function open (url: string, headers: Record<string, string> = {}, method = 'GET'): Promise<IncomingMessage> {
  const asking = request(url, { headers, method, agent: false }).end()
  const [response] = await once(asking, 'response') as [IncomingMessage]
  return response
}

export async function ask (url: string, headers?: Record<string, string>, method?: string): Promise<Answered> {
  const response = await open(url, headers, method)
  const bytes = await buffer(response)
  return { status: response.statusCode!, headers: response.headers, bytes, text: bytes.toString(), trailers: response.trailers }
}

/** An application that listens until the test ends, with entries in memory unless `options` says otherwise. */
export async function asking (t: Test, declare: (app: FastifyInstance) => unknown, options: ApiCacheOptions = { store: 'memory' }): Promise<{ app: FastifyInstance, origin: string, ask: Ask }> {
  const { app, origin } = await serving(t, options, declare)
  return {
    app,
    origin,
    async ask (path = '/', headers, method) {
      const answered = await ask(origin + path, headers, method)
      await app.apiCache.settled()
      return answered
    }
  }
}

export const cached = (headers: IncomingHttpHeaders): string | undefined => headers['x-api-cache'] as string | undefined
export const cacheStatus = (headers: IncomingHttpHeaders): string | undefined => headers['cache-status'] as string | undefined
