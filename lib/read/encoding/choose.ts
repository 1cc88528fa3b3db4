import type { FastifyRequest } from 'fastify'
import { codecOf, isCoding, type Coding, type Encoded } from '../../encoding/codings.js'
import { isCompressible, MIN_BYTES } from '../../encoding/compressible.js'
import { headerOn, type ReplyHeaders } from '../../fastify/private-state.js'
import { isAcceptable } from '../../http/accept-encoding.js'
import { textOf, type HeaderValue } from '../../http/headers.js'
import type { Exchange } from '../exchange.js'

/** What was chosen for a response that depends on Accept-Encoding (RFC 9110 section 12.5.3). */
export interface Chosen {
  /** The coding to send the body in; undefined if it is not to be encoded. */
  readonly coding: Coding | undefined
  /** The body in that coding, if it is kept. */
  readonly bytes: Buffer | undefined
  /** A coding of the handler's own that the client cannot read. */
  readonly unreadable: Coding | undefined
}

/** Whether the body leaves without a coding of the handler's. */
export const isToBeDecoded = (chosen: Chosen | undefined): boolean => chosen?.unreadable !== undefined

/** A body before a content coding of this plugin. */
export interface PlainBody {
  readonly length: number
  readonly encoded: Encoded | undefined
}

/** Fields about the very bytes of a response (RFC 9530, RFC 3230, RFC 1864). */
const DIGESTS = ['content-digest', 'repr-digest', 'digest', 'content-md5']

const NO_TRANSFORM = /(?:^|[\s,])no-transform(?:$|[\s,])/i

/**
 * Chooses the content coding of a response.
 * @param headers those that are about to be put on the reply
 * @returns undefined if it is the same for all clients, whatever they accept
 */
export function choose (
  { route, request, reply }: Exchange, headers: ReplyHeaders, body: PlainBody
): Chosen | undefined {
  const preferred = route.policy.encoding?.preferred
  const header = (name: string): HeaderValue => headers[name] ?? headerOn(reply, name)
  if (preferred === undefined || isFixed(header)) return undefined
  const accepted = request.headers['accept-encoding']
  const own = header('content-encoding')
  if (own !== undefined && own !== 'identity') return chooseOwn(codingNamed(own), accepted)
  const type = header('content-type')
  if (body.length < MIN_BYTES || type === undefined || !isCompressible(textOf(type)!)) return undefined
  const coding = wantsPlain(request) ? undefined : preferred(accepted)
  return { coding, bytes: coding && body.encoded?.[coding], unreadable: undefined }
}

/** Whether the bytes of a response must not become others. */
const isFixed = (header: (name: string) => HeaderValue): boolean =>
  forbidsTransform(header('cache-control')) || DIGESTS.some((name) => header(name) !== undefined)

/** Ranges are of the plain body. */
const wantsPlain = ({ headers }: FastifyRequest): boolean =>
  headers.range !== undefined || forbidsTransform(headers['cache-control'])

/** What the handler has encoded itself is left alone, except for clients that cannot read it. */
function chooseOwn (coding: string, accepted: HeaderValue): Chosen | undefined {
  if (!isCoding(coding) || codecOf(coding) === undefined) return undefined
  return { coding: undefined, bytes: undefined, unreadable: isAcceptable(accepted, coding) ? undefined : coding }
}

/** The name of a coding in a Content-Encoding (RFC 9110 sections 8.4.1 and 8.4.1.3). */
export function codingNamed (contentEncoding: HeaderValue): string {
  const name = textOf(contentEncoding)?.toLowerCase() ?? 'identity'
  return name === 'x-gzip' ? 'gzip' : name
}

/** RFC 9111 sections 5.2.1.6 and 5.2.2.6. */
export const forbidsTransform = (cacheControl: HeaderValue): boolean =>
  cacheControl !== undefined && NO_TRANSFORM.test(textOf(cacheControl)!)
