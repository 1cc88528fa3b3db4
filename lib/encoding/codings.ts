import type { Transform } from 'node:stream'
import { promisify } from 'node:util'
import * as zlib from 'node:zlib'

const { constants } = zlib

/** A content coding (RFC 9110 section 8.4.1, RFC 7932, RFC 8878). */
export type Coding = 'br' | 'zstd' | 'gzip'

/** A body in content codings. */
export type Encoded = Readonly<Partial<Record<Coding, Buffer>>>

/** How a coding is computed, off the event loop. */
export interface Codec {
  /** As small as is worth the time: for what is kept. */
  best(body: Buffer): Promise<Buffer>
  /** In about a millisecond for 64 KB: for one response. */
  quick(body: Buffer): Promise<Buffer>
  /**
   * @param limit most bytes that it may decode to
   * @throws Error if it would be more, or if the bytes are damaged
   */
  decode(bytes: Buffer, limit: number): Promise<Buffer>
  /** Decodes a stream. */
  decoder(): Transform
}

type Options = Record<string, unknown>
type Run = (bytes: Buffer, options: Options) => Promise<Buffer>

/** Node has zstd since 22.15. */
interface MaybeZstd {
  readonly zstdCompress?: (...args: never[]) => void
  readonly zstdDecompress?: (...args: never[]) => void
  readonly createZstdDecompress?: () => Transform
  readonly constants: { readonly ZSTD_c_compressionLevel?: number }
}

const promised = (run: unknown): Run => promisify(run as (...args: unknown[]) => void) as Run

interface Functions {
  readonly encode: Run
  readonly decode: Run
  readonly decoder: () => Transform
}

function codec ({ encode, decode, decoder }: Functions, { best, quick }: Record<'best' | 'quick', Options>): Codec {
  return {
    decoder,
    best: (body) => encode(body, best),
    quick: (body) => encode(body, quick),
    decode: (bytes, limit) => decode(bytes, { maxOutputLength: Math.max(1, limit) })
  }
}

/** 10 takes a third of the time of 11, for 4 % more bytes; 9 takes as long as 10, for 12 % more. */
const br = codec({
  encode: promised(zlib.brotliCompress), decode: promised(zlib.brotliDecompress), decoder: zlib.createBrotliDecompress
}, {
  best: { params: { [constants.BROTLI_PARAM_QUALITY]: 10 } },
  quick: { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }
})

const gzip = codec({
  encode: promised(zlib.gzip), decode: promised(zlib.gunzip), decoder: zlib.createGunzip
}, { best: { level: 9 }, quick: { level: 6 } })

function zstdOfNode (): Codec | undefined {
  const { zstdCompress: encode, zstdDecompress: decode, createZstdDecompress: decoder } = zlib as MaybeZstd
  const level = (zlib as MaybeZstd).constants.ZSTD_c_compressionLevel
  if (encode === undefined || decode === undefined || decoder === undefined || level === undefined) return undefined
  return codec({ encode: promised(encode), decode: promised(decode), decoder }, {
    best: { params: { [level]: 19 } },
    quick: { params: { [level]: 3 } }
  })
}

/** All codings, those with the smallest result first; undefined where this Node lacks one. */
const CODECS: Readonly<Record<Coding, Codec | undefined>> = { br, zstd: zstdOfNode(), gzip }

export const CODINGS = Object.keys(CODECS) as readonly Coding[]

export const isCoding = (name: unknown): name is Coding => typeof name === 'string' && Object.hasOwn(CODECS, name)

/** The codec of a coding; undefined if this Node lacks it. */
export const codecOf = (coding: Coding): Codec | undefined => CODECS[coding]
