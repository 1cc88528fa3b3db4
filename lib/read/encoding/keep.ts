import { CODINGS, type Coding } from '../../encoding/codings.js'
import { isCompressible, MIN_BYTES } from '../../encoding/compressible.js'
import type { Entry } from '../../entry/entry.js'
import { textOf } from '../../http/headers.js'
import type { CacheKey } from '../../key/cache-key.js'
import { UNAVAILABLE } from '../../store/guarded-store.js'
import { CURRENT, oldSince } from '../../store/validity.js'
import type { CachedRoute } from '../exchange.js'
import { forbidsTransform } from './choose.js'

/** The coding in which an entry is to be kept only, if it is not yet. */
export function storedCodingOf ({ policy: { encoding } }: CachedRoute, entry: Entry): Coding | undefined {
  const coding = encoding?.stored
  if (coding === undefined || entry.encoded?.[coding] !== undefined || entry.body.length < MIN_BYTES) return undefined
  const { headers, defaultHeaders } = entry
  if (headers['content-encoding'] !== undefined || forbidsTransform(headers['cache-control'])) return undefined
  const type = headers['content-type'] ?? defaultHeaders?.['content-type']
  return type !== undefined && isCompressible(textOf(type)!) ? coding : undefined
}

/** Whether the body of an entry is known not to become smaller in a coding. */
export const isFutile = (
  { runtime: { encodings } }: CachedRoute, { key: name }: CacheKey, { storedAt }: Entry, coding: Coding
): boolean => encodings.isFutile({ name, coding, madeAt: storedAt })

/**
 * Encodes the body of an entry in the background, and then keeps it in that coding, too. Both are one entry: they
 * have the same versions, and die together.
 */
export function keepEncoded (route: CachedRoute, key: CacheKey, entry: Entry, coding: Coding): void {
  const { runtime: { encodings, background } } = route
  const work = encodings.later({
    name: key.key,
    coding,
    body: entry.body,
    madeAt: entry.storedAt,
    keep: (bytes) => keep(route, key, entry, { coding, bytes })
  })
  if (work !== undefined) void background.run(work)
}

/** Nothing is kept if the entry was replaced meanwhile, or is no longer current. */
async function keep (
  { runtime: { store }, policy }: CachedRoute, { key, versions }: CacheKey, seen: Entry,
  { coding, bytes }: { readonly coding: Coding, readonly bytes: Buffer }
): Promise<void> {
  const looked = await store.lookup(key, versions)
  if (looked === UNAVAILABLE) return
  const { entry } = looked
  if (entry === undefined || oldSince(entry.versions, versions, looked.versions) !== CURRENT) return
  if (entry.encoded?.[coding] !== undefined || !haveSameBody(entry, seen)) return
  const encoded = { ...entry.encoded, [coding]: bytes }
  const isOnlyForm = entry.plainLength !== undefined || policy.encoding?.stored === coding
  const plain = isOnlyForm
    ? { body: NOTHING, text: undefined, plainLength: seen.body.length }
    : { body: entry.body, text: entry.text }
  await store.call('set', (store) => store.set(key, { ...entry, ...plain, encoded }))
}

/** @param seen has its plain body */
function haveSameBody (entry: Entry, seen: Entry): boolean {
  if (entry.plainLength === undefined) return entry.body.equals(seen.body)
  return CODINGS.some((coding) => {
    const bytes = seen.encoded?.[coding]
    return bytes !== undefined && entry.encoded?.[coding]?.equals(bytes) === true
  })
}

const NOTHING = Buffer.alloc(0)
