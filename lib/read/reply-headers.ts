import type { FastifyReply } from 'fastify'
import type { Headers, HeaderValue } from '../http/headers.js'

/** Where Fastify keeps a reply's headers: behind a symbol that it does not export. */
let symbol: symbol | undefined

function ownHeaders (reply: FastifyReply): Record<string, HeaderValue> | undefined {
  symbol ??= Object.getOwnPropertySymbols(reply).find(({ description }) => description === 'fastify.reply.headers')
  return symbol === undefined ? undefined : (reply as unknown as Record<symbol, Record<string, HeaderValue> | undefined>)[symbol]
}

/** The headers of a reply as they are now, names in lower case. Not `reply.getHeaders()` where it is not needed: V8 is slow with what its spread makes. */
export function headersOf (reply: FastifyReply): Headers {
  const own = ownHeaders(reply)
  return own === undefined || reply.raw.getHeaderNames().length > 0 ? reply.getHeaders() as Headers : Object.assign({}, own)
}

/**
 * Puts headers, whose names are in lower case, on a reply. Where it has none yet the object itself
 * becomes the reply's: one at a time they cost a HIT more than all else that the plugin does.
 */
export function putHeaders (reply: FastifyReply, headers: Record<string, HeaderValue>): void {
  const own = ownHeaders(reply)
  if (own !== undefined && Object.keys(own).length === 0) (reply as unknown as Record<symbol, unknown>)[symbol!] = headers
  else reply.headers(headers)
}
