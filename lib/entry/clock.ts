/** The most by which the wall clock has been ahead of the monotonic clock, in milliseconds. */
let lead = -Infinity

/**
 * Milliseconds since 1970 by a clock that only goes forward, so that setting the wall clock back makes nothing
 * younger. The monotonic clock alone would not do: it stops while a machine sleeps.
 */
export function now (): number {
  const running = performance.now()
  lead = Math.max(lead, Date.now() - running)
  return Math.round(running + lead)
}
