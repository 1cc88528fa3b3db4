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

/**
 * The same stream; `ended` is called when all of it has passed well, before its reader learns of
 * the end. A source that fails or is cut off fails the reader, a reader that goes away frees the
 * source.
 */
export function captureNodeStream (source: Readable, limit: number, ended: (body: Captured) => void): Readable {
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
  return tap
}

/** The same for a web stream. */
export function captureWebStream (source: ReadableStream, limit: number, ended: (body: Captured) => void): ReadableStream {
  const collector = new Collector(limit)
  return source.pipeThrough(new TransformStream({
    transform (chunk: Uint8Array | string, controller) {
      collector.add(chunk)
      controller.enqueue(chunk)
    },
    flush () { ended(collector.body()) }
  }))
}

/** Reads to its end a stream that no client waits for; what is too large to be kept is let go. */
export async function drain (stream: AsyncIterable<Uint8Array | string>, limit: number): Promise<void> {
  let size = 0
  try {
    for await (const chunk of stream) {
      size += chunk.length
      if (size > limit) return
    }
  } catch {
    // A source that failed was not captured either.
  }
}
