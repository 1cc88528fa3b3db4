import type { FastifyReply } from 'fastify'
import type { Readable } from 'node:stream'
import { lacksCharset, serializerOf } from '../../fastify/serializer.js'
import { storableDifference, textOf, type HeaderDifference, type Headers } from '../../http/headers.js'
import type { BodyKind } from '../../entry/entry.js'
import { headersOf } from '../../fastify/private-state.js'

/** What a handler sent, before hooks. */
export interface Sent {
  readonly status: number
  /** All headers of the reply at that time. */
  readonly headers: Headers
  /** The headers that the handler set or removed. */
  readonly own: HeaderDifference
  /** The Content-Type that Fastify gives the whole response. Later hooks may change it for one request. */
  readonly type: string | undefined
  readonly kind: BodyKind
  /** Undefined for a stream. */
  readonly body: Buffer | undefined
  /** The body as a string, if the handler sent a string. */
  readonly text?: string | undefined
}

/** What a handler sent, and what the cache derives from it. */
export interface Answer extends Sent {
  /** The request headers that select a variant of this response. */
  readonly vary: readonly string[]
  /** Age in seconds when it was sent. */
  readonly age: number
  /** Freshness lifetime in seconds. */
  readonly lifetime: number
  /** When it was sent, in milliseconds since 1970 and of `performance.now()`. */
  readonly sentAt: number
  readonly sentAtMonotonic: number
}

/** The kinds of payload that Fastify distinguishes. */
export type Payload =
  | { readonly as: 'error' | 'object' | 'other' }
  | { readonly as: 'empty' | 'text' | 'bytes', readonly body: Buffer }
  | { readonly as: 'node', readonly stream: Readable }
  | { readonly as: 'web', readonly stream: ReadableStream }
  | { readonly as: 'response', readonly response: Response }

/** The kind of a payload. Bytes are copied, because their owner may change them later. */
export function payloadOf (payload: unknown): Payload {
  if (payload === undefined) return { as: 'empty', body: Buffer.alloc(0) }
  if (typeof payload === 'string') return { as: 'text', body: Buffer.from(payload) }
  if (typeof payload !== 'object' || payload === null) return { as: 'object' }
  if (payload instanceof Error) return { as: 'error' }
  if (ArrayBuffer.isView(payload)) {
    return { as: 'bytes', body: Buffer.from(new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength)) }
  }
  if ('pipe' in payload && typeof payload.pipe === 'function') return { as: 'node', stream: payload as Readable }
  if ('getReader' in payload && typeof payload.getReader === 'function') {
    return { as: 'web', stream: payload as ReadableStream }
  }
  const isResponse = Object.prototype.toString.call(payload) === '[object Response]'
  return isResponse ? { as: 'response', response: payload as Response } : { as: 'object' }
}

/** The body to store for a payload. */
export interface Body {
  readonly kind: BodyKind
  /** Undefined while a stream runs. */
  readonly body?: Buffer | undefined
  readonly text?: string | undefined
  /** Whether a serializer made it: Fastify has given such a body its Content-Type, or none, before. */
  readonly isSerialized?: boolean | undefined
}

/** What the handler sends as the reply stands now; `before` are the headers from before it ran. */
export function sentOn (reply: FastifyReply, before: Headers, { kind, body, text, isSerialized }: Body): Sent {
  const headers = headersOf(reply)
  const given = headers['content-type'] === undefined ? undefined : String(headers['content-type'])
  const type = body === undefined || isSerialized === true ? given : completed(given, reply, kind)
  return { status: reply.statusCode, headers, own: storableDifference(before, headers), type, kind, body, text }
}

/** The Content-Type of a whole body, as `reply.send` completes it. */
function completed (type: string | undefined, reply: FastifyReply, kind: BodyKind): string | undefined {
  if (type === undefined) return DEFAULT_TYPES[kind]
  return kind === 'text' && lacksCharset(type) && serializerOf(reply) === undefined
    ? `${type.replace(/[;\s]+$/, '')}; charset=utf-8`
    : type
}

const DEFAULT_TYPES: Readonly<Record<BodyKind, string | undefined>> = {
  text: 'text/plain; charset=utf-8',
  bytes: 'application/octet-stream',
  empty: undefined
}

/** What the handler sends as a `Response`. Fastify puts its status and headers on the reply later. */
export function sentInResponse (reply: FastifyReply, before: Headers, response: Response): Sent {
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
