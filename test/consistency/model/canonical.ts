import type { Entry, Member, Server, SoftRecord, State, Versions } from './state.js'

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
  const record = ({ current, replaced }: SoftRecord): SoftRecord =>
    ({ current: name(current)!, replaced: replaced.map((one) => ({ ...one, version: name(one.version)! })) })
  const server = (kept: Server): Server => ({
    ...kept,
    versions: renamed(kept.versions),
    held: byKey(kept.held, (hold) => ({ ...hold, before: name(hold.before) })),
    ...(kept.entry && { entry: entry(kept.entry) }),
    ...(kept.records && { records: byKey(kept.records, record) }),
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
      ...(reader.record && { record: record(reader.record) }),
      ...(reader.now !== undefined && { now: name(reader.now)! }),
      ...(reader.group !== undefined && { group: name(reader.group) })
    })),
    writers: inOrder(state.writers),
    last: names.size
  }
}
