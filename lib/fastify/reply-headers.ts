import type { FastifyReply } from 'fastify'
import type { HeaderValue } from '../http/headers.js'

/** Where Fastify keeps a reply's headers: behind a symbol that it does not export. */
let kHeaders: symbol | undefined

function ownHeaders (reply: FastifyReply): Record<string, HeaderValue> | undefined {
  kHeaders ??= Object.getOwnPropertySymbols(reply).find(({ description }) => description === 'fastify.reply.headers')
  return kHeaders === undefined ? undefined : (reply as unknown as Record<symbol, Record<string, HeaderValue> | undefined>)[kHeaders]
}

/**
 * A copy of the headers that a reply has now, names in lower case. Not by `reply.getHeaders()`
 * where hooks wrote nothing to the raw response: V8 is slow with what its spread makes.
 */
export function headersOf (reply: FastifyReply): Record<string, HeaderValue> {
  const own = ownHeaders(reply)
  return own === undefined || reply.raw.getHeaderNames().length > 0 ? reply.getHeaders() : Object.assign({}, own)
}

/**
 * Puts headers, whose names are in lower case, on a reply. Where it has none yet the object itself
 * becomes the reply's: one at a time they cost a HIT more than all else that the plugin does.
 */
export function putHeaders (reply: FastifyReply, headers: Record<string, HeaderValue>): void {
  const own = ownHeaders(reply)
  if (own !== undefined && Object.keys(own).length === 0) (reply as unknown as Record<symbol, unknown>)[kHeaders!] = headers
  else reply.headers(headers)
}
