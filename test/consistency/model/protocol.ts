import type { Step } from './explorer.js'

/*
 * The protocol of versions, as lib speaks it: one cached route that shows one value, two readers,
 * two writers, one crash, and one key that is lost or one move that is done twice. Each step below
 * is one thing that happens at one moment: an answer of the store, of the database, or what the
 * plugin does between two of them. It bears the name of the function in lib that takes it:
 *
 *   look, judge         Reader.look and #judge                  lib/read/reader.ts
 *   prepared            cachedHandler's prepared: the claim     lib/read/cached-handler.ts
 *   join                Flights.join                            lib/read/flights.ts
 *   groups              cachedHandler's groups                  lib/read/cached-handler.ts
 *   run                 Fill.run: the handler                   lib/read/fill.ts
 *   withTags, unmoved   Fill.#withTags: its two claims          lib/read/fill.ts
 *   write, end          Fill.#write, Flights.end                lib/read/fill.ts
 *   confirms            Reader.confirms                         lib/read/reader.ts
 *   move                Core.invalidate, CacheStore.move        lib/core.ts
 *
 * Who changes the order of any two of these, or what they compare, changes it here first, and
 * adds to `Faults` what the new order must not be.
 */

/** What can be done wrong: each is a name, so that a test can show that the explorer finds it. */
export type Fault =
  | 'judge compares nothing'
  | 'versions are claimed after the handler ran'
  | 'an entry is stored under the versions of that moment'
  | 'a write is acknowledged before its move'
  | 'a lost version comes back'
  | 'a move that is sent again writes the same version'
  | 'join takes any flight'
  | 'a waiter does not confirm the tags of the payload'
  | 'withTags does not compare groups'
  | 'withTags reads groups before tags'
  | 'a tag moves before its group'

export interface Scenario {
  /** Whether the tag that a write moves is known from the payload only; the write moves the namespace otherwise. */
  readonly payloadTags: boolean
  /** Whether the readers share a process, and so its flights. */
  readonly sameProcess: boolean
  readonly fault?: Fault
}

type Versions = Readonly<Record<string, number | null>>

interface Entry {
  readonly value: number
  readonly versions: Versions
}

interface Flight {
  readonly versions: Versions
  /** Undefined while it is under way, null when a write overtook it or it crashed. */
  readonly outcome?: Entry | null
  readonly findable: boolean
}

interface Reader {
  readonly at: 'look' | 'judge' | 'prepared' | 'join' | 'wait' | 'confirms' | 'groups' | 'run' | 'withTags' | 'unmoved' | 'write' | 'end' | 'done'
  /** The last value that was acknowledged before this read began. */
  readonly floor: number
  readonly versions?: Versions
  readonly entry?: Entry
  readonly flight?: number
  readonly group?: number | null
}

interface Writer {
  readonly at: 'handler' | 'move' | 'acknowledge' | 'late move' | 'done'
  readonly value: number
  readonly moved: number
}

export interface State {
  readonly database: number
  readonly acknowledged: number
  readonly versions: Versions
  /** What was lost of versions, for the fault that brings it back. */
  readonly lost: Versions
  /** What the first move of each key wrote, for the fault that writes it again. */
  readonly sent: Versions
  readonly entry?: Entry
  readonly flights: readonly Flight[]
  readonly readers: readonly Reader[]
  readonly writers: readonly Writer[]
  readonly crashes: number
  /** Keys that get lost, or moves whose answer gets lost with its connection, so that they are done once more. */
  readonly losses: number
  readonly stale?: string
}

export const initial = ({ payloadTags }: Scenario): State => ({
  database: 0,
  acknowledged: 0,
  // A write that moves only the tag leaves it alone: that it has to be claimed is the other scenario's.
  versions: payloadTags ? { namespace: 1 } : {},
  lost: {},
  sent: {},
  flights: [],
  readers: [0, 1].map(() => ({ at: 'look', floor: 0 })),
  writers: [0, 1].map(() => ({ at: 'handler', value: 0, moved: 0 })),
  crashes: 1,
  losses: 1
})

export const staleIn = (state: State): string | undefined => state.stale

