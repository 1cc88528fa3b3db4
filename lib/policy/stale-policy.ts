import type { StaleWindows } from '../http/freshness.js'
import { toSeconds, type Duration } from './duration.js'
import { durationOrNone, isBoolean, isCount, oneOf, type Fields } from './fields.js'

/** Fields of a read policy for entries that become stale. Time may be bridged, a write never is. */
export interface StaleDefaults {
  /**
   * Refreshes an entry shortly before it becomes stale, behind the response of one of its HITs. `true` or a factor:
   * above 1 earlier, below 1 later. Which HIT does it is random (Vattani, Chierichetti, Lowenstein, VLDB 2015),
   * and the longer the last fill took, the earlier. Default false.
   */
  earlyRefresh?: boolean | number
  /** For how long a stale entry is served while it is refreshed behind the response (RFC 5861). Default 0. */
  staleWhileRevalidate?: Duration | 0
  /** For how long a stale entry is served if the handler throws, answers 5xx or is late (RFC 5861). Default 0. */
  staleIfError?: Duration | 0
  /** With `staleIfError`: milliseconds after which a request gets the stale entry, while the fill goes on. */
  softTimeout?: number
  /**
   * How a refresh runs. `'handler'` (default): the route's handler, on the validated request of a caller that has
   * passed all guards, without onRequest and onResponse hooks. `'inject'`: a request of the application's own.
   */
  refreshWith?: 'handler' | 'inject'
}

export interface CompiledStalePolicy {
  /** A factor; 0 for none. */
  readonly earlyRefresh: number
  readonly staleWindows: StaleWindows
  /** Whether it lets stale entries be used. */
  readonly mayBeStale: boolean
  readonly softTimeout: number | undefined
  readonly refreshWith: 'handler' | 'inject'
}

export const staleFields: Fields<StaleDefaults> = {
  earlyRefresh: {
    accepts: (value) => isBoolean(value) || (typeof value === 'number' && value > 0 && value < Infinity),
    expects: 'true, false or a factor above 0'
  },
  staleWhileRevalidate: durationOrNone,
  staleIfError: durationOrNone,
  softTimeout: { accepts: isCount, expects: 'whole milliseconds above 0' },
  refreshWith: oneOf('handler', 'inject')
}

/** Applies the defaults. */
export function compileStale (defaults: StaleDefaults): CompiledStalePolicy {
  const { earlyRefresh = false, staleWhileRevalidate = 0, staleIfError = 0 } = defaults
  const { softTimeout, refreshWith = 'handler' } = defaults
  const staleWindows = {
    whileRevalidate: toSeconds(staleWhileRevalidate) ?? 0,
    ifError: toSeconds(staleIfError) ?? 0
  }
  return {
    softTimeout,
    refreshWith,
    earlyRefresh: Number(earlyRefresh),
    staleWindows,
    mayBeStale: staleWindows.whileRevalidate + staleWindows.ifError > 0
  }
}
