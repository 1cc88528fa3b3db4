import type { AddressInfo } from 'node:net'
import compress from '@fastify/compress'
import Fastify, { type FastifyInstance } from 'fastify'

export interface Scenario {
  bodyBytes: number
  redisUrl: string
  /** Whether it speaks HTTP/2, without TLS. */
  http2?: true
  /** Whether @fastify/compress is registered. */
  compresses?: true
  /** How many namespaces the keys are spread over, by `id % namespaces`. */
  namespaces?: number
  /** How many tags every entry carries. */
  tags?: number
}

/** Where a subject counts each run of the handler that a cache should have spared. */
export interface Counters {
  handlerRuns: number
}

export interface Running {
  port: number
  /** Microseconds of CPU that another process has spent on the answers so far. */
  cpuMicros?: () => number
  close: () => Promise<void>
}

export interface Subject {
  name: string
  title: string
  group: 'limit' | 'plugin' | 'peer'
  /** Who answers a measured request: the handler (no id is asked for twice), or something in front of it (no run of it is allowed). */
  answeredBy: 'handler' | 'cache'
  /** Each run of the handler leaves an entry in Redis. */
  stores?: true
  /** The content coding that the load accepts, and must get; only with one key. */
  accepts?: 'br' | 'gzip'
  /** What X-API-Cache must say on every measured answer. */
  header?: 'HIT' | 'MISS'
  /** Serves `GET /items/:id`. */
  start: (scenario: Scenario, counters: Counters) => Promise<Running>
}

export const jsonType = 'application/json; charset=utf-8'

export interface ItemRoute {
  Params: { id: string }
}

/** The same application over either version of HTTP, with and without compression. */
export async function fastifyFor ({ http2, compresses }: Scenario): Promise<FastifyInstance> {
  const app = http2 === true ? Fastify({ http2 }) as unknown as FastifyInstance : Fastify()
  if (compresses === true) await app.register(compress)
  return app
}

export async function listen (app: FastifyInstance): Promise<Running> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  return { port, close: () => app.close() }
}
