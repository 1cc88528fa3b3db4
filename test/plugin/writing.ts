import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Test } from 'tap'
import apiCache, { type Invalidation } from '../../index.js'
import { loggingTo, type LogLine } from '../support/log.js'
import { listening, type Seen } from '../support/serving.js'

/** Sends a payload. */
export type Send = (request: FastifyRequest, reply: FastifyReply, payload: unknown) => unknown

/** An application with one write, with the plugin or without it. */
export interface Written {
  readonly post: () => Promise<Seen>
  /** What the policy's function was told. */
  readonly told: unknown[]
  /** The level and text of what Fastify logged as a warning or worse. */
  readonly logged: () => string[]
}

export type Handler = (request: FastifyRequest, reply: FastifyReply) => unknown

export async function writing (
  t: Test, plugin: boolean, handler: Handler, prepare: (app: FastifyInstance) => unknown = () => {}
): Promise<Written> {
  const [told, lines]: [unknown[], LogLine[]] = [[], []]
  const app = Fastify(loggingTo(lines))
  if (plugin) await app.register(apiCache, { store: 'memory' })
  await prepare(app)
  const invalidate: Invalidation = (_request, payload) => { told.push(payload); return [] }
  const { request } = await listening(t, app, () => app.post('/', { config: { cache: { invalidate } } }, (request, reply) => handler(request, reply)))
  return {
    post: () => request('/', { method: 'POST' }),
    told,
    logged: () => lines.filter(({ level }) => level >= 40).map(({ level, msg }) => `${level} ${msg}`)
  }
}

/** Everything of a response that a client sees, but the time. */
export const whole = ({ status, headers, text }: Seen): unknown => ({ status, text, headers: [...headers].filter(([name]) => name !== 'date') })

/** Error handlers of an application, and whether their response is a success. */
export const errorHandlers: Record<string, { prepare: (app: FastifyInstance) => unknown, succeeds: boolean }> = {
  'Fastify\'s own': { prepare: () => {}, succeeds: false },
  'one that sends 200': { prepare: (app) => app.setErrorHandler((_error, _request, reply) => { reply.code(200).send({ id: 'error' }) }), succeeds: true },
  'one that returns for 200': { prepare: (app) => app.setErrorHandler(async (_error, _request, reply) => { reply.code(200); return { id: 'error' } }), succeeds: true },
  'one that throws': { prepare: (app) => app.setErrorHandler(async (error) => { throw error }), succeeds: false }
}
