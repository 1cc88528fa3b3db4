import { now, wallClockSetBack } from '../../entry/clock.js'
import { moved, type Entry } from '../../entry/entry.js'

/**
 * Milliseconds by which the clocks of a server and of this process may differ without notice. While they
 * do not differ by more, times stay as they are.
 */
const TOLERANCE = 250
/** Milliseconds by which a server's clock may fall behind at once without notice. */
const MAX_SET_BACK = 1_000

/** A moment, by the clock of entries and by one that nobody sets. */
export interface Moment {
  /** Milliseconds since 1970. */
  readonly at: number
  /** Milliseconds of `performance.now()`. */
  readonly running: number
}

export const thisMoment = (): Moment => ({ at: now(), running: performance.now() })

/** By how much the clock of a server differs from that of this process. */
export class ServerClock {
  #ahead = 0
  #before: { readonly time: number, readonly running: number } | undefined

  /**
   * Milliseconds by which the server's clock is ahead. It stays the same until it is known to be wrong, so
   * that an entry that is read has the times that were stored.
   */
  get ahead (): number {
    return this.#ahead
  }

  /**
   * Returns whether the clock was set back since the last time.
   * @param time what the server's clock said between the two moments
   */
  learn (time: number, asked: Moment, answered: Moment): boolean {
    const [least, most] = [time - answered.at, time - asked.at]
    if (this.#ahead < least - TOLERANCE || this.#ahead > most + TOLERANCE) this.#ahead = Math.round((least + most) / 2)
    const before = this.#before
    this.#before = { time, running: answered.running }
    return before !== undefined && time - before.time < asked.running - before.running - MAX_SET_BACK
  }
}

/** The clocks of the servers that have the keys. */
export interface ServerClocks {
  /** Milliseconds by which the clock of the server that has a version is ahead; 0 if that is not known. */
  ahead(version: string): number
}

/*
 * The times of an entry in Redis are by the clock of the server that has the first of its versions. After a
 * failover no version of before is trusted, and so no time of another clock. Its Date is of the wall clock.
 */

/** An entry to be written, with its times by the clock of a server. */
export function byServersClock (entry: Entry, clocks: ServerClocks): Entry {
  const ahead = aheadOf(entry, clocks)
  return moved(entry, ahead, ahead + wallClockSetBack())
}

/** An entry that was read, with its times by the clock of this process. */
export function byOwnClock (entry: Entry, clocks: ServerClocks): Entry {
  const ahead = aheadOf(entry, clocks)
  return moved(entry, -ahead, -ahead - wallClockSetBack())
}

function aheadOf ({ versions }: Entry, clocks: ServerClocks): number {
  const [first] = Object.keys(versions)
  return first === undefined ? 0 : clocks.ahead(first)
}
