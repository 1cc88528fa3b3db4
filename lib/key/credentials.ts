import type { FastifyRequest } from 'fastify'

const A = 'a'.charCodeAt(0)
const C = 'c'.charCodeAt(0)
/** The bit that makes an ASCII letter lower case. */
const SMALL = 0x20

/**
 * Whether a request has Authorization or a cookie, which a hook may have added, or had one when it
 * arrived: if a hook has removed it, the response still belongs to one user. Every HIT checks this, so
 * few names are converted to lower case.
 */
export function hasCredentials ({ headers }: FastifyRequest, { raw }: FastifyRequest): boolean {
  if (headers.authorization !== undefined || headers.cookie !== undefined) return true
  // Names and values alternate. A server other than Node's may not have this list.
  const lines = raw.rawHeaders as readonly string[] | undefined ?? []
  for (let index = 0; index < lines.length; index += 2) {
    const name = lines[index]!
    if (name.length === 13 && (name.charCodeAt(0) | SMALL) === A && name.toLowerCase() === 'authorization') return true
    if (name.length === 6 && (name.charCodeAt(0) | SMALL) === C && name.toLowerCase() === 'cookie') return true
  }
  return false
}
