import type { ReplyHeaders } from '../../fastify/private-state.js'
import { lengthOf, type StoredHeaders } from '../../entry/entry.js'
import { textOf, type HeaderValue } from '../../http/headers.js'
import { weakened } from '../../http/validators.js'
import type { Exchange, Hit } from '../exchange.js'
import { choose, type Chosen } from './choose.js'
import { isFutile, keepEncoded, storedCodingOf } from './keep.js'

/**
 * Chooses the content coding of a HIT. If the body is not kept in it yet, it will be: this is not its first reader.
 * @param headers those that the entry puts on the reply
 */
export function chooseForHit ({ route, ...exchange }: Exchange, hit: Hit, headers: ReplyHeaders): Chosen | undefined {
  const { entry, key, freshness } = hit
  const chosen = choose({ route, ...exchange }, headers, { length: lengthOf(entry), encoded: entry.encoded })
  const missing = chosen?.bytes === undefined ? chosen?.coding : undefined
  const wanted = entry.body.length > 0 && freshness > 0 ? storedCodingOf(route, entry) ?? missing : undefined
  if (wanted !== undefined) keepEncoded(route, key, entry, wanted)
  return missing !== undefined && isFutile(route, key, entry, missing) ? { ...chosen!, coding: undefined } : chosen
}

/** Whether the body is not kept as the client gets it. */
export const isToBeMade = ({ coding, bytes, unreadable }: Chosen): boolean =>
  (coding !== undefined && bytes === undefined) || unreadable !== undefined

/** The HIT that it would be if the handler itself had encoded the body. Changes `headers` in the same way. */
export function inCoding (hit: Hit, { coding, bytes }: Chosen, headers: ReplyHeaders): Hit {
  if (bytes === undefined) return hit
  const { entry } = hit
  headers['content-encoding'] = coding
  if (headers['etag'] !== undefined) headers['etag'] = weak(headers['etag'])
  const defaultHeaders = withWeakEtag(entry.defaultHeaders)
  const plainLength = lengthOf(entry)
  const form = { kind: 'bytes', body: bytes, text: undefined, plainLength, defaultHeaders } as const
  return { ...hit, entry: { ...entry, ...form } }
}

function withWeakEtag (defaults: StoredHeaders | undefined): StoredHeaders | undefined {
  const etag = defaults?.['etag']
  return etag === undefined ? defaults : { ...defaults, etag: weak(etag) }
}

const weak = (etag: HeaderValue): string => weakened(textOf(etag)!)
