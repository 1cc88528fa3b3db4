import createError from '@fastify/error'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'

export const NotFoundError = createError<[what: string]>('NOT_FOUND', 'there is no such %s', 404)

/** PostgreSQL's codes for a row that conflicts with other rows. */
const CONFLICTS: Record<string, number> = { 23503: 422, 23505: 409 }

export function sendError (error: FastifyError, _request: FastifyRequest, reply: FastifyReply): void {
  const statusCode = error.statusCode ?? CONFLICTS[error.code]
  reply.send(statusCode === undefined ? error : Object.assign(error, { statusCode }))
}
