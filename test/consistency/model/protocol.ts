import type { Step } from './explorer.js'

/*
 * The protocol of versions, as lib speaks it: one cached route that shows one value, two readers,
 * two writers (one of which may hold its versions), one crash, and one key that is lost or one bump that is done twice. Each step below
 * is one thing that happens at one moment: an answer of the store, of the database, or what the
 * plugin does between two of them. These functions of lib take it (a test looks for each of them):
 *
 *   lookup            lookup, evaluate                   lib/read/lookup.ts
 *   areCurrent        tagsOldSince                       lib/read/payload-tags.ts
 *   coalesce          coalesce                           lib/read/coalesce/coalesce.ts
 *   join              FillsInFlight.join                 lib/read/coalesce/fills-in-flight.ts
 *   wait              FillInFlight.whenPublished         lib/read/coalesce/fills-in-flight.ts
 *   answers           answers                            lib/read/coalesce/coalesce.ts
 *   groupVersions     groupVersions                      lib/read/payload-tags.ts
 *   fill              fill                               lib/read/fill/fill.ts
 *   withPayloadTags   withPayloadTags                    lib/read/payload-tags.ts
 *   compareGroups     withPayloadTags                    lib/read/payload-tags.ts
 *   publish           Fill.#keep, Fill.#publish          lib/read/fill/life.ts
 *   release           FillsInFlight.release              lib/read/coalesce/fills-in-flight.ts
 *   begin             Intent.begin                       lib/write/intent.ts
 *   end               Intent.end                         lib/write/intent.ts
 *   bump              Invalidation.invalidate            lib/write/invalidation.ts
 *   acknowledge       invalidateOnSend                   lib/fastify/write-hooks.ts
 *
 * Who changes the order of any two of these, or what they compare, changes it here first, and
 * adds to `Fault` what the new order must not be.
 */

/** What can be done wrong: each is a name, so that a test can show that the explorer finds it. */
export type Fault =
  | 'a lookup compares nothing'
  | 'versions are ensured after the handler ran'
  | 'an entry is stored under the versions of that moment'
  | 'a write is acknowledged before its bump'
  | 'a lost version comes back'
  | 'a bump that is sent again writes the same version'
  | 'join takes any fill'
  | 'a waiter does not compare the tags of the payload'
  | 'withPayloadTags does not compare groups'
  | 'withPayloadTags reads groups before tags'
  | 'a tag is bumped before its group'
  | 'an intent ends before its handler has settled'
  | 'an intent is not renewed'
  | 'an intent of an unknown outcome restores the version'
  | 'an intent that expires restores the version'
  | 'a bump ends the hold of another'
  | 'a version that is held can be ensured'
  | 'writing invalidates before it runs, and holds nothing'

export interface Scenario {
  /** Whether the tag that a write bumps is known from the payload only; the write bumps the namespace otherwise. */
  readonly payloadTags: boolean
  /** Whether the readers share a process, and so its fills in flight. */
  readonly sameProcess: boolean
  /** Whether the first writer is strict, or `writing()`; it may also be refused, which restores the versions. */
  readonly holding: boolean
  readonly fault?: Fault
}

type Versions = Readonly<Record<string, number | null>>

interface Entry {
  readonly value: number
  readonly versions: Versions
}

interface FillInFlight {
  readonly versions: Versions
  /** Undefined while it is under way, null when a write came after it had begun. */
  readonly outcome?: Entry | null
  readonly findable: boolean
}

interface Reader {
  readonly at:
    'lookup' | 'areCurrent' | 'coalesce' | 'join' | 'wait' | 'answers' | 'groupVersions' | 'fill' |
    'withPayloadTags' | 'compareGroups' | 'publish' | 'release' | 'done'
  /** The last value that was acknowledged before this read began. */
  readonly floor: number
  readonly versions?: Versions
  readonly entry?: Entry
  readonly fill?: number
  readonly group?: number | null
}

interface Writer {
  readonly at: 'begin' | 'handler' | 'late handler' | 'end' | 'bump' | 'acknowledge' | 'late bump' | 'crashed' | 'done'
  readonly value: number
  readonly bumped: number
  /** The keys that it holds. */
  readonly holds: readonly string[]
}

/** A key that is held. Its version counts as missing. */
interface Hold {
  readonly before: number | null
  readonly existed: boolean
}

