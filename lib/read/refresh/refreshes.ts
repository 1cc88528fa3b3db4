import { LRUCache } from 'lru-cache'
import type { Entry } from '../../entry/entry.js'
import { FillFailure } from '../coalesce/fill-failure.js'
import type { Outcome } from '../coalesce/fills-in-flight.js'
import { Backoff } from './backoff.js'

const MAX_KEYS = 10_000

interface Replaced {
  /** In milliseconds since 1970. */
  readonly at: number
  /** Whether the handler's last response may not be stored, so that no entry took the old one's place. */
  readonly isGone: boolean
}

/** What the refreshes of this process have led to. Keys are those of fills in flight. */
export class Refreshes {
  readonly backoff = new Backoff()
  readonly #replaced = new LRUCache<string, Replaced>({ max: MAX_KEYS })

  /** Whether a refresh of the entry may begin. */
  isDue (key: string, { storedAt }: Entry): boolean {
    return this.backoff.isDue(key) && storedAt > (this.#replaced.get(key)?.at ?? 0)
  }

  /** Whether the handler has answered anew in a way that is not stored, so that the entry is not what it would say. */
  isGone (key: string, { storedAt }: Entry): boolean {
    const replaced = this.#replaced.get(key)
    return replaced?.isGone === true && replaced.at >= storedAt
  }

  /** @param old the entry that was refreshed */
  ended (key: string, outcome: Outcome, old: Entry): void {
    const isAnswer = outcome === 'hit-for-miss' || (outcome instanceof FillFailure && !outcome.isOutage)
    if (typeof outcome !== 'string' && !(outcome instanceof FillFailure)) {
      this.#replaced.set(key, { at: between(old.storedAt, outcome.entry.storedAt), isGone: false })
    } else if (isAnswer) {
      this.#replaced.set(key, { at: between(old.storedAt, Date.now()), isGone: true })
    } else {
      // A write that came meanwhile is no failure of the handler.
      if (outcome !== 'invalidated') this.backoff.failed(key)
      return
    }
    this.backoff.succeeded(key)
  }
}

/** The times of entries from Redis are converted from its clock each time, and so differ by some milliseconds. */
const between = (old: number, recent: number): number => (old + recent) / 2
