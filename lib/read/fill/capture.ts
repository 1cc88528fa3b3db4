import { pipeline, Transform, type Readable } from 'node:stream'

/** What a body came to when its stream ended well; undefined when it was too large to keep. */
export type Captured = Buffer | undefined

/** Keeps what passes, up to a limit. */
class Collector {
  readonly #limit: number
  #chunks: Buffer[] | undefined = []
  #size = 0

  constructor (limit: number) {
    this.#limit = limit
  }

  add (chunk: Uint8Array | string): void {
    if (this.#chunks === undefined) return
    // Copied: its owner may write to it again.
    const bytes = Buffer.from(chunk)
    this.#size += bytes.length
    if (this.#size > this.#limit) this.#chunks = undefined
    else this.#chunks.push(bytes)
  }

  body (): Captured {
    return this.#chunks && Buffer.concat(this.#chunks)
  }
}

/** A stream that is kept while its reader reads it. */
export interface Capturing<T> {
  readonly stream: T
  /** Frees the source when nobody reads the stream any more. */
  close(): void
}

/**
 * The same stream; `ended` is called when all of it has passed well, before its reader learns of
 * the end. A source that fails or is cut off fails the reader, a reader that goes away frees the
 * source.
 */
export function captureNodeStream (source: Readable, limit: number, ended: (body: Captured) => void): Capturing<Readable> {
  const collector = new Collector(limit)
  const tap = new Transform({
    writableObjectMode: true,
    transform (chunk: Uint8Array | string, _encoding, done) {
      collector.add(chunk)
      done(null, chunk)
    },
    flush (done) {
      ended(collector.body())
      done()
    }
  })
  // The reader hears of an error from the tap itself.
  pipeline(source, tap, () => {})
  return { stream: tap, close () { tap.destroy() } }
}

/** The same for a web stream. */
export function captureWebStream (source: ReadableStream, limit: number, ended: (body: Captured) => void): Capturing<ReadableStream> {
  const collector = new Collector(limit)
  const tap = new TransformStream({
    transform (chunk: Uint8Array | string, controller) {
      collector.add(chunk)
      controller.enqueue(chunk)
    },
    flush () { ended(collector.body()) }
  })
  const closing = new AbortController()
  return { stream: source.pipeThrough(tap, { signal: closing.signal }), close () { closing.abort() } }
}

/** Frees the source of a payload that is not sent after all. */
export function discard (payload: unknown): void {
  const { destroy, cancel, body } = (payload ?? {}) as { destroy?: () => void, cancel?: () => Promise<void>, body?: unknown }
  if (typeof destroy === 'function') destroy.call(payload)
  // One that has a reader is the reader's business.
  else if (typeof cancel === 'function') cancel.call(payload).catch(() => {})
  else if (typeof payload === 'object' && body !== undefined && body !== null) discard(body)
}

/** Longest time, in milliseconds, that a stream is read which no client waits for. */
const DRAIN_MILLISECONDS = 1_000

/** Reads streams that no client waits for, so that they are stored: one for each key at a time, and none for long. */
export class Drains {
  readonly #keys = new Set<string>()

  /** Reads a stream to its end; one that is larger than `limit` bytes, or takes too long, is closed. */
  async read (key: string, limit: number, { stream, close }: Capturing<AsyncIterable<Uint8Array | string>>): Promise<void> {
    if (this.#keys.has(key)) return close()
    this.#keys.add(key)
    const timer = setTimeout(close, DRAIN_MILLISECONDS).unref()
    let size = 0
    try {
      for await (const chunk of stream) {
        size += chunk.length
        // Leaving the loop closes the stream.
        if (size > limit) return
      }
    } catch {
      // A source that failed, or was closed, was not captured either.
    } finally {
      clearTimeout(timer)
      this.#keys.delete(key)
    }
  }
}
