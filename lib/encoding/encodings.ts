import { LRUCache } from 'lru-cache'
import { now } from '../entry/clock.js'
import { codecOf, type Coding } from './codings.js'

/** Most bytes of bodies that wait to be encoded. */
const MAX_WAITING_BYTES = 32 * 1024 * 1024
/** Most bodies that are encoded for one response at a time. They share the threads of libuv with all else. */
const MAX_AT_ONCE = 8
/** Most bodies of which is known that they were encoded. */
const MAX_KNOWN = 10_000
/** Milliseconds after which a body that is asked for once more is encoded again: the store has lost it, or was away. */
const LOST_AFTER = 60_000

/** Names a body in a coding. */
export interface Encodable {
  /** Another body of this name replaces it. */
  readonly name: string
  readonly coding: Coding
  /** When the body was made, in milliseconds since 1970. */
  readonly madeAt: number
}

/** A body that is to be kept in a coding. */
export interface ToKeep extends Encodable {
  readonly body: Buffer
  /** Keeps the encoded bytes, which are fewer. Never rejects. */
  keep(bytes: Buffer): Promise<unknown>
}

/**
 * Encodes bodies off the event loop: one at a time for what is kept, and as small as is worth the time; a few at a
 * time for what is sent now.
 */
export class Encodings {
  readonly #waiting = new Map<string, ToKeep>()
  /** What became of the last body with this name and coding. */
  readonly #known = new LRUCache<string, Known>({ max: MAX_KNOWN, ttlResolution: 0 })
  #waitingBytes = 0
  #current: string | undefined
  #atOnce = 0

  /**
   * Encodes a body when its turn comes. Not if too much waits already: its next reader asks again. Each is encoded
   * once, or once a minute if it is not kept.
   * @returns the end of all work that waits, if this begins it
   */
  later (job: ToKeep): Promise<void> | undefined {
    const id = idOf(job)
    if (this.#waiting.has(id) || this.#current === id || this.#knownOf(job) !== undefined) return undefined
    if (this.#waitingBytes + job.body.length > MAX_WAITING_BYTES) return undefined
    this.#waiting.set(id, job)
    this.#waitingBytes += job.body.length
    return this.#current === undefined ? this.#work() : undefined
  }

  /** Whether a body is known not to become smaller. */
  isFutile (body: Encodable): boolean {
    return this.#knownOf(body)?.isSmaller === false
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

  #knownOf (body: Encodable): Known | undefined {
    const known = this.#known.get(idOf(body))
    return known !== undefined && body.madeAt <= known.at ? known : undefined
  }

  async #work (): Promise<void> {
    for (const [id, job] of this.#waiting) {
      this.#waiting.delete(id)
      this.#waitingBytes -= job.body.length
      this.#current = id
      const at = now()
      const isSmaller = await encode(job)
      this.#known.set(id, { at, isSmaller }, { ttl: isSmaller ? LOST_AFTER : 0 })
    }
    this.#current = undefined
  }
}

/** What is known of a body that was encoded. */
interface Known {
  /** When, in milliseconds since 1970. */
  readonly at: number
  readonly isSmaller: boolean
}

const idOf = ({ coding, name }: Encodable): string => `${coding} ${name}`

/** Encodes a body and keeps it; false if it did not become smaller. */
async function encode ({ coding, body, keep }: ToKeep): Promise<boolean> {
  let bytes: Buffer
  try {
    bytes = await codecOf(coding)!.best(body)
  } catch {
    // Out of memory, for example: clients get it as they did before.
    return true
  }
  const isSmaller = bytes.length < body.length
  if (isSmaller) await keep(bytes)
  return isSmaller
}
