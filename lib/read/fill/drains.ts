import type { Capturing } from './capture.js'

/** Longest time in milliseconds to read a stream that no client waits for. */
const DRAIN_MILLISECONDS = 1_000

/** Reads streams that no client waits for, so that they are stored: one per key at a time, within a time limit. */
export class Drains {
  readonly #keys = new Set<string>()

  /** Reads a stream to its end. Closes it if it has more than `limit` bytes or takes too long. Never rejects. */
  async read (
    key: string, limit: number, { stream, close }: Capturing<AsyncIterable<Uint8Array | string>>
  ): Promise<void> {
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
      // If the source failed or was closed, nothing was captured, so nothing is stored.
    } finally {
      clearTimeout(timer)
      this.#keys.delete(key)
    }
  }
}
