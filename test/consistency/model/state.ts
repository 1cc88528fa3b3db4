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
  /** Whether two of three writes are soft. What they make old is refreshed as what is old by time. */
  readonly soft?: boolean
  readonly fault?: Fault
}

export type Versions = Readonly<Record<string, number | null>>

export interface Entry {
  readonly value: number
  readonly versions: Versions
  /** Old by time, within its stale windows. */
  readonly isOld?: true
}

/** What soft writes have replaced, one after another, up to the current version of a key. */
export interface SoftRecord {
  readonly current: number
  readonly replaced: ReadonlyArray<{
    readonly version: number
    /** The soft writes whose windows have to be open. */
    readonly within: readonly number[]
    /** The soft write since which the route lets it be used. */
    readonly since: number
  }>
}

/** Soft writes, numbered as they are done in Redis. */
export interface SoftWrites {
  readonly last: number
  /** Those that were acknowledged, but whose old entries may be used. */
  readonly open: ReadonlyArray<{ readonly write: number, readonly value: number }>
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
    'lookup' | 'softened' | 'areCurrent' | 'bridge' | 'refreshed' | 'coalesce' | 'join' | 'wait' | 'answers' | 'groupVersions' |
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
  /** It has asked for soft writes before the lookup, and was told this. */
  readonly asksFirst?: true
  readonly record?: SoftRecord
  /** The version that has replaced the one of its entry. */
  readonly now?: number
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
  readonly isSoft?: true
  /** The version that it has recorded before it writes it, for a fault. */
  readonly recorded?: number
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
  readonly records?: Readonly<Record<string, SoftRecord>>
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
  readonly soft?: SoftWrites
  /** The last version that is in use. */
  readonly last: number
  readonly stale?: string
}

const MEMBER: Member = { hasMet: false, own: 0, recent: {}, pending: [] }

export function initial (scenario: Scenario): State {
  const { payloadTags, settling, failover, aging, soft, fault } = scenario
  // A write that bumps only the tag leaves it alone: that it has to be ensured is the other scenario's.
  // Both readers are needed to find a bump that is done again.
  const refreshes = aging === true || soft === true
  const namespace: Versions = payloadTags || refreshes || fault === 'a bump that is sent again writes the same version' ? { namespace: 1 } : {}
  // What is old was filled before.
  const filled: Versions = refreshes && payloadTags ? { namespace: 1, tag: 2 } : namespace
  const isDisturbed = !settling && !failover && !refreshes
  return {
    database: 0,
    ...(settling && { replica: 0, acknowledged: [] }),
    server: {
      versions: refreshes && payloadTags ? { ...filled, group: 3 } : namespace,
      held: {},
      acknowledged: 0,
      ...(settling && { windows: {} }),
      ...(refreshes && { entry: { value: 0, versions: filled } }),
      ...(soft && { records: {} })
    },
    ...(failover && { failover: { isPromoted: false, members: { a: MEMBER, b: MEMBER } } }),
    lost: {},
    sent: {},
    fills: [],
    readers: readersOf(scenario),
    writers: writersOf(scenario),
    crashes: isDisturbed || (settling && scenario.holding) ? 1 : 0,
    losses: isDisturbed || settling || (soft && !scenario.holding) ? 1 : 0,
    ...(refreshes && { aging: aging ? 2 : 0 }),
    ...(soft && { soft: { last: 0, open: [] } }),
    last: 3
  }
}

function readersOf ({ failover, aging, soft }: Scenario): Reader[] {
  if (soft) return [{ at: 'lookup', floor: 0 }, { at: 'lookup', floor: 0, isRefresh: true }]
  const readers: Reader[] = [0, 1].map((index) => ({ at: 'lookup', floor: 0, ...(failover && { process: index === 0 ? 'a' : 'b' }) }))
  return aging ? [...readers, { at: 'idle', floor: 0, isRefresh: true }] : readers
}

function writersOf ({ payloadTags, holding, failover, soft }: Scenario): Writer[] {
  // One write that is repeated is enough to find what is wrong with tags; newer ones are the other scenario's.
  const count = soft ? 3 : failover && payloadTags ? 1 : 2
  return Array.from({ length: count }, (_, index) => ({
    at: holding && index === 0 ? 'begin' : 'handler',
    value: 0,
    bumped: 0,
    holds: [],
    ...(failover && { process: index === 0 ? 'a' : 'b' }),
    ...(soft && index > 0 && { isSoft: true })
  }))
}
