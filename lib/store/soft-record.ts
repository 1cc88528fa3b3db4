import { now } from '../entry/clock.js'

/** Most versions that soft writes have replaced and that are remembered. The entries of others are not used. */
const MAX_REPLACED = 1_000

interface Replaced {
  readonly version: string
  /** In milliseconds since 1970. */
  readonly at: number
  /** In milliseconds of `performance.now()`. */
  readonly until: number
}

/** What soft writes have replaced, one after another, up to the current version of a name. */
export interface SoftRecord {
  /** Any other current version was made by a hard write, or after this one was lost. */
  readonly current: string
  readonly replaced: readonly Replaced[]
}

/**
 * The record after a soft write.
 * @param before the record before it
 * @param version the version that it replaces by `current`
 * @param soft milliseconds
 */
export function softened (before: SoftRecord | undefined, version: string, current: string, soft: number): SoftRecord {
  const time = performance.now()
  const earlier = before?.current === version ? before.replaced : []
  const replaced = earlier.filter(({ until }) => until > time)
    .map((one) => ({ ...one, until: Math.min(one.until, time + soft) }))
  replaced.push({ version, at: now(), until: time + soft })
  return { current, replaced: replaced.slice(-MAX_REPLACED) }
}

/** What `SoftenedAt` of the contract says of one name. */
export function softenedAt (
  record: SoftRecord | undefined, earlier: string, current: string | undefined
): number | undefined {
  if (record === undefined || record.current !== current) return undefined
  const replaced = record.replaced.find(({ version }) => version === earlier)
  return replaced !== undefined && replaced.until > performance.now() ? replaced.at : undefined
}
