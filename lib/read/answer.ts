import type { FastifyReply } from 'fastify'
import type { Readable } from 'node:stream'
import { storableDifference, type HeaderDifference, type Headers } from '../http/headers.js'
import type { BodyKind } from '../store/entry.js'
import { headersOf } from './reply-headers.js'

/** What a handler answered, before any hook saw it. */
export interface Answer {
  readonly status: number
  /** All headers of the reply at that moment. */
  readonly headers: Headers
  /** Of them, what the handler did. */
  readonly own: HeaderDifference
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
  return { status: reply.statusCode, headers, own: storableDifference(before, headers), kind, body, text }
}

/** The answer in a `Response`, whose status and headers Fastify puts on the reply later. */
export function answerOfResponse (reply: FastifyReply, before: Headers, response: Response): Answer {
  const headers = headersOf(reply)
  for (const [name, value] of response.headers) headers[name] = name === 'set-cookie' ? [value] : value
  return {
    status: response.status,
    headers,
    own: storableDifference(before, headers),
    kind: response.body === null ? 'empty' : 'bytes',
    body: response.body === null ? Buffer.alloc(0) : undefined
  }
}

/** A payload as Fastify would serialize it on this reply. */
export function serialize (reply: FastifyReply, payload: unknown): string | Buffer {
  const byType = byContentType(reply)
  const serialized: unknown = byType === undefined ? reply.serialize(payload) : serializeWith(byType, reply, payload)
  return Buffer.isBuffer(serialized) ? serialized : String(serialized)
}

/** A serializer of the reply or of the application comes first; where there is none, `reply.serialize` fails here. */
function serializeWith (byType: (payload: unknown) => string, reply: FastifyReply, payload: unknown): unknown {
  try {
    return reply.serialize(payload)
  } catch {
    return byType(payload)
  }
}

/**
 * What Fastify makes of a text that a handler sends: once the reply has a content type, its own
 * serializer gets texts, too. It is kept behind a symbol that Fastify does not export.
 */
export function serializeText (reply: FastifyReply, text: string): unknown {
  const symbol = Object.getOwnPropertySymbols(reply).find(({ description }) => description === 'fastify.reply.serializer')
  const serializer: unknown = symbol && (reply as unknown as Record<symbol, unknown>)[symbol]
  if (typeof serializer !== 'function' || !reply.hasHeader('content-type')) return text
  reply.serializer((serialized) => serialized as string)
  return serializer(text)
}

/** The serializer of a response schema that has one for each content type, which `reply.serialize` does not know. */
function byContentType (reply: FastifyReply): ((payload: unknown) => string) | undefined {
  for (const status of [String(reply.statusCode), `${String(reply.statusCode)[0]}xx`, 'default']) {
    const found: unknown = reply.getSerializationFunction(status)
    if (typeof found === 'function') return undefined
    if (typeof found !== 'object' || found === null) continue
    const mediaType = String(reply.getHeader('content-type')).split(';', 1)[0]!.trim().toLowerCase()
    const types = found as Record<string, ((payload: unknown) => string) | undefined>
    return types[mediaType] ?? types['*/*'] ?? ((payload) => JSON.stringify(payload))
  }
  return undefined
}
