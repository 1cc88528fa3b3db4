import { finished, pipeline, Transform, type Readable } from 'node:stream'
import { isNodeStream, isResponse, isWebStream } from './payload.js'

/** Called when a body has ended, and awaited before the response does. Never rejects. */
export type Ended = () => Promise<unknown> | undefined

/** Whether a payload is sent while it is produced. */
export const isStreamed = (payload: unknown): boolean =>
  isNodeStream(payload) || isWebStream(payload) || (isResponse(payload) && isStreamed(payload.body))

/**
 * The same streamed payload, but its last byte leaves after `ended`. If the body fails or the client
 * disconnects, `ended` is called when the source has closed.
 * @param length the Content-Length, with which a client knows the last byte before the end of the stream
 */
export function beforeEnd (payload: unknown, length: number | undefined, ended: Ended): unknown {
  const completes = lastChunk(length)
  if (isNodeStream(payload)) return nodeStream(payload, completes, ended)
  if (isWebStream(payload)) return payload.locked ? payload : webStream(payload, completes, ended)
  const response = payload as Response
  if (response.bodyUsed) return response
  // A proxy, because Responses of other packages have bodies of other kinds.
  const changed = new Map<string | symbol, unknown>([
    ['body', beforeEnd(response.body, length, ended)],
    ['bodyUsed', false]
  ])
  return new Proxy(response, {
    get: (target, name) => changed.has(name) ? changed.get(name) : Reflect.get(target, name, target)
  })
}

type Chunk = Uint8Array | string

function nodeStream (source: Readable, completes: (chunk: Chunk) => boolean, ended: Ended): Readable {
  const tap = new Transform({
    writableObjectMode: true,
    transform (chunk: Chunk, _encoding, done) {
      const ending = completes(chunk) ? ended() : undefined
      if (ending === undefined) done(null, chunk)
      else void ending.then(() => { done(null, chunk) })
    },
    flush (done) { void Promise.resolve(ended()).then(() => { done() }) }
  })
  pipeline(source, tap, (error) => {
    if (error != null) finished(source, () => { void ended() })
  })
  return tap
}

function webStream (source: ReadableStream, completes: (chunk: Chunk) => boolean, ended: Ended): ReadableStream {
  const tap = new TransformStream<Chunk, Chunk>({
    async transform (chunk, controller) {
      if (completes(chunk)) await ended()
      controller.enqueue(chunk)
    },
    async flush () { await ended() }
  })
  source.pipeTo(tap.writable).catch(() => { void ended() })
  return tap.readable
}

/** Tells the chunk that completes a body of a known length. */
function lastChunk (length: number | undefined): (chunk: Chunk) => boolean {
  let left = length ?? Infinity
  return (chunk) => {
    left -= Buffer.byteLength(chunk)
    return left <= 0
  }
}