/** Every step that anyone can take. */
export function stepsFrom (scenario: Scenario): (state: State) => Array<Step<State>> {
  return (state) => !canStillBeStale(state)
    ? []
    : [
        ...state.readers.flatMap((reader, index) => readerSteps(scenario, state, reader, index)),
        ...state.writers.flatMap((writer, index) => writerSteps(scenario, state, writer, index)),
        ...crashes(scenario, state),
        ...losses(scenario, state),
        ...resends(scenario, state)
      ].map(([name, next]) => [name, canonical(next)])
}

/** Whether a read is to come, or under way, that began after an acknowledged write. */
const canStillBeStale = ({ readers }: State): boolean => readers.some(({ at, floor }) => at === 'look' || floor > 0)

/** One of the states that differ only in which token is which, which of two equals is first, or in flights that are over. */
function canonical (state: State): State {
  const awaited = new Set(state.readers.map(({ flight }) => flight))
  const flights = state.flights.map((flight, index) => ({ flight, index })).filter(({ flight, index }) => flight.findable || awaited.has(index))
  const inOrder = <T>(list: readonly T[]): T[] => [...list].sort((a, b) => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)
  const tidy: State = {
    ...state,
    flights: flights.map(({ flight }) => flight),
    readers: inOrder(state.readers.map((reader) => reader.flight === undefined
      ? reader
      : { ...reader, flight: flights.findIndex(({ index }) => index === reader.flight) })),
    writers: inOrder(state.writers)
  }
  const names = new Map<number, number>()
  const renamed = (versions: Versions): Versions => Object.fromEntries(Object.entries(versions).sort().map(([key, token]) => [key, name(token)]))
  const name = (token: number | null): number | null => {
    if (token === null) return null
    if (!names.has(token)) names.set(token, names.size + 1)
    return names.get(token)!
  }
  const entry = (kept: Entry): Entry => ({ value: kept.value, versions: renamed(kept.versions) })
  return {
    ...tidy,
    versions: renamed(tidy.versions),
    lost: renamed(tidy.lost),
    sent: renamed(tidy.sent),
    ...(tidy.entry && { entry: entry(tidy.entry) }),
    flights: tidy.flights.map((flight) => ({ ...flight, versions: renamed(flight.versions), ...(flight.outcome && { outcome: entry(flight.outcome) }) })),
    readers: tidy.readers.map((reader) => ({
      ...reader,
      ...(reader.versions && { versions: renamed(reader.versions) }),
      ...(reader.entry && { entry: entry(reader.entry) }),
      ...(reader.group !== undefined && { group: name(reader.group) })
    }))
  }
}

/** A token that nobody has yet. */
function newVersion (state: State): number {
  const held = [state, ...state.flights, ...state.readers, state.entry, ...state.flights.map(({ outcome }) => outcome), ...state.readers.map(({ entry }) => entry)]
    .flatMap((holder) => Object.values(holder?.versions ?? {}))
  return 1 + Math.max(0, ...[...held, ...Object.values(state.lost), ...Object.values(state.sent), ...state.readers.map(({ group }) => group)].map((token) => token ?? 0))
}

/** The current version of a key; one that does not exist becomes a new one first. */
function claim (state: State, key: string): [State, number] {
  const version = state.versions[key]
  if (version != null) return [state, version]
  const fresh = newVersion(state)
  return [{ ...state, versions: { ...state.versions, [key]: fresh } }, fresh]
}

const current = (state: State, key: string): number | null => state.versions[key] ?? null

