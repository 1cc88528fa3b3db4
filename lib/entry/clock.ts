/** The most by which the wall clock has been ahead of the monotonic clock, in milliseconds. */
let lead = -Infinity
/** By how much less it was ahead when it was last looked at. */
let setBack = 0

/**
 * Milliseconds since 1970 by a clock that only goes forward, so that setting the wall clock back makes nothing
 * younger. The monotonic clock alone would not do: it stops while a machine sleeps.
 */
export function now (): number {
  const running = performance.now()
  const ahead = Date.now() - running
  lead = Math.max(lead, ahead)
  setBack = lead - ahead
  return Math.round(running + lead)
}

/** Milliseconds by which the wall clock was set back, and so is behind `now()`. */
export const wallClockSetBack = (): number => setBack
