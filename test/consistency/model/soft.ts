import type { Step } from './explorer.js'
import type { Scenario, SoftRecord, State, Writer } from './state.js'
import { bump, onServer } from './versions.js'

/*
 * Soft writes: what they record beside a version, how long that counts, and what a read has to know of them.
 */

export const recordOf = ({ server: { records } }: State, key: string): SoftRecord | undefined => records?.[key]

const withRecord = (state: State, key: string, record: SoftRecord): State =>
  onServer(state, { records: { ...state.server.records, [key]: record } })

/** What a soft write does to a key. What it replaces may be used until its window is over, and those of all before it. */
function soften (scenario: Scenario, state: State, key: string, write: number): State {
  const { fault } = scenario
  const bumped = bump(scenario, state, key)
  const [before, after] = [state.server.versions[key], bumped.server.versions[key]]
  // A version that is missing or held is replaced as by a hard write.
  if (before == null || after == null || before === after) return bumped
  const earlier = recordOf(state, key)
  const isOfCurrent = earlier?.current === before || fault === 'a soft write keeps what was recorded before a hard one'
  const kept = (isOfCurrent ? earlier?.replaced ?? [] : []).map(({ version, within, since }) => ({
    version,
    within: fault === 'a later soft write prolongs the window of an earlier one' ? [write] : [...within, write],
    since: fault === "the route's window begins with the last soft write" ? write : since
  }))
  return withRecord(bumped, key, { current: after, replaced: [...kept, { version: before, within: [write], since: write }] })
}

/** A bump that is done once more. */
export function again (scenario: Scenario, state: State, key: string, isSoft: boolean): State {
  if (isSoft) {
    const [next, write] = numbered(state)
    return soften(scenario, next, key, write)
  }
  const bumped = bump(scenario, state, key)
  const [record, current] = [recordOf(state, key), bumped.server.versions[key]]
  const takesAlong = scenario.fault === 'a hard bump that is done again takes the record along'
  return takesAlong && record !== undefined && current != null ? withRecord(bumped, key, { ...record, current }) : bumped
}

type Replaced = SoftRecord['replaced'][number]

interface Compared {
  readonly earlier: number
  readonly now: number
  readonly record: SoftRecord | undefined
}

/** Whether only soft writes have replaced an earlier version by the one that is current now. */
export function isSoftlyOld ({ fault }: Scenario, { earlier, now, record }: Compared): boolean {
  if (record?.current !== now && fault !== 'a record of soft writes counts beside any version') return false
  return record?.replaced.some(({ version }) => version === earlier) === true
}

/**
 * Bumps what a writer has made old, and acknowledges it: later would ask less of reads. While something that a soft write
 * made old may be used, reads need not know of it.
 */
export function acknowledgedAtOnce (scenario: Scenario, state: State, index: number, keys: readonly string[]): State {
  const { isSoft, value, recorded } = state.writers[index]!
  const become = (from: State, next: Partial<Writer>): State =>
    ({ ...from, writers: from.writers.map((other, at) => at === index ? { ...other, ...next } : other) })
  const done = { at: 'done', value: 0 } as const
  if (!isSoft) {
    const moved = keys.reduce((from, key) => bump(scenario, from, key), state)
    return become(onServer(sent(scenario, moved, keys[0]!), { acknowledged: Math.max(moved.server.acknowledged, value) }), done)
  }
  const [from, write] = recorded === undefined ? numbered(state) : [state, state.soft!.last]
  if (scenario.fault === 'a record is written before its version' && recorded === undefined) {
    const [early, version] = recordFirst(scenario, from, keys[0]!, write)
    return become(early, { recorded: version })
  }
  const moved = recorded === undefined
    ? keys.reduce((from, key) => soften(scenario, from, key, write), from)
    : bump(scenario, from, keys[0]!, { version: recorded })
  const { last, open } = moved.soft!
  const acknowledged = { ...sent(scenario, moved, keys[0]!), soft: { last, open: [...open, { write, value }] } }
  return become(acknowledged, { ...done, recorded: undefined })
}

/** Remembers what the first bump writes, for the fault that writes it again. */
const sent = ({ fault }: Scenario, state: State, key: string): State => fault === 'a bump that is sent again writes the same version'
  ? { ...state, sent: { [key]: state.server.versions[key]!, ...state.sent } }
  : state

/** For a fault: the record of a bump that is still to come, and the version that it names. */
function recordFirst (scenario: Scenario, state: State, key: string, write: number): [State, number] {
  const { server } = soften(scenario, state, key, write)
  const last = state.last + 1
  return [{ ...onServer(state, { records: server.records }), last }, last]
}

/** The number of the next soft write. */
function numbered (state: State): [State, number] {
  const write = state.soft!.last + 1
  return [{ ...state, soft: { ...state.soft!, last: write } }, write]
}

/** The window of a soft write ends, or that of the route, which is as long after each of them. Reads have to know of it. */
export function softWindowEnds (state: State): Array<Step<State>> {
  const { records = {}, acknowledged } = state.server
  const { last, open } = state.soft!
  const writes = [...new Set(Object.values(records).flatMap(({ replaced }) => replaced.flatMap(({ within }) => within)))]
  const after = (isOver: (write: number) => boolean, mayBeUsed: (one: Replaced) => boolean): State => ({
    ...onServer(state, {
      records: Object.fromEntries(Object.entries(records).map(([key, record]) =>
        [key, { ...record, replaced: record.replaced.filter(mayBeUsed) }])),
      acknowledged: Math.max(acknowledged, ...open.filter(({ write }) => isOver(write)).map(({ value }) => value))
    }),
    soft: { last, open: open.filter(({ write }) => !isOver(write)) }
  })
  return writes.flatMap((write): Array<Step<State>> => [
    [`the window of soft write ${write} ends`, after((one) => one === write, ({ within }) => !within.includes(write))],
    [`the window of the route after soft write ${write} ends`, after((one) => one <= write, ({ since }) => since > write)]
  ])
}
