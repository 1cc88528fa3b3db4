import type { FastifyRequest } from 'fastify'
import { escape } from './canonical.js'

const DEFAULT_PORTS: ReadonlyMap<string, string> = new Map([['http', '80'], ['https', '443']])

/** A name or an IPv6 address in brackets, and perhaps a port. */
const AUTHORITY = /^([^:]*|\[[^\]]*\])(?::(\d{0,5}))?$/

/** Most requests come to the same origin as the one before. */
let last = { protocol: '', host: '', part: ' ://' }

/**
 * The part of a key for scheme and authority of the target URI (RFC 9110 section 7.1), such as
 * ` https://shop.example`. Equivalent ones have the same (section 4.2.3): letters are in lower case,
 * and a default port is left out. A request without an authority, as HTTP/1.0 allows, has ` http://`.
 */
export function originPart ({ protocol, host }: FastifyRequest): string {
  if (protocol !== last.protocol || host !== last.host) last = { protocol, host, part: partOf(protocol, host) }
  return last.part
}

function partOf (protocol: string, host: string): string {
  const scheme = String(protocol).toLowerCase()
  const authority = host.toLowerCase()
  // What is no valid authority is escaped as a whole.
  const [, name = authority, port = ''] = AUTHORITY.exec(authority) ?? []
  const isDefault = port === '' || port === DEFAULT_PORTS.get(scheme)
  return ` ${escape(scheme)}://${escape(name)}${isDefault ? '' : `:${port}`}`
}
