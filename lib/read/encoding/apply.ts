import { pipeline, Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { codecOf, CODINGS, type Coding } from '../../encoding/codings.js'
import { isCompressible, MIN_BYTES } from '../../encoding/compressible.js'
import { isWebStream } from '../../fastify/payload.js'
import { headerOn, setHeaderOn } from '../../fastify/private-state.js'
import { textOf, type HeaderValue } from '../../http/headers.js'
import { weakened } from '../../http/validators.js'
import type { MaybePromise } from '../../store/contract.js'
import type { Exchange } from '../exchange.js'
import { addVary } from '../response-stage.js'
import { bytesOf, isWhole } from '../whole.js'
import { codingNamed, forbidsTransform, type Chosen } from './choose.js'

export const VARY = ['accept-encoding']

/**
 * The Content-Encoding while hooks see the text of a body that is kept in a coding, so that none of them
 * encodes it. A hook that does so all the same sets a string: these lists are recognized as objects.
 */
const ANNOUNCED = new Map<Coding, string[]>(CODINGS.map((coding) => [coding, [coding]]))
const ANNOUNCEMENTS = new Set<HeaderValue>(ANNOUNCED.values())

/** Announces the coding of a kept body to the hooks. */
export function announceCoding (reply: FastifyReply, { coding, bytes }: Chosen): void {
  if (coding !== undefined && bytes !== undefined) setHeaderOn(reply, 'content-encoding', ANNOUNCED.get(coding))
}

/** Takes the announcement back, if it is still there. */
export function withdrawCoding (reply: FastifyReply): void {
  if (ANNOUNCEMENTS.has(headerOn(reply, 'content-encoding'))) reply.removeHeader('content-encoding')
}

/** The Content-Encoding of a body; undefined if it has none, or if it is only announced. */
export function codingOn (reply: FastifyReply): HeaderValue {
  const coding = headerOn(reply, 'content-encoding')
  return coding === undefined || ANNOUNCEMENTS.has(coding) || codingNamed(coding) === 'identity' ? undefined : coding
}

/**
 * Gives a response its chosen content coding after all hooks, when the request's conditions have been applied.
 * @param chosen with the kept bytes only if those are of the body that leaves
 * @param payload what leaves: null for no body
 */
export function applyCoding (exchange: Exchange, chosen: Chosen, payload: unknown): MaybePromise<unknown> {
  const { request, reply } = exchange
  const { coding, bytes, unreadable } = chosen
  withdrawCoding(reply)
  addVary(reply, VARY)
  // Hooks may have forbidden it, or encoded it themselves.
  if (forbidsTransform(headerOn(reply, 'cache-control'))) return payload
  if (unreadable !== undefined) return decoded(exchange, unreadable, payload)
  if (coding === undefined || codingOn(reply) !== undefined) return payload
  if (reply.statusCode === 304) weakenEtag(reply)
  else if (request.method === 'HEAD') describeUnsent(reply, coding, bytes)
  else if (isWhole(payload)) return bytes ? replaced(reply, coding, bytes) : encoded(exchange, coding, payload)
  return payload
}

/** Bytes for this response only. The body as it is, if too many are being encoded, or if it does not become smaller. */
function encoded ({ route, reply }: Exchange, coding: Coding, body: string | Uint8Array): MaybePromise<unknown> {
  const plain = bytesOf(body)
  const type = textOf(headerOn(reply, 'content-type')) ?? ''
  if (plain.length < MIN_BYTES || !isCompressible(type)) return body
  return route.runtime.encodings.now(coding, plain)
    ?.then((made) => made === undefined ? body : replaced(reply, coding, made)) ?? body
}

/** The body without a coding of the handler's that the client cannot read; as it is, if that is not possible. */
function decoded ({ route, reply }: Exchange, coding: Coding, payload: unknown): MaybePromise<unknown> {
  const codec = codecOf(coding)!
  // A hook may have sent a range, or another coding.
  if (reply.statusCode === 206 || (payload !== null && codingNamed(codingOn(reply)) !== coding)) return payload
  if (isWhole(payload)) {
    return codec.decode(bytesOf(payload), route.policy.maxBytes).then((plain) => {
      undescribe(reply)
      return plain
    }, () => payload)
  }
  undescribe(reply)
  if (payload === null || payload === undefined) return payload
  const decoder = codec.decoder()
  // The reader gets errors from the decoder.
  pipeline(isWebStream(payload) ? Readable.fromWeb(payload) : payload as Readable, decoder, () => {})
  return decoder
}

function undescribe (reply: FastifyReply): void {
  reply.removeHeader('content-encoding').removeHeader('content-length')
  weakenEtag(reply)
}

function replaced (reply: FastifyReply, coding: Coding, bytes: Buffer): Buffer {
  describe(reply, coding, bytes)
  return bytes
}

/** Length, coding and validator of an encoded body. */
function describe (reply: FastifyReply, coding: Coding, { length }: Buffer): void {
  if (headerOn(reply, 'content-length') !== undefined) reply.header('content-length', length)
  setHeaderOn(reply, 'content-encoding', coding)
  weakenEtag(reply)
}

/** To HEAD, what a GET would get. Without the bytes, nobody knows their length, or whether they would be fewer. */
function describeUnsent (reply: FastifyReply, coding: Coding, bytes: Buffer | undefined): void {
  if (bytes !== undefined) return describe(reply, coding, bytes)
  reply.removeHeader('content-length')
  weakenEtag(reply)
}

/** The encoded bytes differ from the plain ones that a strong ETag stands for (RFC 9110 section 8.8.3.3). */
function weakenEtag (reply: FastifyReply): void {
  const etag = textOf(headerOn(reply, 'etag'))
  if (etag !== undefined) setHeaderOn(reply, 'etag', weakened(etag))
}
