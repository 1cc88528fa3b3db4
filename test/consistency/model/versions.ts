import type { Step } from './explorer.js'
import type { Hold, Process, Scenario, Server, State } from './state.js'

/*
 * What scripts do in Redis, each at one moment.
 */

export const onServer = (state: State, next: Partial<Server>): State => ({ ...state, server: { ...state.server, ...next } })

/** Null for a version that is missing or held. */
export const current = ({ server: { versions } }: State, key: string): number | null => versions[key] ?? null

const withVersion = (state: State, key: string, version: number): State => ({
  ...onServer(state, { versions: { ...state.server.versions, [key]: version } }),
  last: Math.max(state.last, version)
})

/** The current version of a key; one that does not exist becomes a new one first. Null for one that is held. */
export function ensure ({ fault }: Scenario, state: State, key: string): [State, number | null] {
  if (state.server.held[key] !== undefined && fault !== 'a version that is held can be ensured') return [state, null]
  const version = current(state, key)
  if (version !== null) return [state, version]
  const fresh = state.last + 1
  return [withVersion(state, key, fresh), fresh]
}

/** Without one of its keys. */
function without<T> (record: Readonly<Record<string, T>>, key: string): Record<string, T> {
  const { [key]: _, ...others } = record
  return others
}

export interface BumpOptions {
  readonly version?: number
  /** The value that the replica of the database has got when the window ends; 0 for no window. */
  readonly window?: number
}

/** Replaces a version. One that does not exist is left so, but for a window, and one that is held is not restored. */
export function bump (scenario: Scenario, state: State, key: string, options: BumpOptions = {}): State {
  const { fault } = scenario
  const { version = state.last + 1, window = 0 } = options
  const { server: { held, versions, windows } } = state
  const hold = held[key]
  if (hold !== undefined && fault !== 'a bump ends the hold of another') {
    const after = Math.max(window, hold.window ?? 0)
    const moved: Hold = { ...hold, before: null, ...(after > 0 && { window: after }) }
    return onServer(state, { held: { ...held, [key]: moved } })
  }
  const longest = fault === 'a bump without a window ends that of another' ? window : Math.max(window, windows?.[key] ?? 0)
  const isMissing = hold === undefined && versions[key] == null
  if (isMissing && (longest === 0 || fault === 'a version that does not exist gets no window')) return state
  const replaced = withVersion(onServer(state, { held: without(held, key) }), key, version)
  if (windows === undefined) return replaced
  return onServer(replaced, { windows: longest > 0 ? { ...windows, [key]: longest } : without(windows, key) })
}

export function beginHold ({ fault }: Scenario, state: State, key: string): State {
  const { server: { versions, held, windows } } = state
  const window = fault === 'a hold forgets the window that it found' ? 0 : windows?.[key] ?? 0
  const before = window > 0 ? null : versions[key] ?? null
  const hold = held[key] ?? { before, existed: versions[key] != null, ...(window > 0 && { window }) }
  return onServer(state, {
    held: { ...held, [key]: hold },
    versions: { ...versions, [key]: null },
    ...(windows && { windows: without(windows, key) })
  })
}

/** The end of the only intent on a key; without a hold, as when it was lost, it is a bump or nothing. */
export function endHold (scenario: Scenario, state: State, key: string, isRestored: boolean): State {
  const { server: { held, versions, windows } } = state
  const hold = held[key]
  if (hold === undefined) return isRestored ? state : bump(scenario, state, key)
  const free = onServer(state, { held: without(held, key), versions: { ...versions, [key]: null } })
  if (hold.window !== undefined) {
    const begun = withVersion(free, key, state.last + 1)
    return scenario.fault === 'a hold ends without its window' ? begun : onServer(begun, { windows: { ...windows, [key]: hold.window } })
  }
  if (isRestored && hold.before !== null) return withVersion(free, key, hold.before)
  return hold.existed ? withVersion(free, key, state.last + 1) : free
}

/** Forgets holds, whose time is over: these versions are missing then, unless they come back. */
export function expireHolds ({ fault }: Scenario, state: State, keys: readonly string[]): State {
  const { server } = state
  const versions: Record<string, number | null> = { ...server.versions }
  let { held } = server
  for (const key of keys) {
    if (fault === 'an intent that expires restores the version') versions[key] = held[key]?.before ?? versions[key] ?? null
    held = without(held, key)
  }
  return onServer(state, { held, versions })
}

/** Ends the windows that the replica allows: one that covers a write lasts until the replica has got it. */
export function windowEnds ({ fault }: Scenario, state: State): State[] {
  const { replica = 0, server: { versions, windows = {} } } = state
  return Object.keys(windows).filter((key) => windows[key]! <= replica).map((key) => onServer(state, {
    windows: without(windows, key),
    ...(fault !== 'what is filled within a window outlives it' && { versions: { ...versions, [key]: null } })
  }))
}

/** The last value that a read has to know of which begins here and now. */
export function floorOf (state: State, process?: Process): number {
  const { acknowledged = [], server, failover } = state
  const own = process === undefined ? 0 : failover!.members[process].own
  const windows = [...Object.values(server.windows ?? {}), ...Object.values(server.held).map(({ window = 0 }) => window)]
  const settled = acknowledged.filter((value) => windows.every((window) => window < value))
  return Math.max(server.acknowledged, own, ...settled)
}

/** Whether a process bypasses what is filled under these versions, because it has to repeat their bumps. */
export function blocks ({ fault }: Scenario, { failover }: State, process: Process | undefined, keys: readonly string[]): boolean {
  if (process === undefined || fault === 'what has to be repeated is served meanwhile') return false
  return failover!.members[process].pending.some((key) => keys.includes(key))
}

/** The steps on the server that a process uses: the new master, if it has met that. */
export function through (state: State, process: Process | undefined, steps: (state: State) => Array<Step<State>>): Array<Step<State>> {
  if (process === undefined || state.failover?.members[process].hasMet !== true) return steps(state)
  const swapped = (from: State): State =>
    ({ ...from, server: from.failover!.next!, failover: { ...from.failover!, next: from.server } })
  return steps(swapped(state)).map(([name, next]) => [name, swapped(next)])
}
