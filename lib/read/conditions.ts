import type { IncomingMessage } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { requestedRange } from '../http/range.js'
import { isNotModified } from '../http/validators.js'
import { bytesOf, isWhole } from './whole.js'

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

/** Whether a request has conditions that this cache answers. */
export function hasConditions ({ headers }: FastifyRequest): boolean {
  return headers['if-none-match'] !== undefined || headers['if-modified-since'] !== undefined ||
    headers.range !== undefined
}

/** What a response can be compared by (RFC 9110 section 8.8). */
export interface Validators {
  /** Whether the response has the ETag of another body, to whose parts a part with it could be joined. */
  readonly isForeign: boolean
  readonly etag: string | undefined
  readonly lastModified: string | undefined
}

/**
 * Applies a request's conditions to the response that leaves, whose status and headers are on the
 * reply. The payload becomes null if the client already has the response, or one range if it asked for one.
 * RFC 9110 sections 13.2.2, 14.2, 15.3.7, 15.4.5 and 15.5.17.
 */
export function conditioned (
  request: FastifyRequest, reply: FastifyReply, payload: unknown, { etag, lastModified, isForeign }: Validators
): unknown {
  const { headers } = request
  if (reply.statusCode !== 200) return payload
  if (isNotModified(headers, etag, lastModified)) return bodiless(reply.code(304))
  if (headers.range === undefined || request.method !== 'GET' || isForeign) return payload
  if (!isWhole(payload)) return payload
  const body = bytesOf(payload)
  const range = requestedRange(headers, body.length, etag, lastModified)
  if (range === undefined) return payload
  if (range === 'unsatisfiable') return bodiless(reply.code(416).header('content-range', `bytes */${body.length}`))
  reply.code(206).header('content-range', `bytes ${range.start}-${range.end}/${body.length}`)
  return body.subarray(range.start, range.end + 1)
}

/** The payload of a hook that answered the conditions itself: a stream is not sent, so it must be closed. */
export function withoutStream ({ statusCode }: FastifyReply, payload: unknown): unknown {
  return (statusCode === 304 || statusCode === 416) && !isWhole(payload) ? null : payload
}

/** Removes what describes a body that is not sent. */
function bodiless (reply: FastifyReply): null {
  reply.removeHeader('content-type').removeHeader('content-encoding').removeHeader('content-length')
  return null
}
