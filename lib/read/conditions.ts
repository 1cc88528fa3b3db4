import type { IncomingMessage } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { requestedRange } from '../http/range.js'
import { isNotModified } from '../http/validators.js'

const CONDITIONS = ['if-none-match', 'if-modified-since', 'range', 'if-range']

/** Conditional headers that were removed from a request. */
export type Conditions = ReadonlyArray<readonly [name: string, value: string | string[]]>

/** Removes the conditional headers of a request, so that its handler sends a whole response. */
export function hideConditions ({ headers }: IncomingMessage): Conditions | undefined {
  let hidden: Array<[string, string | string[]]> | undefined
  for (const name of CONDITIONS) {
    const value = headers[name]
    if (value === undefined) continue
    (hidden ??= []).push([name, value])
    delete headers[name]
  }
  return hidden
}

export function restoreConditions ({ headers }: IncomingMessage, hidden: Conditions): void {
  for (const [name, value] of hidden) headers[name] = value
}

/**
 * Applies a request's conditions to a whole response whose status and headers are on the reply. The
 * payload becomes empty if the client already has the response, or one range if it asked for one.
 * RFC 9110 sections 13.2.2, 14.2, 15.3.7, 15.4.5 and 15.5.17.
 */
export function conditioned<T> (
  request: FastifyRequest, reply: FastifyReply, whole: T, body: Buffer
): T | Buffer | undefined {
  const { headers } = request
  const ranged = headers.range !== undefined && request.method === 'GET'
  const isConditional = headers['if-none-match'] !== undefined || headers['if-modified-since'] !== undefined
  if (!(ranged || isConditional) || reply.statusCode !== 200) return whole
  const etag = reply.getHeader('etag')
  const lastModified = reply.getHeader('last-modified')
  if (isConditional && isNotModified(headers, etag, lastModified)) {
    reply.code(304)
    return undefined
  }
  if (!ranged) return whole
  const range = requestedRange(headers, body.length, etag, lastModified)
  if (range === undefined) return whole
  if (range === 'unsatisfiable') {
    reply.code(416).header('content-range', `bytes */${body.length}`)
    return undefined
  }
  reply.code(206).header('content-range', `bytes ${range.start}-${range.end}/${body.length}`)
  // Copied, because hooks may change the payload.
  return Buffer.from(body.subarray(range.start, range.end + 1))
}
