import { codecOf, CODINGS } from '../../encoding/codings.js'
import { lengthOf, type Entry } from '../../entry/entry.js'
import { hasOtherOnSendHooks } from '../../fastify/private-state.js'
import type { MaybePromise } from '../../store/contract.js'
import type { Exchange, Hit } from '../exchange.js'
import { choose } from './choose.js'

/** Why an entry is not used that is kept in codings only, none of which can be decoded here. */
export const UNREADABLE = 'unreadable'

/**
 * A HIT of an entry that is kept in a content coding only, with its plain body where that is needed.
 * @param isSeen whether a framework gets the body before it is sent
 * @returns undefined if it cannot be decoded
 */
export function readable (exchange: Exchange, hit: Hit, isSeen: boolean): MaybePromise<Hit | undefined> {
  const { entry } = hit
  if (!isSeen && !hasOtherOnSendHooks(exchange.request) && isKeptFor(exchange, entry)) return hit
  return decoded(entry, exchange.route.policy.maxBytes).then((body) => body && {
    ...hit, entry: { ...entry, body, plainLength: undefined }
  })
}

/** Whether the client gets the body as it is kept. */
function isKeptFor (exchange: Exchange, entry: Entry): boolean {
  const { headers, defaultHeaders } = entry
  const type = headers['content-type'] ?? defaultHeaders?.['content-type']
  const body = { length: lengthOf(entry), encoded: entry.encoded }
  return choose(exchange, { ...headers, 'content-type': type }, body)?.bytes !== undefined
}

/** Undefined if it is damaged, or if this Node lacks the coding. */
async function decoded ({ encoded, plainLength = 0 }: Entry, maxBytes: number): Promise<Buffer | undefined> {
  for (const coding of CODINGS) {
    const bytes = encoded?.[coding]
    const codec = codecOf(coding)
    if (bytes === undefined || codec === undefined || plainLength > maxBytes) continue
    const body = await codec.decode(bytes, plainLength).catch(() => undefined)
    if (body?.length === plainLength) return body
  }
  return undefined
}
