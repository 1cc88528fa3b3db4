import { pipeline, Transform, type Readable } from 'node:stream'
import type { ByteRange } from '../http/range.js'

/** A range of what a stream of bytes gives. Its source is closed when the range has been read. */
export function rangeOf (source: Readable, { start, end }: ByteRange): Readable {
  let at = 0
  const range = new Transform({
    transform (given: Uint8Array | string, encoding, done) {
      const chunk = Buffer.isBuffer(given) ? given : Buffer.from(given as string, encoding)
      const part = chunk.subarray(Math.max(0, start - at), Math.max(0, end + 1 - at))
      at += chunk.length
      if (part.length > 0) range.push(part)
      if (at > end) range.end()
      done()
    }
  })
  // The reader gets errors from the range itself. That the source did not end is none.
  pipeline(source, range, () => { source.destroy() })
  return range
}
