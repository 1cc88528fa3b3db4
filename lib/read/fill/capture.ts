import { pipeline, Readable, Writable } from 'node:stream'

/** The body of a stream that ended without error; undefined if it was too large. */
export type Captured = Buffer | undefined

/** Who wants the body of a stream besides its reader. */
export interface CaptureListener {
  /** Called after the last chunk, before the reader gets the end; with undefined once the body is too large. */
  captured (body: Captured): void
  /** The source failed; without an error if nobody reads it any more. */
  failed (error?: unknown): void
  /** Whether the source is to be read on without its reader. Then `stop` is called when that is over. */
  readsOn (stop: () => void): boolean
}

/** Collects chunks up to a limit. */
class Collector {
  readonly #limit: number
  readonly #listener: CaptureListener
  #chunks: Buffer[] | undefined = []
  #size = 0

  constructor (limit: number, listener: CaptureListener) {
    this.#limit = limit
    this.#listener = listener
  }

  /** Whether the body may still be captured. */
  get isCollecting (): boolean {
    return this.#chunks !== undefined
  }

  /** Returns the chunk for the reader. */
  add (chunk: Uint8Array | string): Uint8Array | string {
    if (this.#chunks === undefined) return chunk
    // Copied, because its owner may change it later.
    const bytes = Buffer.from(chunk)
    this.#size += bytes.length
    if (this.#size <= this.#limit) {
      this.#chunks.push(bytes)
    } else {
      this.#chunks = undefined
      this.#listener.captured(undefined)
    }
    return bytes
  }

  end (): void {
    if (this.#chunks !== undefined) this.#listener.captured(Buffer.concat(this.#chunks))
  }
}

/** A stream whose content is captured while it is read. */
export interface Capturing<T> {
  readonly stream: T
  /** Ends it for its reader. The source is destroyed, unless others wait for its body. */
  close(): void
}

/**
 * Captures a stream while it is read. As long as the body may be captured, its reader does not slow the source
 * down, because others may wait for it. If they do, the source is read on when its reader stops. An error of
 * the source reaches the reader.
 */
export function captureNodeStream (
  source: Readable, limit: number, listener: CaptureListener
): Capturing<Readable> {
  const collector = new Collector(limit, listener)
  let goOn: (() => void) | undefined
  const next = (): void => {
    const resumed = goOn
    goOn = undefined
    resumed?.()
  }
  const reader = new Readable({
    highWaterMark: limit,
    read: next,
    destroy (error, done) {
      const stop = (): void => { sink.destroy() }
      if (collector.isCollecting && listener.readsOn(stop)) next()
      else stop()
      done(error)
    }
  })
  const sink = new Writable({
    objectMode: true,
    write (chunk: Uint8Array | string, _encoding, done) {
      const read = collector.add(chunk)
      if (reader.destroyed) done(collector.isCollecting ? null : new Error('nobody reads this stream'))
      else if (reader.push(read)) done()
      else goOn = done
    },
    final (done) {
      collector.end()
      reader.push(null)
      done()
    }
  })
  pipeline(source, sink, (error) => {
    if (!error) return
    listener.failed(reader.destroyed ? undefined : error)
    reader.destroy(error)
  })
  return { stream: reader, close () { reader.destroy() } }
}

/** The same for a web stream. */
export function captureWebStream (
  source: ReadableStream, limit: number, listener: CaptureListener
): Capturing<ReadableStream> {
  const collector = new Collector(limit, listener)
  const closing = new AbortController()
  let goOn: (() => void) | undefined
  let isRead = true
  let reader!: ReadableStreamDefaultController
  const leave = (): void => {
    isRead = false
    const stop = (): void => { closing.abort() }
    if (collector.isCollecting && listener.readsOn(stop)) goOn?.()
    else stop()
  }
  const stream = new ReadableStream({
    start (controller) { reader = controller },
    pull () { goOn?.() },
    cancel: leave
  }, { highWaterMark: limit, size: (chunk: Uint8Array | string) => chunk.length })
  const sink = new WritableStream({
    write (chunk: Uint8Array | string) {
      const read = collector.add(chunk)
      if (!isRead) {
        if (!collector.isCollecting) closing.abort()
        return
      }
      reader.enqueue(read)
      if (reader.desiredSize! <= 0) return new Promise<void>((resolve) => { goOn = resolve })
    },
    close () {
      collector.end()
      if (isRead) reader.close()
    }
  })
  source.pipeTo(sink, { signal: closing.signal }).catch((error: unknown) => {
    listener.failed(isRead ? error : undefined)
    if (isRead) reader.error(error)
  })
  const close = (): void => {
    leave()
    reader.error(new Error('the stream is not read to its end'))
  }
  return { stream, close }
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
