import type { FastifyRequest } from 'fastify'

const NONE: readonly string[] = []
const A = 'a'.charCodeAt(0)
const C = 'c'.charCodeAt(0)
/** What makes an ASCII letter a small one. */
const SMALL = 0x20

/** Whether a request has Authorization or a cookie: a hook may have added them. */
export function hasCredentials ({ headers }: FastifyRequest): boolean {
  return headers.authorization !== undefined || headers.cookie !== undefined
}

/**
 * Whether it had one when it arrived: a hook that has dealt with it may have taken it away, and it
 * is still somebody's request. Each HIT looks, so names are only copied where they begin like these.
 */
export function cameWithCredentials ({ raw }: FastifyRequest): boolean {
  // Names and values by turns; a server that is not Node's may have none.
  const lines = raw.rawHeaders as readonly string[] | undefined ?? NONE
  for (let index = 0; index < lines.length; index += 2) {
    const name = lines[index]!
    if (name.length === 13 && (name.charCodeAt(0) | SMALL) === A && name.toLowerCase() === 'authorization') return true
    if (name.length === 6 && (name.charCodeAt(0) | SMALL) === C && name.toLowerCase() === 'cookie') return true
  }
  return false
}
