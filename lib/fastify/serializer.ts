import type { FastifyReply } from 'fastify'

type Serializer = (payload: unknown) => string | Buffer

/** Where Fastify keeps the serializer that `reply.serializer(…)` set: behind a symbol that it does not export. */
let kSerializer: symbol | undefined

/** The serializer that a hook or the handler chose for this reply, if one did. */
export function serializerOf (reply: FastifyReply): Serializer | undefined {
  kSerializer ??= Object.getOwnPropertySymbols(reply)
    .find(({ description }) => description === 'fastify.reply.serializer')
  const serializer: unknown = kSerializer && (reply as unknown as Record<symbol, unknown>)[kSerializer]
  return typeof serializer === 'function' ? serializer as Serializer : undefined
}

const JSON_WITHOUT_CHARSET = /^[^;]*json(?!.*charset)/i

/** Whether this is a JSON type that Fastify completes with a charset where it sends a string of it without a serializer. */
export const lacksCharset = (type: string): boolean => JSON_WITHOUT_CHARSET.test(type)

/** Whether `reply.send` does more to a string of this type than send it. */
export function isChangedBySend (reply: FastifyReply, type: string | string[] | undefined): boolean {
  return serializerOf(reply) !== undefined || (typeof type === 'string' && lacksCharset(type))
}

/**
 * Sends `payload` as `serialized`. Any other payload, such as that of an error in a later hook, is
 * serialized as if this had never been called.
 */
export function serializeOnce (reply: FastifyReply, payload: unknown, serialized: string | Buffer): void {
  const own = serializerOf(reply)
  reply.serializer((given) => {
    // Fastify stands for none by null, which its types leave out.
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

/** A serializer of the reply or of the application comes first; where there is none, `reply.serialize` fails here. */
function serializeWith (byType: (payload: unknown) => string, reply: FastifyReply, payload: unknown): unknown {
  try {
    return reply.serialize(payload)
  } catch {
    return byType(payload)
  }
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
