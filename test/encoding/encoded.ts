import * as zlib from 'node:zlib'
import type { Answered } from '../http/ask.js'

const { brotliCompressSync, brotliDecompressSync, constants, gunzipSync, gzipSync } = zlib

/** JSON that becomes a third in any coding, each level a little smaller than the one before. */
export const rowsOf = (count: number): Array<Record<string, unknown>> => Array.from({ length: count }, (_, id) => ({
  id, name: `name ${(id * 7919) % 1000}`, mail: `${(id * 104729) % 9973}@example.org`, isActive: id % 3 === 0
}))

export const rows = rowsOf(300)
export const text = JSON.stringify(rows)

/** A body as a client of its Content-Encoding reads it. */
export function plainOf ({ bytes, headers }: Answered): string {
  switch (headers['content-encoding']) {
    case 'gzip': return gunzipSync(bytes).toString()
    case 'br': return brotliDecompressSync(bytes).toString()
    case 'zstd': return (zlib as unknown as { zstdDecompressSync: typeof gunzipSync }).zstdDecompressSync(bytes).toString()
    default: return bytes.toString()
  }
}

/** The bytes that are kept for a body; those that are made for one response are others. */
export const kept = {
  br: (body: string) => brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 10 } }),
  gzip: (body: string) => gzipSync(body, { level: 9 })
}

export const codingOf = ({ headers }: Answered): string => headers['content-encoding'] ?? 'identity'
