import { isSettling, type CurrentVersions, type FilledUnder, type SoftenedAt } from './contract.js'

/** Instead of the time since which an entry is old by a write: it is current. */
export const CURRENT = Infinity

/**
 * Since when an entry is old by soft writes only, in milliseconds since 1970; `CURRENT` if it is not old, undefined
 * if it must not be used: a version was lost, or replaced by a hard write.
 * @param names the versions that count
 * @param softened undefined if nothing is known of soft writes
 */
export function oldSince (
  filledUnder: FilledUnder, names: readonly string[], current: CurrentVersions, softened?: SoftenedAt
): number | undefined {
  let since = CURRENT
  for (let index = 0; index < names.length; index++) {
    const name = names[index]!
    const version = filledUnder[name]
    // The entry lacks the version if its route did not declare the tag yet.
    if (version === undefined) return undefined
    if (version === current[index]) continue
    // What is filled within a window is not kept beyond its end.
    const at = isSettling(version) ? undefined : softened?.(name, version, current[index])
    if (at === undefined) return undefined
    since = Math.min(since, at)
  }
  return since
}
