import type { Fault } from './faults.js'

export interface Scenario {
  /** Whether the tag that a write bumps is known from the payload only; the write bumps the namespace otherwise. */
  readonly payloadTags: boolean
  /** Whether the readers share a process, and so its fills in flight. */
  readonly sameProcess: boolean
  /** Whether the first writer is strict, or `writing()`; it may also be refused, which restores the versions. */
  readonly holding: boolean
  /** Whether handlers read from a replica of the database that lags, and writes have a window (`settle`). */
  readonly settling?: boolean
  /** Whether another Redis takes the place of the one that was the master, with a part of what that has confirmed. */
  readonly failover?: boolean
  /** Whether entries become old by time, and are refreshed; handlers may fail then. */
  readonly aging?: boolean
  readonly fault?: Fault
}

export type Versions = Readonly<Record<string, number | null>>

export interface Entry {
  readonly value: number
  readonly versions: Versions
  /** Old by time, within its stale windows. */
  readonly isOld?: true
}

export interface FillInFlight {
  readonly versions: Versions
  /** Undefined while it is under way, null when a write came after it had begun. */
  readonly outcome?: Entry | 'failed' | null
  readonly findable: boolean
}

/** In which process something is, where there is a failover. */
export type Process = 'a' | 'b'

export interface Reader {
  readonly at:
    'lookup' | 'areCurrent' | 'bridge' | 'refreshed' | 'coalesce' | 'join' | 'wait' | 'answers' | 'groupVersions' |
    'fill' | 'withPayloadTags' | 'compareGroups' | 'publish' | 'release' | 'refresh' | 'idle' | 'done'
  /** The last value that was acknowledged before this read began. */
  readonly floor: number
  readonly versions?: Versions
  readonly entry?: Entry
  /** What a write made old, for the fault that uses it. */
  readonly invalidated?: Entry
  readonly fill?: number
  readonly group?: number | null
  readonly process?: Process
  /** A fill that nobody reads. */
  readonly isRefresh?: true
}

export interface Writer {
  readonly at:
    'begin' | 'handler' | 'late handler' | 'window' | 'end' | 'bump' | 'confirm' | 'acknowledge' | 'late bump' |
    'crashed' | 'done'
  readonly value: number
  readonly bumped: number
  /** The keys that it holds. */
  readonly holds: readonly string[]
  readonly process?: Process
  /** Whether the master to which it has sent its bumps is the old one. */
  readonly isSentToOld?: true
}

/** A key that is held. Its version counts as missing. */
export interface Hold {
  readonly before: number | null
  readonly existed: boolean
  /** The window that begins when it ends, as in `Server`. */
  readonly window?: number
}

/** A Redis. */
export interface Server {
  readonly versions: Versions
  readonly held: Readonly<Record<string, Hold>>
  readonly entry?: Entry
  /** The last value that was acknowledged, as far as those know of it who read here. */
  readonly acknowledged: number
  /** By key, the last value that the replica of the database has got when the version's window ends. */
  readonly windows?: Readonly<Record<string, number>>
}

/** A process, where there is a failover. */
export interface Member {
  readonly hasMet: boolean
  /** The last value that it has acknowledged. */
  readonly own: number
  /** What it has bumped lately, and with which version, for the fault that writes it again. */
  readonly recent: Versions
  /** What it has to repeat. */
  readonly pending: readonly string[]
}

export interface Failover {
  readonly isPromoted: boolean
  /** The server that those use who have met it; before it is promoted, what has been replicated to it. */
  readonly next?: Server
  readonly members: Readonly<Record<Process, Member>>
}

export interface State {
  readonly database: number
  /** What the replica of the database shows. */
  readonly replica?: number
  /** The values that were acknowledged, where windows count. */
  readonly acknowledged?: readonly number[]
  readonly server: Server
  readonly failover?: Failover
  /** What was lost of versions, for the fault that brings it back. */
  readonly lost: Versions
  /** What the first bump of each key wrote, for the fault that writes it again. */
  readonly sent: Versions
  readonly fills: readonly FillInFlight[]
  readonly readers: readonly Reader[]
  readonly writers: readonly Writer[]
  readonly crashes: number
  /** Keys that get lost, or bumps whose answer gets lost with its connection, so that they are done once more. */
  readonly losses: number
  /** How often an entry becomes old. */
  readonly aging?: number
  /** The last version that is in use. */
  readonly last: number
  readonly stale?: string
}

const MEMBER: Member = { hasMet: false, own: 0, recent: {}, pending: [] }

