import type { FastifyReply } from 'fastify'
import type { Readable } from 'node:stream'
import { lacksCharset } from '../../fastify/serializer.js'
import {
  isStorableHeader, listOf, storableDifference, textOf, type HandlerHeaders, type HeaderDifference, type Headers
} from '../../http/headers.js'
import type { BodyKind } from '../../entry/entry.js'
import { isNodeStream, isResponse, isWebStream } from '../../fastify/payload.js'
import { headersOf, serializerOf } from '../../fastify/private-state.js'

/** The Content-Type of a whole response. Later hooks may change it for one request. */
export interface ContentType {
  /** The handler's own; undefined if it left that to hooks and Fastify. */
  readonly own: string | undefined
  /** The one that Fastify gives the body if no hook sets one. */
  readonly byDefault: string | undefined
}

/** What a handler sent, before hooks. */
export interface Sent {
  readonly status: number
  /** All headers of the reply at that time. */
  readonly headers: Headers
  /** What the handler did to the headers. */
  readonly own: HeaderDifference
  readonly type: ContentType
  readonly kind: BodyKind
  /** Undefined for a stream. */
  readonly body: Buffer | undefined
  /** The names of the headers that a `Response` brings. */
  readonly inResponse?: readonly string[] | undefined
  /** The body as a string, if the handler sent a string. */
  readonly text?: string | undefined
}

/** The request headers in the Vary of a handler; none if it left that to hooks. */
export function nominatedBy ({ headers, own: { set, extended } }: Sent): readonly string[] {
  return set['vary'] === undefined && extended?.['vary'] === undefined ? [] : listOf(headers['vary'])
}

/** The kinds of payload that Fastify distinguishes. */
export type Payload =
  | { readonly as: 'error' | 'object' | 'other' }
  | { readonly as: 'empty' | 'text' | 'bytes', readonly body: Buffer }
  | { readonly as: 'stream', readonly stream: Readable }
  | { readonly as: 'web-stream', readonly stream: ReadableStream }
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
  if (isNodeStream(payload)) return { as: 'stream', stream: payload }
  if (isWebStream(payload)) return { as: 'web-stream', stream: payload }
  return isResponse(payload) ? { as: 'response', response: payload } : { as: 'object' }
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

/** What the handler sends as the reply stands now. */
export function sentOn (reply: FastifyReply, own: HandlerHeaders, { kind, body, text, isSerialized }: Body): Sent {
  const headers = headersOf(reply)
  const given = textOf(headers['content-type'])
  const isLeft = own.before['content-type'] === undefined
  const isDone = body === undefined || isSerialized === true
  const type = own.set.has('content-type')
    ? { own: given === undefined || isDone ? given : completed(given, reply, kind), byDefault: undefined }
    : { own: undefined, byDefault: isLeft && isDone ? given : defaultType(reply, kind, isSerialized) }
  return { status: reply.statusCode, headers, own: storableDifference(own, headers), type, kind, body, text }
}

/** The Content-Type that `reply.send` gives a body without one. */
function defaultType (reply: FastifyReply, kind: BodyKind, isSerialized: boolean | undefined): string | undefined {
  if (isSerialized !== true) return DEFAULT_TYPES[kind]
  return serializerOf(reply) === undefined ? JSON_TYPE : undefined
}

/** The Content-Type of a string or of bytes, as `reply.send` completes it. */
function completed (type: string, reply: FastifyReply, kind: BodyKind): string {
  return kind === 'text' && lacksCharset(type) && serializerOf(reply) === undefined
    ? `${type.replace(/[;\s]+$/, '')}; charset=utf-8`
    : type
}

const JSON_TYPE = 'application/json; charset=utf-8'

const DEFAULT_TYPES: Readonly<Partial<Record<BodyKind, string>>> = {
  text: 'text/plain; charset=utf-8',
  bytes: 'application/octet-stream'
}

/** What the handler sends as a `Response`. Fastify puts its status and headers on the reply later. */
export function sentInResponse (reply: FastifyReply, own: HandlerHeaders, response: Response): Sent {
  const headers = headersOf(reply)
  for (const [name, value] of response.headers) headers[name] = name === 'set-cookie' ? [value] : value
  return {
    status: response.status,
    headers,
    own: storableDifference(own, headers),
    type: { own: response.headers.get('content-type') ?? undefined, byDefault: undefined },
    kind: 'response',
    inResponse: [...new Set(response.headers.keys())].filter((name) => isStorableHeader(name, '')),
    body: response.body === null ? Buffer.alloc(0) : undefined
  }
}
