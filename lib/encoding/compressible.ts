import { LRUCache } from 'lru-cache'
import type { MimeDb } from 'mime-db'

/** Bodies below this number of bytes are left as they are: their head is most of the response. */
export const MIN_BYTES = 1024

/** Types that are remembered. An application has a few, but they may come from its users. */
const MAX_TYPES = 200

/** Text, and the structured suffixes of RFC 6839 that are text, whether registered or not. */
const TEXTUAL = /^text\/|\+(?:json|xml|text)$/

const known = new LRUCache<string, boolean>({ max: MAX_TYPES })
let database: MimeDb | undefined

/** Whether bodies of this Content-Type usually become smaller (mime-db). */
export function isCompressible (contentType: string): boolean {
  let answer = known.get(contentType)
  if (answer === undefined) {
    answer = isListed(contentType.split(';', 1)[0]!.trim().toLowerCase())
    known.set(contentType, answer)
  }
  return answer
}

function isListed (type: string): boolean {
  // Loaded for the first response of a route that compresses: it is large.
  database ??= require('mime-db') as MimeDb
  const listed = Object.hasOwn(database, type) ? database[type]!.compressible : undefined
  return listed ?? TEXTUAL.test(type)
}
