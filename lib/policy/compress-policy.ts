import { LRUCache } from 'lru-cache'
import { CODINGS, codecOf, isCoding, type Coding } from '../encoding/codings.js'
import { preferredCoding } from '../http/accept-encoding.js'
import { textOf, type HeaderValue } from '../http/headers.js'
import { isBoolean, type Fields } from './fields.js'

/** Fields of a read policy for content codings. */
export interface CompressDefaults {
  /**
   * Sends bodies from 1 KB in a content coding, and keeps them in it: a HIT then costs as much as a plain one.
   * `true`, or codings in the order of preference; default `['br', 'zstd', 'gzip']` as far as Node has them.
   * As an option of the plugin it does not apply to routes whose `scope` is a function. Default false.
   */
  compress?: boolean | readonly Coding[]
  /**
   * Keeps such bodies in the first of these codings only: a fraction of the memory, and of the bytes from Redis. They
   * are decoded for clients and hooks that need them plain. Default false.
   */
  storeCompressed?: boolean
}

/** What a route does with content codings. */
export interface CompiledEncoding {
  /** The coding that a client gets, by its Accept-Encoding; itself undefined if responses are sent as they are. */
  readonly preferred: ((acceptEncoding: HeaderValue) => Coding | undefined) | undefined
  /** The only coding in which bodies are kept; undefined if they are kept as they are. */
  readonly stored: Coding | undefined
}

export interface CompiledCompressPolicy {
  /** Undefined if bodies are kept and sent as they are. */
  readonly encoding: CompiledEncoding | undefined
}

export const compressFields: Fields<CompressDefaults> = {
  compress: {
    accepts: (value) => isBoolean(value) || (Array.isArray(value) && value.length > 0 && value.every(isCoding)),
    expects: `true, false or a list of ${CODINGS.map((coding) => `'${coding}'`).join(', ')}`
  },
  storeCompressed: { accepts: isBoolean, expects: 'true or false' }
}

/** @param own what the route itself says: of responses with one caller's secrets nobody else decides (BREACH) */
export function compileCompress (
  { compress = false, storeCompressed = false, scope }: CompressDefaults & { scope?: unknown }, own: CompressDefaults
): CompiledCompressPolicy {
  const isPrivate = typeof scope === 'function' && own.compress === undefined
  const listed = Array.isArray(compress) ? compress as readonly Coding[] : CODINGS
  const codings = [...new Set(listed)].filter((coding) => codecOf(coding) !== undefined)
  const preferred = compress === false || isPrivate || codings.length === 0 ? undefined : remembered(codings)
  const stored = storeCompressed ? codings[0] ?? 'br' : undefined
  return { encoding: preferred === undefined && stored === undefined ? undefined : { preferred, stored } }
}

/** Clients send few different headers. */
const MAX_HEADERS = 100
const MAX_HEADER_LENGTH = 100

function remembered (codings: readonly Coding[]): CompiledEncoding['preferred'] {
  const known = new LRUCache<string, Coding | 'identity'>({ max: MAX_HEADERS })
  return (acceptEncoding) => {
    const header = textOf(acceptEncoding)
    if (header === undefined) return undefined
    let preferred = known.get(header)
    if (preferred === undefined) {
      preferred = preferredCoding(header, codings) ?? 'identity'
      if (header.length <= MAX_HEADER_LENGTH) known.set(header, preferred)
    }
    return preferred === 'identity' ? undefined : preferred
  }
}
