import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import apiCache, { type ApiCacheOptions } from '../../index.js'

/** What a client sees of one response. */
export interface Seen {
  readonly status: number
  /** The response header that says HIT or MISS. */
  readonly cache: string | null
  readonly type: string | null
  readonly headers: Headers
  readonly bytes: Buffer
  readonly text: string
}

export interface Serving {
  readonly app: FastifyInstance
  readonly origin: string
  /** One request over a socket; GET unless `init` says otherwise. */
  request (path: string, init?: RequestInit): Promise<Seen>
}

/** An application with the plugin that listens on a port of its own until the test ends. */
export async function serving (
  t: Test,
  options: ApiCacheOptions,
  declare: (app: FastifyInstance) => unknown,
  serverOptions: FastifyServerOptions = {}
): Promise<Serving> {
  const app = Fastify(serverOptions)
  await app.register(apiCache, options)
  return await listening(t, app, declare)
}

/** The same for an application that registered what it wanted itself. */
export async function listening (t: Test, app: FastifyInstance, declare: (app: FastifyInstance) => unknown = () => {}): Promise<Serving> {
  t.teardown(() => app.close())
  await declare(app)
  const origin = await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, origin, request: (path, init) => see(origin + path, init) }
}

export async function see (url: string, init?: RequestInit): Promise<Seen> {
  const response = await fetch(url, { redirect: 'manual', ...init })
  const bytes = Buffer.from(await response.arrayBuffer())
  return {
    status: response.status,
    cache: response.headers.get('x-api-cache'),
    type: response.headers.get('content-type'),
    headers: response.headers,
    bytes,
    text: bytes.toString()
  }
}

/** All keys of a namespace, sorted. */
export async function keysOf (app: FastifyInstance, namespace: string): Promise<string[]> {
  const keys: string[] = []
  for await (const key of app.apiCache.keys(namespace)) keys.push(key)
  return keys.sort()
}