function readerSteps ({ payloadTags, sameProcess, fault }: Scenario, state: State, reader: Reader, index: number): Array<Step<State>> {
  const to = (next: Partial<Reader>, from: State = state): State =>
    ({ ...from, readers: from.readers.map((other, at) => at === index ? { ...other, ...next } : other) })
  const done = (from: State = state): State => to({
    at: 'done',
    floor: 0,
    versions: undefined,
    entry: undefined,
    flight: undefined,
    group: undefined
  }, from)
  const served = (value: number): State => value < reader.floor
    ? { ...state, stale: `a reader got ${value}, ${reader.floor} was acknowledged before it began` }
    : done()
  const step = (next: State, name: string = reader.at): Array<Step<State>> => [[`a reader: ${name}`, next]]
  const flightTo = (next: Partial<Flight>, from: State = state): State =>
    ({ ...from, flights: from.flights.map((flight, at) => at === reader.flight ? { ...flight, ...next } : flight) })
  const afterJoin = payloadTags ? 'groups' : 'run'

  switch (reader.at) {
    case 'look': {
      const floor = state.acknowledged
      const namespace = current(state, 'namespace')
      const { entry } = state
      if (entry !== undefined && (entry.versions['namespace'] === namespace || fault === 'judge compares nothing')) {
        return step(to({ at: 'judge', floor, entry }))
      }
      return step(to({ at: namespace === null || fault === 'versions are claimed after the handler ran' ? 'prepared' : 'join', floor, versions: { namespace } }))
    }
    case 'judge': {
      const { entry } = reader
      const isCurrent = !payloadTags || entry!.versions['tag'] === current(state, 'tag') || fault === 'judge compares nothing'
      if (isCurrent) return step(served(entry!.value))
      // What the look found is known already.
      return step(to({ at: 'join', entry: undefined, versions: { namespace: entry!.versions['namespace']! } }))
    }
    case 'prepared': {
      if (fault === 'versions are claimed after the handler ran') return step(to({ at: 'join', versions: { namespace: null } }))
      const [next, namespace] = claim(state, 'namespace')
      return step(to({ at: 'join', versions: { namespace } }, next))
    }
    case 'join': {
      const found = sameProcess
        ? state.flights.findLastIndex(({ findable, versions }) =>
          findable && (versions['namespace'] === reader.versions!['namespace'] || fault === 'join takes any flight'))
        : -1
      if (found !== -1) return step(to({ at: 'wait', flight: found }))
      const flight: Flight = { versions: reader.versions!, findable: true }
      return step(to({ at: afterJoin, flight: state.flights.length }, { ...state, flights: [...state.flights, flight] }))
    }
    case 'wait': {
      const { outcome } = state.flights[reader.flight!]!
      if (outcome === undefined) return []
      if (outcome === null) return step(to({ at: afterJoin, flight: undefined }), 'wait, overtaken')
      if (!payloadTags || fault === 'a waiter does not confirm the tags of the payload') return step(served(outcome.value))
      return step(to({ at: 'confirms', entry: outcome }))
    }
    case 'confirms':
      return step(reader.entry!.versions['tag'] === current(state, 'tag')
        ? served(reader.entry!.value)
        : to({ at: afterJoin, flight: undefined, entry: undefined }))
    case 'groups': {
      const [next, group] = claim(state, 'group')
      return step(to({ at: 'run', group }, next))
    }
    case 'run': {
      const entry = { value: state.database, versions: reader.versions! }
      return step(to({ at: payloadTags ? 'withTags' : 'write', entry }))
    }
    case 'withTags': {
      const overtaken = fault === 'withTags reads groups before tags' && current(state, 'group') !== reader.group
      if (overtaken) return step(done(flightTo({ outcome: null, findable: false })))
      if (fault === 'withTags reads groups before tags') return step(to({ at: 'unmoved' }))
      const [next, tag] = claim(state, 'tag')
      return step(to({ at: 'unmoved', entry: { ...reader.entry!, versions: { ...reader.entry!.versions, tag } } }, next))
    }
    case 'unmoved': {
      if (fault === 'withTags reads groups before tags') {
        const [next, tag] = claim(state, 'tag')
        return step(to({ at: 'write', entry: { ...reader.entry!, versions: { ...reader.entry!.versions, tag } } }, next))
      }
      const [next, group] = claim(state, 'group')
      const unmoved = group === reader.group || fault === 'withTags does not compare groups'
      return step(unmoved ? to({ at: 'write' }, next) : done(flightTo({ outcome: null, findable: false }, next)))
    }
    case 'write': {
      let from = state
      let entry = reader.entry!
      if (fault === 'versions are claimed after the handler ran' || fault === 'an entry is stored under the versions of that moment') {
        const [next, namespace] = claim(state, 'namespace')
        from = next
        entry = { ...entry, versions: { ...entry.versions, namespace } }
      }
      // The waiters are told before the store has it.
      return step(to({ at: 'end', entry }, flightTo({ outcome: entry }, from)))
    }
    case 'end':
      return [
        ['a reader: set', done(flightTo({ findable: false }, { ...state, entry: reader.entry! }))]
      ]
    case 'done':
      return []
  }
}

