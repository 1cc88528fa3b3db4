import type { Step } from './explorer.js'
import { acknowledgedAtOnce } from './soft.js'
import type { Member, Process, Scenario, State, Writer } from './state.js'
import { beginHold, bump, endHold, onServer } from './versions.js'

/** What a write bumps. A tag's group comes first. */
export const keysOf = ({ payloadTags, fault }: Scenario): string[] => {
  if (!payloadTags) return ['namespace']
  return fault === 'a tag is bumped before its group' ? ['tag', 'group'] : ['group', 'tag']
}

export const onMember = (state: State, process: Process, next: Partial<Member>): State => ({
  ...state,
  failover: {
    ...state.failover!,
    members: { ...state.failover!.members, [process]: { ...state.failover!.members[process], ...next } }
  }
})

export function writerSteps (scenario: Scenario, state: State, index: number): Array<Step<State>> {
  const writer = state.writers[index]!
  const { fault, settling, soft } = scenario
  const { process } = writer
  const to = (next: Partial<Writer>, from: State = state): State =>
    ({ ...from, writers: from.writers.map((other, at) => at === index ? { ...other, ...next } : other) })
  const step = (next: State): Array<Step<State>> => [[`a writer: ${writer.at}`, next]]
  const keys = keysOf(scenario)
  // A store may bump one after the other. For a window it does not: in Redis a tag is in one script with its group.
  const atOnce = settling || soft || process !== undefined ? keys : [keys[writer.bumped]!]
  const bumped = writer.bumped + atOnce.length
  const isLast = bumped === keys.length
  const each = (move: (from: State, key: string) => State): State => atOnce.reduce(move, state)
  const isHolding = writer.holds.length > 0
  const window = settling ? writer.value : 0
  const afterBump = writer.at === 'late bump' ? 'done' : process === undefined ? 'acknowledge' : 'confirm'
  const beforeEnd = settling ? 'window' : 'end'
  const afterHandler = isHolding ? beforeEnd : fault === 'a write is acknowledged before its bump' ? 'acknowledge' : 'bump'

  switch (writer.at) {
    case 'begin': {
      if (fault === 'writing invalidates before it runs, and holds nothing') {
        return step(to({ at: 'handler' }, keys.reduce((from, key) => bump(scenario, from, key), state)))
      }
      return step(to({ at: isLast ? 'handler' : 'begin', bumped: isLast ? 0 : bumped, holds: [...writer.holds, ...atOnce] },
        each((from, key) => beginHold(scenario, from, key))))
    }
    case 'handler': {
      // What b would write on the old master is like what a writes there.
      if (process === 'b' && !state.failover!.members.b.hasMet) return []
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
    case 'window': {
      return step(to({ at: 'end' }, each((from, key) => bump(scenario, from, key, { window }))))
    }
    case 'end': {
      const isRestored = writer.value === 0 || fault === 'an intent of an unknown outcome restores the version'
      const held = writer.holds.filter((key) => !atOnce.includes(key))
      const ended = each((from, key) => endHold(scenario, from, key, isRestored))
      const next = writer.value === 0 ? { at: 'done' as const, bumped: 0 } : { at: 'acknowledge' as const }
      return step(to(isLast ? { ...next, holds: held } : { bumped, holds: held }, ended))
    }
    case 'bump':
    case 'late bump': {
      if (soft) return step(acknowledgedAtOnce(scenario, state, index, keys))
      const moved = each((from, key) => bump(scenario, from, key, { window }))
      const version = state.last + 1
      const isSameAgain = fault === 'a bump that is sent again writes the same version'
      const sent = isSameAgain ? { sent: { [atOnce[0]!]: version, ...state.sent }, last: version } : {}
      const isToOld = process !== undefined && !state.failover!.members[process].hasMet
      return step(to({ at: isLast ? afterBump : writer.at, bumped, ...(isToOld && { isSentToOld: true }) }, { ...moved, ...sent }))
    }
    case 'confirm': {
      const { hasMet, recent } = state.failover!.members[process!]
      const isAgain = writer.isSentToOld === true && hasMet && fault !== 'what the old master confirms after the new one was met is not sent again'
      if (isAgain) return step(to({ at: 'bump', bumped: 0, isSentToOld: undefined }))
      const versions = Object.fromEntries(keys.map((key) => [key, rememberedVersion(scenario, state, key)]))
      return step(to({ at: 'acknowledge', isSentToOld: undefined }, onMember(state, process!, { recent: { ...recent, ...versions } })))
    }
    case 'acknowledge':
      return step(to(fault === 'a write is acknowledged before its bump' ? { at: 'late bump' } : { at: 'done', value: 0, bumped: 0 },
        acknowledged(scenario, state, writer)))
    case 'crashed':
    case 'done':
      return []
  }
}

/** For the fault that writes it again. */
const rememberedVersion = ({ fault }: Scenario, state: State, key: string): number | null =>
  fault === 'a repeat writes the version that it wrote before' ? state.server.versions[key] ?? null : null

export function acknowledged ({ settling }: Scenario, state: State, { value, process }: Writer): State {
  if (settling) return { ...state, acknowledged: [...state.acknowledged!, value].sort() }
  const known = onServer(state, { acknowledged: Math.max(state.server.acknowledged, value) })
  if (process === undefined) return known
  return onMember(known, process, { own: Math.max(state.failover!.members[process].own, value) })
}
