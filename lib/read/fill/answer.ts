import type { FastifyReply } from 'fastify'
import type { Readable } from 'node:stream'
import { lacksCharset, serializerOf } from '../../fastify/serializer.js'
import { storableDifference, textOf, type HeaderDifference, type Headers } from '../../http/headers.js'
import type { BodyKind } from '../../entry/entry.js'
import { headersOf } from '../../fastify/reply-headers.js'

/** What a handler answered, before any hook saw it. */
export interface Answer {
  readonly status: number
  /** All headers of the reply at that moment. */
  readonly headers: Headers
  /** Of them, what the handler did. */
  readonly own: HeaderDifference
  /** The Content-Type that Fastify gives the whole answer; hooks behind the handler may set another for one caller. */
  readonly type: string | undefined
  readonly kind: BodyKind
  /** Undefined while a stream runs. */
  readonly body: Buffer | undefined
  /** The body as text, of a text. */
  readonly text?: string
}

/** The kinds of payload that Fastify sends without serializing them. */
export type Payload =
  | { readonly as: 'error' | 'object' | 'other' }
  | { readonly as: 'empty' | 'text' | 'bytes', readonly body: Buffer }
  | { readonly as: 'node', readonly stream: Readable }
  | { readonly as: 'web', readonly stream: ReadableStream }
  | { readonly as: 'response', readonly response: Response }

/** What Fastify will take a payload for; bytes are copied, as their owner may write to them again. */
export function payloadOf (payload: unknown): Payload {
  if (payload === undefined) return { as: 'empty', body: Buffer.alloc(0) }
  if (typeof payload === 'string') return { as: 'text', body: Buffer.from(payload) }
  if (typeof payload !== 'object' || payload === null) return { as: 'object' }
  if (payload instanceof Error) return { as: 'error' }
  if (ArrayBuffer.isView(payload)) {
    return { as: 'bytes', body: Buffer.from(new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength)) }
  }
  if ('pipe' in payload && typeof payload.pipe === 'function') return { as: 'node', stream: payload as Readable }
  if ('getReader' in payload && typeof payload.getReader === 'function') return { as: 'web', stream: payload as ReadableStream }
  if (Object.prototype.toString.call(payload) === '[object Response]') return { as: 'response', response: payload as Response }
  return { as: 'object' }
}

/** The answer as the reply stands now; `before` are the headers from before the handler ran. */
export function answerOf (reply: FastifyReply, before: Headers, kind: BodyKind, body?: Buffer, text?: string): Answer {
  const headers = headersOf(reply)
  const type = body === undefined ? textOf(headers['content-type']) : contentTypeOf(reply, kind)
  return { status: reply.statusCode, headers, own: storableDifference(before, headers), type, kind, body, text }
}

/** The Content-Type of a whole body, as `reply.send` completes it. */
function contentTypeOf (reply: FastifyReply, kind: BodyKind): string | undefined {
  const type = textOf(reply.getHeader('content-type'))
  if (type === undefined) return DEFAULT_TYPES[kind]
  return kind === 'text' && serializerOf(reply) === undefined && lacksCharset(type)
    ? `${type.replace(/[;\s]+$/, '')}; charset=utf-8`
    : type
}

const DEFAULT_TYPES: Readonly<Record<BodyKind, string | undefined>> = {
  text: 'text/plain; charset=utf-8',
  bytes: 'application/octet-stream',
  empty: undefined
}

/** The answer in a `Response`, whose status and headers Fastify puts on the reply later. */
export function answerOfResponse (reply: FastifyReply, before: Headers, response: Response): Answer {
  const headers = headersOf(reply)
  for (const [name, value] of response.headers) headers[name] = name === 'set-cookie' ? [value] : value
  return {
    status: response.status,
    headers,
    own: storableDifference(before, headers),
    type: textOf(headers['content-type']),
    kind: response.body === null ? 'empty' : 'bytes',
    body: response.body === null ? Buffer.alloc(0) : undefined
  }
}