export interface State {
  readonly database: number
  readonly acknowledged: number
  readonly versions: Versions
  readonly held: Readonly<Record<string, Hold>>
  /** What was lost of versions, for the fault that brings it back. */
  readonly lost: Versions
  /** What the first bump of each key wrote, for the fault that writes it again. */
  readonly sent: Versions
  readonly entry?: Entry
  readonly fills: readonly FillInFlight[]
  readonly readers: readonly Reader[]
  readonly writers: readonly Writer[]
  readonly crashes: number
  /** Keys that get lost, or bumps whose answer gets lost with its connection, so that they are done once more. */
  readonly losses: number
  readonly stale?: string
}

export const initial = ({ payloadTags, holding, fault }: Scenario): State => ({
  database: 0,
  acknowledged: 0,
  // A write that bumps only the tag leaves it alone: that it has to be ensured is the other scenario's.
  // Both readers are needed to find a bump that is done again.
  versions: payloadTags || fault === 'a bump that is sent again writes the same version' ? { namespace: 1 } : {},
  held: {},
  lost: {},
  sent: {},
  fills: [],
  readers: [0, 1].map(() => ({ at: 'lookup', floor: 0 })),
  writers: [holding ? 'begin' as const : 'handler' as const, 'handler' as const].map((at) => ({ at, value: 0, bumped: 0, holds: [] })),
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
        ...expiries(scenario, state),
        ...losses(scenario, state),
        ...resends(scenario, state)
      ].map(([name, next]) => [name, canonical(next)])
}

/** Whether a read is to come, or under way, that began after an acknowledged write. */
const canStillBeStale = ({ readers }: State): boolean => readers.some(({ at, floor }) => at === 'lookup' || floor > 0)

