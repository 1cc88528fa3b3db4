import { pipeline, Transform, type Readable } from 'node:stream'

/** The body of a stream that ended without error; undefined if it was too large. */
export type Captured = Buffer | undefined

/** Collects chunks up to a limit. */
class Collector {
  readonly #limit: number
  #chunks: Buffer[] | undefined = []
  #size = 0

  constructor (limit: number) {
    this.#limit = limit
  }

  add (chunk: Uint8Array | string): void {
    if (this.#chunks === undefined) return
    // Copied, because its owner may change it later.
    const bytes = Buffer.from(chunk)
    this.#size += bytes.length
    if (this.#size > this.#limit) this.#chunks = undefined
    else this.#chunks.push(bytes)
  }

  body (): Captured {
    return this.#chunks && Buffer.concat(this.#chunks)
  }
}

/** A stream whose content is captured while it is read. */
export interface Capturing<T> {
  readonly stream: T
  /** Destroys the source if the stream is no longer read. */
  close(): void
}

/**
 * Captures a stream while it is read. `ended` is called after the last chunk, before the reader gets
 * the end. An error of the source reaches the reader; if the reader stops, the source is destroyed.
 */
export function captureNodeStream (
  source: Readable, limit: number, ended: (body: Captured) => void
): Capturing<Readable> {
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
  // The reader gets errors from the tap itself.
  pipeline(source, tap, () => {})
  return { stream: tap, close () { tap.destroy() } }
}

/** The same for a web stream. */
export function captureWebStream (
  source: ReadableStream, limit: number, ended: (body: Captured) => void
): Capturing<ReadableStream> {
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

interface Discardable {
  destroy?: () => void
  cancel?: () => Promise<void>
  body?: unknown
}

/** Destroys the source of a payload that is not sent. */
export function discard (payload: unknown): void {
  const { destroy, cancel, body } = (payload ?? {}) as Discardable
  if (typeof destroy === 'function') destroy.call(payload)
  // Rejects if the stream has a reader, which then is responsible for it.
  else if (typeof cancel === 'function') cancel.call(payload).catch(() => {})
  else if (typeof payload === 'object' && body !== undefined && body !== null) discard(body)
}
