import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler, RouteOptions } from 'fastify'

export const STAGES = ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const
export const STYLES = ['an async function', 'a function with a callback', 'a function that replies', 'fastify.auth'] as const

export type Stage = typeof STAGES[number]
export type Style = typeof STYLES[number]

/** What a hook looks like to whom the stage does not matter. */
export type Hook = (request: FastifyRequest, reply: FastifyReply, ...rest: unknown[]) => unknown

/** The caller that a guard lets in. */
export const KEY = { headers: { 'x-key': 'open' } }

const knows = (request: FastifyRequest): boolean => request.headers['x-key'] === 'open'

export class Unauthorized extends Error {
  readonly statusCode = 401
}

/** A guard that lets in who has the key, in one of the styles in which applications write them. */
export function guard (app: FastifyInstance, style: Style): Hook {
  switch (style) {
    case 'an async function': return async function (request: FastifyRequest) {
      await new Promise((resolve) => { setImmediate(resolve) })
      if (!knows(request)) throw new Unauthorized()
    }
    case 'a function with a callback': return byCallback
    case 'a function that replies': return async function (request: FastifyRequest, reply: FastifyReply) {
      if (!knows(request)) return reply.code(401).send({ refused: true })
    }
    case 'fastify.auth': return app.auth([
      async () => { throw new Unauthorized() },
      (request, _reply, done) => { done(knows(request) ? undefined : new Unauthorized()) }
    ]) as Hook
  }
}

/** `done` is the last argument at every stage, and Fastify counts the declared ones. */
function byCallback (request: FastifyRequest, _reply: FastifyReply, ...rest: unknown[]): void {
  const done = rest.at(-1) as (error?: Error) => void
  setImmediate(() => { done(knows(request) ? undefined : new Unauthorized()) })
}

/** Whether the style is one for this stage: fastify.auth makes hooks without a payload. */
export const fits = (style: Style, stage: Stage): boolean => style !== 'fastify.auth' || stage !== 'preParsing'

/** Adds a hook behind those that a route has. */
export function append (route: RouteOptions, stage: Stage, hook: Hook): void {
  Object.assign(route, { [stage]: [...[route[stage] ?? []].flat(), hook] })
}

/** Adds a hook to an instance, whatever its stage. */
export function addHook (app: FastifyInstance, stage: Stage, hook: Hook): void {
  app.addHook(stage as 'onRequest', hook as onRequestHookHandler)
}
