import { LRUCache } from 'lru-cache'
import { now } from '../../entry/clock.js'
import type { Entry } from '../../entry/entry.js'
import { FillFailure } from '../coalesce/fill-failure.js'
import type { Outcome } from '../coalesce/fills-in-flight.js'
import { Backoff } from './backoff.js'

const MAX_KEYS = 10_000

interface Replaced {
  /** When the entry that was refreshed, and what came in its place, were stored, in milliseconds since 1970. */
  readonly old: number
  readonly recent: number
  /** Whether the handler's last response may not be stored, so that no entry took the old one's place. */
  readonly isGone: boolean
}

/** What the refreshes of this process have led to. Keys are those of fills in flight. */
export class Refreshes {
  readonly backoff = new Backoff()
  readonly #replaced = new LRUCache<string, Replaced>({ max: MAX_KEYS })

  /** Whether a refresh of the entry may begin. */
  isDue (key: string, { storedAt }: Entry): boolean {
    const replaced = this.#replaced.get(key)
    return this.backoff.isDue(key) && (replaced === undefined || !isOld(storedAt, replaced))
  }

  /** Whether the handler has answered anew in a way that is not stored, so that the entry is not what it would say. */
  isGone (key: string, { storedAt }: Entry): boolean {
    const replaced = this.#replaced.get(key)
    return replaced?.isGone === true && isOld(storedAt, replaced)
  }

  /** @param old the entry that was refreshed */
  ended (key: string, outcome: Outcome, old: Entry): void {
    const isAnswer = outcome === 'hit-for-miss' || (outcome instanceof FillFailure && !outcome.isOutage)
    if (typeof outcome !== 'string' && !(outcome instanceof FillFailure)) {
      this.#replaced.set(key, { old: old.storedAt, recent: outcome.entry.storedAt, isGone: false })
    } else if (isAnswer) {
      this.#replaced.set(key, { old: old.storedAt, recent: now(), isGone: true })
    } else {
      // A write that came meanwhile is no failure of the handler.
      if (outcome !== 'invalidated') this.backoff.failed(key)
      return
    }
    this.backoff.succeeded(key)
  }
}

/**
 * Whether an entry is rather the old one. Times of one entry may differ by some milliseconds, and a process whose
 * clock was ahead may have stored the old one in the future.
 */
function isOld (storedAt: number, { old, recent }: Replaced): boolean {
  const between = (old + recent) / 2
  return old <= recent ? storedAt <= between : storedAt >= between
}
