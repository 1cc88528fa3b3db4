import type { FastifyReply } from 'fastify'
import type { HeaderValue } from '../http/headers.js'

/** Where Fastify keeps a reply's headers: behind a symbol that it does not export. */
let ownHeaders: symbol | undefined

/**
 * Puts headers, whose names are in lower case, on a reply. Where it has none yet the object itself
 * becomes the reply's: one at a time they cost a HIT more than all else that the plugin does.
 */
export function putHeaders (reply: FastifyReply, headers: Record<string, HeaderValue>): void {
  ownHeaders ??= Object.getOwnPropertySymbols(reply).find(({ description }) => description === 'fastify.reply.headers')
  const kept = reply as unknown as Record<symbol, Record<string, HeaderValue> | undefined>
  const before = ownHeaders === undefined ? undefined : kept[ownHeaders]
  if (before !== undefined && Object.keys(before).length === 0) kept[ownHeaders!] = headers
  else reply.headers(headers)
}
