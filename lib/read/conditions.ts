import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { isNodeStream } from '../fastify/payload.js'
import { headerOn } from '../fastify/private-state.js'
import { requestedRange } from '../http/range.js'
import { isNotModified } from '../http/validators.js'
import { rangeOf } from './stream-range.js'
import { bytesOf, isWhole } from './whole.js'

export const CONDITIONS = ['if-none-match', 'if-modified-since', 'range', 'if-range']

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
  /**
   * Whether no range is sent: the response has the ETag of another body, to whose parts a part with it could be
   * joined, or the client gets other bytes in the end.
   */
  readonly isForeign: boolean
  readonly etag: string | undefined
  readonly lastModified: string | undefined
  /** Whether a stream is read to its end, because it is stored. */
  readonly isStored: boolean
}

/**
 * Applies a request's conditions to the response that leaves, whose status and headers are on the
 * reply. The payload becomes null if the client already has the response, or one range if it asked for one.
 * RFC 9110 sections 13.2.2, 14.2, 15.3.7, 15.4.5 and 15.5.17.
 */
export function conditioned (
  request: FastifyRequest, reply: FastifyReply, payload: unknown, validators: Validators
): unknown {
  const { etag, lastModified, isForeign, isStored } = validators
  const { headers } = request
  if (reply.statusCode !== 200) return payload
  if (isNotModified(headers, etag, lastModified)) return bodiless(reply.code(304))
  if (headers.range === undefined || request.method !== 'GET' || isForeign) return payload
  const size = sizeOf(reply, payload, isStored)
  if (size === undefined) return payload
  const range = requestedRange(headers, size, etag, lastModified)
  if (range === undefined) return payload
  if (range === 'unsatisfiable') return bodiless(reply.code(416).header('content-range', `bytes */${size}`))
  reply.code(206).header('content-range', `bytes ${range.start}-${range.end}/${size}`)
  if (isWhole(payload)) return bytesOf(payload).subarray(range.start, range.end + 1)
  reply.header('content-length', range.end - range.start + 1)
  return rangeOf(payload as Readable, range)
}

/** The size of a body of which a range can be sent; undefined if that is not possible. */
function sizeOf (reply: FastifyReply, payload: unknown, isStored: boolean): number | undefined {
  if (isWhole(payload)) return bytesOf(payload).length
  const declared = headerOn(reply, 'content-length')
  return isStored || declared === undefined || !isNodeStream(payload) ? undefined : Number(declared)
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
