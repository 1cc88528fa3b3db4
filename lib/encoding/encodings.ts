import { LRUCache } from 'lru-cache'
import { codecOf, type Coding } from './codings.js'

/** Most bytes of bodies that wait to be encoded. */
const MAX_WAITING_BYTES = 32 * 1024 * 1024
/** Most bodies that are encoded for one response at a time. They share the threads of libuv with all else. */
const MAX_AT_ONCE = 8
/** Most bodies of which is known that they were encoded. */
const MAX_KNOWN = 10_000

/** A body that is to be kept in a coding. */
export interface ToKeep {
  /** Names the body; another one of this name replaces it. */
  readonly name: string
  readonly coding: Coding
  readonly body: Buffer
  /** When the body was made, in milliseconds since 1970. */
  readonly madeAt: number
  /** Keeps the encoded bytes, which are fewer. Never rejects. */
  keep(bytes: Buffer): Promise<unknown>
}

/**
 * Encodes bodies off the event loop: one at a time for what is kept, and as small as is worth the time; a few at a
 * time for what is sent now.
 */
export class Encodings {
  readonly #waiting = new Map<string, ToKeep>()
  /** When a body with this name and coding was encoded last. */
  readonly #encodedAt = new LRUCache<string, number>({ max: MAX_KNOWN })
  #waitingBytes = 0
  #current: string | undefined
  #atOnce = 0

  /**
   * Encodes a body when its turn comes. Not if too much waits already: its next reader asks again. Each is encoded
   * once, whatever becomes of it.
   * @returns the end of all work that waits, if this begins it
   */
  later (job: ToKeep): Promise<void> | undefined {
    const id = `${job.coding} ${job.name}`
    if (this.#waiting.has(id) || this.#current === id || job.madeAt <= (this.#encodedAt.get(id) ?? 0)) return undefined
    if (this.#waitingBytes + job.body.length > MAX_WAITING_BYTES) return undefined
    this.#waiting.set(id, job)
    this.#waitingBytes += job.body.length
    return this.#current === undefined ? this.#work() : undefined
  }

  /**
   * Encodes a body for the response that is being sent.
   * @returns undefined if others are being encoded, or in the end if it would not be smaller
   */
  now (coding: Coding, body: Buffer): Promise<Buffer | undefined> | undefined {
    if (this.#atOnce >= MAX_AT_ONCE) return undefined
    this.#atOnce++
    return codecOf(coding)!.quick(body)
      .then((bytes) => bytes.length < body.length ? bytes : undefined, () => undefined)
      .finally(() => { this.#atOnce-- })
  }

  /** Forgets what waits. */
  close (): void {
    this.#waiting.clear()
    this.#waitingBytes = 0
  }

  async #work (): Promise<void> {
    for (const [id, job] of this.#waiting) {
      this.#waiting.delete(id)
      this.#waitingBytes -= job.body.length
      this.#current = id
      this.#encodedAt.set(id, Date.now())
      await this.#encode(job)
    }
    this.#current = undefined
  }

  async #encode ({ coding, body, keep }: ToKeep): Promise<void> {
    let bytes: Buffer
    try {
      bytes = await codecOf(coding)!.best(body)
    } catch {
      // Out of memory, for example: clients get it as they did before.
      return
    }
    if (bytes.length < body.length) await keep(bytes)
  }
}
