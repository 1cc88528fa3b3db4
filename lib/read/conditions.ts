import type { IncomingMessage } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { requestedRange } from '../http/range.js'
import { isConditional, isNotModified } from '../http/validators.js'

const CONDITIONS = ['if-none-match', 'if-modified-since', 'range', 'if-range']

/** Conditions that were taken off a request, by name. */
export type Conditions = ReadonlyArray<readonly [name: string, value: string | string[]]>

/** Takes the conditions off a request that is to be answered in full. */
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

export function restoreConditions ({ headers }: IncomingMessage, hidden: Conditions = []): void {
  for (const [name, value] of hidden) headers[name] = value
}

/**
 * What a request with conditions gets of a whole answer whose status and headers the reply has:
 * nothing where the client holds it already, one range of it where it asked for one, else all.
 * RFC 9110 sections 13.2.2, 14.2, 15.3.7, 15.4.5 and 15.5.17.
 */
export function conditioned<T> (request: FastifyRequest, reply: FastifyReply, whole: T, body: Buffer): T | Buffer | undefined {
  const { headers } = request
  const ranged = headers.range !== undefined && request.method === 'GET'
  if (!(ranged || isConditional(headers)) || reply.statusCode !== 200) return whole
  const etag = reply.getHeader('etag')
  const lastModified = reply.getHeader('last-modified')
  if (isNotModified(headers, etag, lastModified)) {
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
  // Copied: hooks may write to what they are given.
  return Buffer.from(body.subarray(range.start, range.end + 1))
}