/** One of the states that differ only in which token is which, which of two equals is first, or in fills that are over. */
function canonical (state: State): State {
  const awaited = new Set(state.readers.map(({ fill }) => fill))
  const fills = state.fills.map((fill, index) => ({ fill, index })).filter(({ fill, index }) => fill.findable || awaited.has(index))
  const inOrder = <T>(list: readonly T[]): T[] => [...list].sort((a, b) => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)
  const tidy: State = {
    ...state,
    fills: fills.map(({ fill }) => fill),
    readers: inOrder(state.readers.map((reader) => reader.fill === undefined
      ? reader
      : { ...reader, fill: fills.findIndex(({ index }) => index === reader.fill) })),
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
    held: Object.fromEntries(Object.entries(tidy.held).sort().map(([key, hold]) => [key, { ...hold, before: name(hold.before) }])),
    lost: renamed(tidy.lost),
    sent: renamed(tidy.sent),
    ...(tidy.entry && { entry: entry(tidy.entry) }),
    fills: tidy.fills.map((fill) => ({ ...fill, versions: renamed(fill.versions), ...(fill.outcome && { outcome: entry(fill.outcome) }) })),
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
  const held = [state, ...state.fills, ...state.readers, state.entry, ...state.fills.map(({ outcome }) => outcome), ...state.readers.map(({ entry }) => entry)]
    .flatMap((holder) => Object.values(holder?.versions ?? {}))
  return 1 + Math.max(0, ...[...held, ...Object.values(state.held).map(({ before }) => before), ...Object.values(state.lost), ...Object.values(state.sent), ...state.readers.map(({ group }) => group)].map((token) => token ?? 0))
}

/** The current version of a key; one that does not exist becomes a new one first. Null for one that is held. */
function ensure ({ fault }: Scenario, state: State, key: string): [State, number | null] {
  if (state.held[key] !== undefined && fault !== 'a version that is held can be ensured') return [state, null]
  const version = state.versions[key]
  if (version != null) return [state, version]
  const fresh = newVersion(state)
  return [{ ...state, versions: { ...state.versions, [key]: fresh } }, fresh]
}

const current = (state: State, key: string): number | null => state.versions[key] ?? null

function readerSteps (scenario: Scenario, state: State, reader: Reader, index: number): Array<Step<State>> {
  const { payloadTags, sameProcess, fault } = scenario
  const to = (next: Partial<Reader>, from: State = state): State =>
    ({ ...from, readers: from.readers.map((other, at) => at === index ? { ...other, ...next } : other) })
  const done = (from: State = state): State => to({
    at: 'done',
    floor: 0,
    versions: undefined,
    entry: undefined,
    fill: undefined,
    group: undefined
  }, from)
  const served = (value: number): State => value < reader.floor
    ? { ...state, stale: `a reader got ${value}, ${reader.floor} was acknowledged before it began` }
    : done()
  const step = (next: State, name: string = reader.at): Array<Step<State>> => [[`a reader: ${name}`, next]]
  const fillTo = (next: Partial<FillInFlight>, from: State = state): State =>
    ({ ...from, fills: from.fills.map((fill, at) => at === reader.fill ? { ...fill, ...next } : fill) })
  const afterJoin = payloadTags ? 'groupVersions' : 'fill'

  switch (reader.at) {
    case 'lookup': {
      const floor = state.acknowledged
      const namespace = current(state, 'namespace')
      const { entry } = state
      if (entry !== undefined && (entry.versions['namespace'] === namespace || fault === 'a lookup compares nothing')) {
        return step(to({ at: 'areCurrent', floor, entry }))
      }
      return step(to({ at: namespace === null || fault === 'versions are ensured after the handler ran' ? 'coalesce' : 'join', floor, versions: { namespace } }))
    }
    case 'areCurrent': {
      const { entry } = reader
      const isCurrent = !payloadTags || entry!.versions['tag'] === current(state, 'tag') || fault === 'a lookup compares nothing'
      if (isCurrent) return step(served(entry!.value))
      // What the lookup found is known already.
      return step(to({ at: 'join', entry: undefined, versions: { namespace: entry!.versions['namespace']! } }))
    }
    case 'coalesce': {
      if (fault === 'versions are ensured after the handler ran') return step(to({ at: 'join', versions: { namespace: null } }))
      const [next, namespace] = ensure(scenario, state, 'namespace')
      // Held: the request bypasses the cache.
      if (namespace === null) return step(done())
      return step(to({ at: 'join', versions: { namespace } }, next))
    }
    case 'join': {
      const found = sameProcess
        ? state.fills.findLastIndex(({ findable, versions }) =>
          findable && (versions['namespace'] === reader.versions!['namespace'] || fault === 'join takes any fill'))
        : -1
      if (found !== -1) return step(to({ at: 'wait', fill: found }))
      const fill: FillInFlight = { versions: reader.versions!, findable: true }
      return step(to({ at: afterJoin, fill: state.fills.length }, { ...state, fills: [...state.fills, fill] }))
    }
    case 'wait': {
      const { outcome } = state.fills[reader.fill!]!
      if (outcome === undefined) return []
      if (outcome === null) return step(to({ at: afterJoin, fill: undefined }), 'wait, invalidated')
      if (!payloadTags || fault === 'a waiter does not compare the tags of the payload') return step(served(outcome.value))
      return step(to({ at: 'answers', entry: outcome }))
    }
    case 'answers':
      return step(reader.entry!.versions['tag'] === current(state, 'tag')
        ? served(reader.entry!.value)
        : to({ at: afterJoin, fill: undefined, entry: undefined }))
    case 'groupVersions': {
      const [next, group] = ensure(scenario, state, 'group')
      return step(to({ at: 'fill', group }, next))
    }
    case 'fill': {
      const entry = { value: state.database, versions: reader.versions! }
      return step(to({ at: payloadTags ? 'withPayloadTags' : 'publish', entry }))
    }
    case 'withPayloadTags': {
      const invalidated = fault === 'withPayloadTags reads groups before tags' && current(state, 'group') !== reader.group
      if (invalidated) return step(done(fillTo({ outcome: null, findable: false })))
      if (fault === 'withPayloadTags reads groups before tags') return step(to({ at: 'compareGroups' }))
      const [next, tag] = ensure(scenario, state, 'tag')
      if (tag === null) return step(done(fillTo({ outcome: null, findable: false })))
      return step(to({ at: 'compareGroups', entry: { ...reader.entry!, versions: { ...reader.entry!.versions, tag } } }, next))
    }
    case 'compareGroups': {
      if (fault === 'withPayloadTags reads groups before tags') {
        const [next, tag] = ensure(scenario, state, 'tag')
        return step(to({ at: 'publish', entry: { ...reader.entry!, versions: { ...reader.entry!.versions, tag } } }, next))
      }
      const [next, group] = ensure(scenario, state, 'group')
      const isUnchanged = (group !== null && group === reader.group) || fault === 'withPayloadTags does not compare groups'
      return step(isUnchanged ? to({ at: 'publish' }, next) : done(fillTo({ outcome: null, findable: false }, next)))
    }
    case 'publish': {
      let from = state
      let entry = reader.entry!
      if (fault === 'versions are ensured after the handler ran' || fault === 'an entry is stored under the versions of that moment') {
        const [next, namespace] = ensure(scenario, state, 'namespace')
        from = next
        entry = { ...entry, versions: { ...entry.versions, namespace } }
      }
      // The waiters are told before the store has it.
      return step(to({ at: 'release', entry }, fillTo({ outcome: entry }, from)))
    }
    case 'release':
      return [
        ['a reader: set', done(fillTo({ findable: false }, { ...state, entry: reader.entry! }))]
      ]
    case 'done':
      return []
  }
}

/** Replaces a version. One that does not exist is left so, and one that is held is not restored. */
function bump ({ fault }: Scenario, state: State, key: string, version: number): State {
  const hold = state.held[key]
  if (hold !== undefined && fault !== 'a bump ends the hold of another') return { ...state, held: { ...state.held, [key]: { ...hold, before: null } } }
  if (hold === undefined && state.versions[key] == null) return state
  const { [key]: _, ...held } = state.held
  return { ...state, held, versions: { ...state.versions, [key]: version } }
}

function beginHold (state: State, key: string): State {
  const before = state.versions[key] ?? null
  const hold = state.held[key] ?? { before, existed: before !== null }
  return { ...state, held: { ...state.held, [key]: hold }, versions: { ...state.versions, [key]: null } }
}

/** The end of the only intent on a key; without a hold, as when it was lost, it is a bump or nothing. */
function endHold (scenario: Scenario, state: State, key: string, isRestored: boolean): State {
  const { [key]: hold, ...held } = state.held
  if (hold === undefined) return isRestored ? state : bump(scenario, state, key, newVersion(state))
  const version = isRestored && hold.before !== null ? hold.before : hold.existed ? newVersion(state) : null
  return { ...state, held, versions: { ...state.versions, [key]: version } }
}

const keysOf = ({ payloadTags, fault }: Scenario): string[] => {
  if (!payloadTags) return ['namespace']
  return fault === 'a tag is bumped before its group' ? ['tag', 'group'] : ['group', 'tag']
}

function writerSteps (scenario: Scenario, state: State, writer: Writer, index: number): Array<Step<State>> {
  const { fault } = scenario
  const to = (next: Partial<Writer>, from: State = state): State =>
    ({ ...from, writers: from.writers.map((other, at) => at === index ? { ...other, ...next } : other) })
  const step = (next: State): Array<Step<State>> => [[`a writer: ${writer.at}`, next]]
  const keys = keysOf(scenario)
  const key = keys[writer.bumped]!
  const isLast = writer.bumped + 1 === keys.length
  const isHolding = writer.holds.length > 0
  const afterBump = writer.at === 'late bump' ? 'done' : 'acknowledge'
  const afterHandler = isHolding ? 'end' : fault === 'a write is acknowledged before its bump' ? 'acknowledge' : 'bump'

  switch (writer.at) {
    case 'begin': {
      if (fault === 'writing invalidates before it runs, and holds nothing') {
        return step(to({ at: 'handler' }, keys.reduce((from, key) => bump(scenario, from, key, newVersion(from)), state)))
      }
      return step(to({ at: isLast ? 'handler' : 'begin', bumped: isLast ? 0 : writer.bumped + 1, holds: [...writer.holds, key] }, beginHold(state, key)))
    }
    case 'handler': {
      const value = state.database + 1
      const isFirst = index === state.writers.findIndex(({ at }) => at === 'handler')
      const written = to({ at: afterHandler, value }, { ...state, database: value })
      if (fault === 'writing invalidates before it runs, and holds nothing' && isFirst) return step(to({ at: 'acknowledge' }, written))
      if (!isHolding) return step(written)
      if (fault === 'an intent ends before its handler has settled') {
        const ended = writer.holds.reduce((from, key) => endHold(scenario, from, key, false), state)
        return step(to({ at: 'late handler', holds: [] }, ended))
      }
      return [...step(written), ['a writer: is refused', to({ at: 'end' })]]
    }
    case 'late handler': {
      const value = state.database + 1
      return step(to({ at: 'acknowledge', value }, { ...state, database: value }))
    }
    case 'end': {
      const isRestored = writer.value === 0 || fault === 'an intent of an unknown outcome restores the version'
      const held = writer.holds.filter((other) => other !== key)
      const ended = endHold(scenario, state, key, isRestored)
      const next = writer.value === 0 ? { at: 'done' as const, bumped: 0 } : { at: 'acknowledge' as const }
      return step(to(isLast ? { ...next, holds: held } : { bumped: writer.bumped + 1, holds: held }, ended))
    }
    case 'bump':
    case 'late bump': {
      const written = { [key]: newVersion(state) }
      const isAgain = fault === 'a bump that is sent again writes the same version'
      const sent = isAgain ? { ...written, ...state.sent } : {}
      return step(to({ at: isLast ? afterBump : writer.at, bumped: writer.bumped + 1 }, { ...bump(scenario, state, key, written[key]!), sent }))
    }
    case 'acknowledge':
      return step(to(fault === 'a write is acknowledged before its bump' ? { at: 'late bump' } : { at: 'done', value: 0, bumped: 0 },
        { ...state, acknowledged: Math.max(state.acknowledged, writer.value) }))
    case 'crashed':
    case 'done':
      return []
  }
}

/** A process that crashes takes its fills with it; who waited for them is in the same process. */
function crashes ({ sameProcess }: Scenario, state: State): Array<Step<State>> {
  if (state.crashes === 0) return []
  const left = { ...state, crashes: state.crashes - 1 }
  const readersDie = (dead: (index: number) => boolean): State => ({
    ...left,
    readers: left.readers.map((reader, index) => dead(index) ? { at: 'done', floor: 0 } : reader)
  })
  const dead = (writer: Writer): Writer => writer.holds.length > 0 ? { ...writer, at: 'crashed' } : { at: 'done', value: 0, bumped: 0, holds: [] }
  const writersDie = left.writers.map((_, dying): Step<State> => ['a writer crashes', {
    ...left,
    writers: left.writers.map((writer, index) => index === dying ? dead(writer) : writer)
  }])
  return sameProcess
    ? [['the readers crash', readersDie(() => true)], ...writersDie]
    : [['a reader crashes', readersDie((index) => index === 0)], ['a reader crashes', readersDie((index) => index === 1)], ...writersDie]
}

/** What a crashed writer held is lost with its time. What it has written is to be read from then on. */
function expiries ({ fault }: Scenario, state: State): Array<Step<State>> {
  return state.writers.flatMap((writer, index): Array<Step<State>> => {
    const isCrashed = writer.at === 'crashed'
    const expires = isCrashed || (fault === 'an intent is not renewed' && writer.at === 'handler' && writer.holds.length > 0)
    if (!expires) return []
    const held = { ...state.held }
    const versions: Record<string, number | null> = { ...state.versions }
    for (const key of writer.holds) {
      if (fault === 'an intent that expires restores the version') versions[key] = held[key]?.before ?? versions[key] ?? null
      delete held[key]
    }
    const after: Writer = isCrashed ? { at: 'done', value: 0, bumped: 0, holds: [] } : writer
    return [['a hold expires', {
      ...state,
      held,
      versions,
      acknowledged: isCrashed ? Math.max(state.acknowledged, writer.value) : state.acknowledged,
      writers: state.writers.map((other, at) => at === index ? after : other)
    }]]
  })
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

/** A client sends a bump again that has been done already, however long ago: done twice it makes two versions. */
function resends (scenario: Scenario, state: State): Array<Step<State>> {
  if (state.losses === 0 || state.writers.every(({ at }) => at === 'handler' || at === 'begin')) return []
  const resend = (key: string, version: number): Step<State> =>
    [`the bump of ${key} is done again`, { ...bump(scenario, state, key, version), losses: state.losses - 1, sent: {} }]
  return scenario.fault === 'a bump that is sent again writes the same version'
    ? Object.entries(state.sent).map(([key, version]) => resend(key, version!))
    : (scenario.payloadTags ? ['group', 'tag'] : ['namespace']).map((key) => resend(key, newVersion(state)))
}