function writerSteps ({ payloadTags, fault }: Scenario, state: State, writer: Writer, index: number): Array<Step<State>> {
  const to = (next: Partial<Writer>, from: State = state): State =>
    ({ ...from, writers: from.writers.map((other, at) => at === index ? { ...other, ...next } : other) })
  const step = (next: State): Array<Step<State>> => [[`a writer: ${writer.at}`, next]]
  const groupFirst = fault === 'a tag moves before its group' ? ['tag', 'group'] : ['group', 'tag']
  const moves = payloadTags ? groupFirst : ['namespace']
  const afterMove = writer.at === 'late move' ? 'done' : 'acknowledge'

  switch (writer.at) {
    case 'handler': {
      const value = state.database + 1
      return step(to({ at: fault === 'a write is acknowledged before its move' ? 'acknowledge' : 'move', value }, { ...state, database: value }))
    }
    case 'move':
    case 'late move': {
      const moved = writer.moved + 1
      const written = { [moves[writer.moved]!]: newVersion(state) }
      const sent = fault === 'a move that is sent again writes the same version' ? { ...written, ...state.sent } : {}
      return step(to({ at: moved === moves.length ? afterMove : writer.at, moved },
        { ...state, sent, versions: { ...state.versions, ...written } }))
    }
    case 'acknowledge':
      return step(to(fault === 'a write is acknowledged before its move' ? { at: 'late move' } : { at: 'done', value: 0, moved: 0 },
        { ...state, acknowledged: Math.max(state.acknowledged, writer.value) }))
    case 'done':
      return []
  }
}

/** A process that dies takes its flights with it; who waited for them is in the same process. */
function crashes ({ sameProcess }: Scenario, state: State): Array<Step<State>> {
  if (state.crashes === 0) return []
  const left = { ...state, crashes: state.crashes - 1 }
  const readersDie = (dead: (index: number) => boolean): State => ({
    ...left,
    readers: left.readers.map((reader, index) => dead(index) ? { at: 'done', floor: 0 } : reader)
  })
  const writersDie = left.writers.map((_, dead): Step<State> => ['a writer crashes', {
    ...left,
    writers: left.writers.map((writer, index) => index === dead ? { at: 'done', value: 0, moved: 0 } : writer)
  }])
  return sameProcess
    ? [['the readers crash', readersDie(() => true)], ...writersDie]
    : [['a reader crashes', readersDie((index) => index === 0)], ['a reader crashes', readersDie((index) => index === 1)], ...writersDie]
}

/** The store loses any one key. */
function losses ({ fault }: Scenario, state: State): Array<Step<State>> {
  const lost = Object.keys(state.versions).filter((key) => state.versions[key] != null).map((key): Step<State> => [`${key} is lost`, {
    ...state,
    losses: state.losses - 1,
    versions: { ...state.versions, [key]: null },
    lost: fault === 'a lost version comes back' ? { [key]: state.versions[key]! } : {}
  }])
  const back = fault !== 'a lost version comes back'
    ? []
    : Object.entries(state.lost).map(([key, version]): Step<State> =>
      [`${key} comes back`, { ...state, versions: { ...state.versions, [key]: version }, lost: {} }])
  return [...(state.losses > 0 ? lost : []), ...back]
}

/** A client sends a move again that has been done already, however long ago: done twice it makes two versions. */
function resends ({ payloadTags, fault }: Scenario, state: State): Array<Step<State>> {
  if (state.losses === 0 || state.writers.every(({ at }) => at === 'handler')) return []
  const resend = (key: string, version: number): Step<State> => [`the move of ${key} is done again`, {
    ...state,
    losses: state.losses - 1,
    sent: {},
    versions: { ...state.versions, [key]: version }
  }]
  return fault === 'a move that is sent again writes the same version'
    ? Object.entries(state.sent).map(([key, version]) => resend(key, version!))
    : (payloadTags ? ['group', 'tag'] : ['namespace']).map((key) => resend(key, newVersion(state)))
}
