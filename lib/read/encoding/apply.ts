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
import { forbidsTransform, type Chosen } from './choose.js'

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

/**
 * Gives a response its chosen content coding after all hooks, when the request's conditions have been applied.
 * @param payload what leaves: null for no body
 * @param body the handler's body, if it is known
 */
export function applyCoding (
  exchange: Exchange, chosen: Chosen, payload: unknown, body: Buffer | undefined
): MaybePromise<unknown> {
  const { reply } = exchange
  const { coding, bytes, unreadable } = chosen
  withdrawCoding(reply)
  addVary(reply, VARY)
  if (unreadable !== undefined) return decoded(exchange, unreadable, payload)
  // Hooks may have encoded it themselves, or forbidden it.
  if (coding === undefined || isEncoded(reply) || forbidsTransform(headerOn(reply, 'cache-control'))) return payload
  if (reply.statusCode === 304) weakenEtag(reply)
  // To HEAD, what a GET would get.
  else if (payload === null && bytes !== undefined) describe(reply, coding, bytes)
  else if (isWhole(payload)) return encoded(exchange, { coding, bytes }, bytesOf(payload), body)
  return payload
}

function isEncoded (reply: FastifyReply): boolean {
  const coding = headerOn(reply, 'content-encoding')
  return coding !== undefined && textOf(coding)!.toLowerCase() !== 'identity'
}

/** The kept bytes if they are those of the body that leaves; else others, for this response only. */
function encoded (
  exchange: Exchange, { coding, bytes }: { readonly coding: Coding, readonly bytes: Buffer | undefined },
  plain: Buffer, body: Buffer | undefined
): MaybePromise<Buffer> {
  const { reply } = exchange
  if (bytes !== undefined && body?.equals(plain) === true) return replaced(reply, coding, bytes)
  const type = textOf(headerOn(reply, 'content-type')) ?? ''
  if (plain.length < MIN_BYTES || !isCompressible(type)) return plain
  // Plain, if too many are being encoded, or it does not become smaller.
  return exchange.route.runtime.encodings.now(coding, plain)
    ?.then((made) => made === undefined ? plain : replaced(reply, coding, made)) ?? plain
}

/** The body without a coding of the handler's that the client cannot read; as it is, if that is not possible. */
function decoded ({ route, reply }: Exchange, coding: Coding, payload: unknown): MaybePromise<unknown> {
  const codec = codecOf(coding)!
  if (reply.statusCode === 206) return payload
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

/** The encoded bytes differ from the plain ones that a strong ETag stands for (RFC 9110 section 8.8.3.3). */
function weakenEtag (reply: FastifyReply): void {
  const etag = textOf(headerOn(reply, 'etag'))
  if (etag !== undefined) setHeaderOn(reply, 'etag', weakened(etag))
}