export function initial (scenario: Scenario): State {
  const { payloadTags, holding, settling, failover, aging, fault } = scenario
  // A write that bumps only the tag leaves it alone: that it has to be ensured is the other scenario's.
  // Both readers are needed to find a bump that is done again.
  const namespace: Versions = payloadTags || aging || fault === 'a bump that is sent again writes the same version' ? { namespace: 1 } : {}
  // What is old was filled before.
  const filled: Versions = aging && payloadTags ? { namespace: 1, tag: 2 } : namespace
  const readers: Reader[] = [0, 1].map((index) =>
    ({ at: 'lookup', floor: 0, ...(failover && { process: index === 0 ? 'a' : 'b' }) }))
  // One write that is repeated is enough to find what is wrong with tags; newer ones are the other scenario's.
  const writers: Writer[] = (failover && payloadTags ? [0] : [0, 1]).map((index) => ({
    at: holding && index === 0 ? 'begin' : 'handler',
    value: 0,
    bumped: 0,
    holds: [],
    ...(failover && { process: index === 0 ? 'a' : 'b' })
  }))
  const isDisturbed = !settling && !failover && !aging
  return {
    database: 0,
    ...(settling && { replica: 0, acknowledged: [] }),
    server: {
      versions: aging && payloadTags ? { ...filled, group: 3 } : namespace,
      held: {},
      acknowledged: 0,
      ...(settling && { windows: {} }),
      ...(aging && { entry: { value: 0, versions: filled } })
    },
    ...(failover && { failover: { isPromoted: false, members: { a: MEMBER, b: MEMBER } } }),
    lost: {},
    sent: {},
    fills: [],
    readers: aging ? [...readers, { at: 'idle', floor: 0, isRefresh: true }] : readers,
    writers,
    crashes: isDisturbed || (settling && holding) ? 1 : 0,
    losses: isDisturbed || settling ? 1 : 0,
    ...(aging && { aging: 2 }),
    last: 3
  }
}

const inOrder = <T>(list: readonly T[]): readonly T[] => list.length < 2
  ? list
  : list.map((item) => ({ item, text: JSON.stringify(item) })).sort((a, b) => a.text < b.text ? -1 : 1).map(({ item }) => item)

/** One of the states that differ only in which token is which, which of two equals is first, or in fills that are over. */
export function canonical (state: State): State {
  const awaited = new Set(state.readers.map(({ fill }) => fill))
  const fills = state.fills.map((fill, index) => ({ fill, index })).filter(({ fill, index }) => fill.findable || awaited.has(index))
  const readers = inOrder(state.readers.map((reader) => reader.fill === undefined
    ? reader
    : { ...reader, fill: fills.findIndex(({ index }) => index === reader.fill) }))

  const names = new Map<number, number>()
  const name = (token: number | null): number | null => {
    if (token === null) return null
    let known = names.get(token)
    if (known === undefined) names.set(token, known = names.size + 1)
    return known
  }
  const byKey = <T, U>(record: Readonly<Record<string, T>>, map: (value: T) => U): Record<string, U> => {
    const made: Record<string, U> = {}
    for (const key of Object.keys(record).sort()) made[key] = map(record[key]!)
    return made
  }
  const renamed = (versions: Versions): Versions => byKey(versions, name)
  const entry = (kept: Entry): Entry => ({ ...kept, versions: renamed(kept.versions) })
  const server = (kept: Server): Server => ({
    ...kept,
    versions: renamed(kept.versions),
    held: byKey(kept.held, (hold) => ({ ...hold, before: name(hold.before) })),
    ...(kept.entry && { entry: entry(kept.entry) }),
    ...(kept.windows && { windows: byKey(kept.windows, (window) => window) })
  })
  const member = (kept: Member): Member => ({ ...kept, recent: renamed(kept.recent) })
  const { failover } = state
  return {
    ...state,
    server: server(state.server),
    ...(failover && {
      failover: {
        ...failover,
        ...(failover.next && { next: server(failover.next) }),
        members: { a: member(failover.members.a), b: member(failover.members.b) }
      }
    }),
    lost: renamed(state.lost),
    sent: renamed(state.sent),
    fills: fills.map(({ fill }) => ({
      ...fill,
      versions: renamed(fill.versions),
      ...(typeof fill.outcome === 'object' && fill.outcome !== null && { outcome: entry(fill.outcome) })
    })),
    readers: readers.map((reader) => ({
      ...reader,
      ...(reader.versions && { versions: renamed(reader.versions) }),
      ...(reader.entry && { entry: entry(reader.entry) }),
      ...(reader.invalidated && { invalidated: entry(reader.invalidated) }),
      ...(reader.group !== undefined && { group: name(reader.group) })
    })),
    writers: inOrder(state.writers),
    last: names.size
  }
}
