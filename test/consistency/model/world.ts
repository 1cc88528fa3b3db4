import type { Step } from './explorer.js'
import type { Fault } from './faults.js'
import type { Process, Scenario, Server, State, Versions, Writer } from './state.js'
import { again, softWindowEnds } from './soft.js'
import { bump, expireHolds, onServer, through, windowEnds } from './versions.js'
import { acknowledged, keysOf, onMember } from './writer.js'

/** What happens to processes, to Redis and by time. */
export function worldSteps (scenario: Scenario, state: State): Array<Step<State>> {
  return [
    ...crashes(scenario, state),
    ...expiries(scenario, state),
    ...losses(scenario, state),
    ...resends(scenario, state),
    ...(scenario.settling ? lags(scenario, state) : []),
    ...(scenario.aging ? ages(state) : []),
    ...(scenario.soft ? softWindowEnds(state) : []),
    ...(scenario.failover ? [...promotions(scenario, state), ...meetings(scenario, state), ...repeats(scenario, state)] : [])
  ]
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
function expiries (scenario: Scenario, state: State): Array<Step<State>> {
  const { fault } = scenario
  return state.writers.flatMap((writer, index): Array<Step<State>> => {
    const isCrashed = writer.at === 'crashed'
    const expires = isCrashed || (fault === 'an intent is not renewed' && writer.at === 'handler' && writer.holds.length > 0)
    const until = Math.max(0, ...writer.holds.map((key) => state.server.held[key]?.window ?? 0))
    const isOver = until <= (state.replica ?? until) || fault === 'a hold ends before its window if its writer crashes'
    if (!expires || !isOver) return []
    const expired = expireHolds(scenario, state, writer.holds)
    const after: Writer = isCrashed ? { at: 'done', value: 0, bumped: 0, holds: [] } : writer
    // The replica is known to have what it wrote if a window that covers it was recorded.
    const isKnown = isCrashed && (!scenario.settling || until >= writer.value)
    return [['a hold expires', {
      ...(isKnown ? acknowledged(scenario, expired, writer) : expired),
      writers: state.writers.map((other, at) => at === index ? after : other)
    }]]
  })
}

/** The store loses any one key. */
function losses ({ fault, settling }: Scenario, state: State): Array<Step<State>> {
  // A window is lost with its version.
  if (settling) return []
  const { versions } = state.server
  const lost = Object.keys(versions).filter((key) => versions[key] != null).map((key): Step<State> => [`${key} is lost`, {
    ...onServer(state, { versions: { ...versions, [key]: null } }),
    losses: state.losses - 1,
    lost: fault === 'a lost version comes back' ? { [key]: versions[key]! } : {}
  }])
  const back = fault !== 'a lost version comes back'
    ? []
    : Object.entries(state.lost).map(([key, version]): Step<State> =>
      [`${key} comes back`, { ...onServer(state, { versions: { ...versions, [key]: version } }), lost: {} }])
  return [...(state.losses > 0 ? lost : []), ...back]
}

/**
 * A client sends a bump again that has been done already, however long ago: done twice it makes two versions.
 * It is also a write that has no window of its own.
 */
function resends (scenario: Scenario, state: State): Array<Step<State>> {
  const sent = state.writers.filter(({ at }) => at !== 'handler' && at !== 'begin')
  if (state.losses === 0 || sent.length === 0) return []
  const resend = (key: string, next: State): Step<State> =>
    [`the bump of ${key} is done again`, { ...next, losses: state.losses - 1, sent: {} }]
  if (scenario.fault === 'a bump that is sent again writes the same version') {
    return Object.entries(state.sent).map(([key, version]) => resend(key, bump(scenario, state, key, { version: version! })))
  }
  const kinds = scenario.soft ? new Set(sent.map(({ isSoft = false }) => isSoft)) : [false]
  return [...kinds].flatMap((isSoft) => (scenario.payloadTags ? ['group', 'tag'] : ['namespace']).map((key) =>
    resend(isSoft ? `${key}, which is soft,` : key, again(scenario, state, key, isSoft))))
}

/** The replica of the database catches up, and windows end, which are as long as it lags at the most. */
function lags (scenario: Scenario, state: State): Array<Step<State>> {
  const { replica = 0, database } = state
  const caughtUp: Array<Step<State>> = replica === database ? [] : [['the replica catches up', { ...state, replica: replica + 1 }]]
  return [...caughtUp, ...windowEnds(scenario, state).map((next): Step<State> => ['a window ends', next])]
}

function ages (state: State): Array<Step<State>> {
  const { aging = 0, server: { entry } } = state
  if (aging === 0 || entry === undefined || entry.isOld) return []
  return [['an entry becomes old', { ...onServer(state, { entry: { ...entry, isOld: true } }), aging: aging - 1 }]]
}

const REPLICATED: readonly Fault[] = ['a version of another run is trusted', 'a repeat writes the version that it wrote before']

/**
 * The replica of Redis takes the place of its master. What it has got until then is from another run, and
 * so counts as missing: it is left out, but for faults that need it.
 */
function promotions ({ fault }: Scenario, state: State): Array<Step<State>> {
  const failover = state.failover!
  if (failover.isPromoted) return []
  const versions = fault === 'a version of another run is trusted' ? failover.next?.versions ?? {} : {}
  const promoted: Server = { ...failover.next, versions, held: {}, acknowledged: state.server.acknowledged }
  const steps: Array<Step<State>> = [['the replica is promoted', { ...state, failover: { ...failover, isPromoted: true, next: promoted } }]]
  if (failover.next !== undefined || fault === undefined || !REPLICATED.includes(fault)) return steps
  return [...steps, ['the master replicates', { ...state, failover: { ...failover, next: { ...state.server, acknowledged: 0 } } }]]
}

const PROCESSES: readonly Process[] = ['a', 'b']

/** A process meets the new master, before it uses anything of it. */
function meetings (scenario: Scenario, state: State): Array<Step<State>> {
  const { isPromoted, members } = state.failover!
  if (!isPromoted) return []
  return PROCESSES.filter((process) => !members[process].hasMet).map((process) => {
    const pending = toRepeat(scenario, members[process].recent)
    const met = onMember(state, process, { hasMet: true, pending })
    return [`process ${process} meets the new master`, pending.length === 0 ? allRepeated(met, process) : met]
  })
}

function toRepeat (scenario: Scenario, recent: Versions): string[] {
  const { fault } = scenario
  if (fault === 'nothing is repeated on a new master') return []
  const keys = keysOf(scenario).filter((key) => key in recent)
  if (fault === 'a tag is repeated before its group') return keys.reverse()
  return fault === 'a repeat forgets tags' ? keys.filter((key) => key !== 'tag') : keys
}

function repeats (scenario: Scenario, state: State): Array<Step<State>> {
  return PROCESSES.filter((process) => state.failover!.members[process].pending.length > 0).flatMap((process) =>
    through(state, process, (state) => {
      const { pending: [key, ...pending], recent } = state.failover!.members[process]
      const version = recent[key!] ?? undefined
      const isMissing = version !== undefined && state.server.versions[key!] == null
      const bumped = isMissing ? onServer(state, { versions: { ...state.server.versions, [key!]: version } }) : bump(scenario, state, key!, { version })
      const repeated = onMember(bumped, process, { pending })
      return [[`process ${process} repeats the bump of ${key}`, repeated]]
    }).map(([name, next]): Step<State> =>
      [name, next.failover!.members[process].pending.length === 0 ? allRepeated(next, process) : next]))
}

/** From now on all who use the new master have to know what this process has acknowledged. */
function allRepeated (state: State, process: Process): State {
  const { failover } = state
  const next = failover!.next!
  const known = Math.max(next.acknowledged, failover!.members[process].own)
  return { ...state, failover: { ...failover!, next: { ...next, acknowledged: known } } }
}
