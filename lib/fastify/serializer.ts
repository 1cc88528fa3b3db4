import type { FastifyReply } from 'fastify'
import { ownSerializer, serializerOf } from './private-state.js'

/** Whether a hook or the handler chose a serializer for this reply, or that cannot be seen. */
export const mayHaveSerializer = (reply: FastifyReply): boolean => ownSerializer(reply) !== null

/** Whether `reply.send` may change a string with a serializer that this plugin cannot see. */
export const isSerializedUnseen = (reply: FastifyReply): boolean =>
  ownSerializer(reply) === undefined && reply.hasHeader('content-type')

const JSON_WITHOUT_CHARSET = /^[^;]*json(?!.*charset)/i

/** Whether this is a JSON type without charset. Fastify adds one if it sends a string without a serializer. */
export const lacksCharset = (type: string): boolean => JSON_WITHOUT_CHARSET.test(type)

/** Whether `reply.send` would change a string of this type, or its Content-Type. */
export function isChangedBySend (reply: FastifyReply, type: string | string[] | undefined): boolean {
  return (typeof type === 'string' && lacksCharset(type)) || mayHaveSerializer(reply)
}

/**
 * Makes Fastify serialize `payload` as `serialized`. Any other payload, such as that of an error in
 * a later hook, is serialized as usual.
 */
export function serializeOnce (reply: FastifyReply, payload: unknown, serialized: string | Buffer): void {
  const own = serializerOf(reply)
  reply.serializer((given) => {
    // null means no serializer; Fastify's types leave that out.
    reply.serializer((own ?? null) as (given: unknown) => string)
    if (given === payload) return serialized as string
    if (own !== undefined) return own(given) as string
    return typeof given === 'string' ? given : serialize(reply, given) as string
  })
}

/** A payload as Fastify would serialize it on this reply. */
export function serialize (reply: FastifyReply, payload: unknown): string | Buffer {
  const byType = byContentType(reply)
  const serialized: unknown = byType === undefined ? reply.serialize(payload) : serializeWith(byType, reply, payload)
  return Buffer.isBuffer(serialized) ? serialized : String(serialized)
}

/** A serializer of the reply or the application comes first. If there is none, `reply.serialize` throws here. */
function serializeWith (byType: (payload: unknown) => string, reply: FastifyReply, payload: unknown): unknown {
  try {
    return reply.serialize(payload)
  } catch {
    return byType(payload)
  }
}

/** The serializer of a response schema that has one per content type, which `reply.serialize` does not support. */
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
