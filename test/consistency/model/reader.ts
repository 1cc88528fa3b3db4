import type { Step } from './explorer.js'
import type { Entry, FillInFlight, Reader, Scenario, State, Versions } from './state.js'
import { blocks, current, ensure, floorOf, onServer } from './versions.js'

/** The versions of that moment, for a fault. */
function ensureAll (scenario: Scenario, state: State): [State, Versions] {
  const [next, namespace] = ensure(scenario, state, 'namespace')
  if (!scenario.payloadTags) return [next, { namespace }]
  const [last, tag] = ensure(scenario, next, 'tag')
  return [last, { namespace, tag }]
}

/** The steps of a read, and of a refresh, which is a fill that nobody reads. */
export function readerSteps (scenario: Scenario, state: State, index: number): Array<Step<State>> {
  const reader = state.readers[index]!
  const { payloadTags, sameProcess, fault } = scenario
  const to = (next: Partial<Reader>, from: State = state): State =>
    ({ ...from, readers: from.readers.map((other, at) => at === index ? { ...other, ...next } : other) })
  const done = (from: State = state): State => to({
    at: 'done',
    floor: 0,
    versions: undefined,
    entry: undefined,
    invalidated: undefined,
    fill: undefined,
    group: undefined
  }, from)
  const served = ({ value }: Entry): State => value < reader.floor
    ? { ...state, stale: `a reader got ${value}, ${reader.floor} was acknowledged before it began` }
    : done()
  const step = (next: State, name: string = reader.at): Array<Step<State>> => [[`a reader: ${name}`, next]]
  const fillTo = (next: Partial<FillInFlight>, from: State = state): State =>
    ({ ...from, fills: from.fills.map((fill, at) => at === reader.fill ? { ...fill, ...next } : fill) })
  const ended = (outcome: FillInFlight['outcome'], from: State = state): State => done(fillTo({ outcome, findable: false }, from))
  const isBlocked = (...keys: string[]): boolean => blocks(scenario, state, reader.process, keys)
  /** Whether the tags of an entry, which no lookup reads, are still the same. */
  const areCurrent = ({ versions, isOld }: Entry): boolean => {
    if (!payloadTags || fault === 'a lookup compares nothing') return true
    if (isOld && fault === 'the tags of the payload of an old entry are not compared') return true
    const others = Object.keys(versions).filter((key) => key !== 'namespace')
    return !isBlocked('tag') && others.every((key) => versions[key] === current(state, key))
  }
  const find = (takesAny: boolean): number => sameProcess
    ? state.fills.findLastIndex(({ findable, versions }) => findable &&
        (takesAny || versions['namespace'] === reader.versions!['namespace']))
    : -1
  const begin = (from: State = state): [State, number] =>
    [{ ...from, fills: [...from.fills, { versions: reader.versions!, findable: true }] }, from.fills.length]
  const afterJoin = payloadTags ? 'groupVersions' : 'fill'

  /** Refreshes behind the response, unless a refresh is under way. */
  const refreshed = (next: State, entry: Entry): State => ({
    ...next,
    readers: next.readers.map((other) => other.at === 'idle'
      ? { at: 'refresh', floor: 0, isRefresh: true, entry, versions: { namespace: entry.versions['namespace']! } }
      : other)
  })
  /** What a request does with an entry that counts as current. */
  const used = (entry: Entry): Array<Step<State>> => {
    const next = served(entry)
    const bridged = entry.isOld
      ? step(to({ at: 'bridge', entry, versions: { namespace: entry.versions['namespace']! } }), 'waits for the refresh')
      : []
    if (next.stale !== undefined || state.aging === undefined) return step(next)
    return [...step(next), ...step(refreshed(next, entry), 'and refreshes'), ...bridged]
  }

  /** The handler of a fill fails. */
  const failed = (): State => {
    if (reader.isRefresh && fault === 'a failure revives an entry') {
      const [next, versions] = ensureAll(scenario, state)
      return ended('failed', onServer(next, { entry: { value: reader.entry!.value, versions } }))
    }
    if (reader.invalidated === undefined) return ended('failed')
    const next = served(reader.invalidated)
    return next.stale === undefined ? ended('failed') : next
  }
  const withGroup = (entry: Entry, group: number | null): Partial<Reader> => {
    const { windows = {} } = state.server
    const isNeeded = windows['group'] !== undefined && windows['tag'] === undefined && fault !== 'an entry lacks the window of its group'
    return isNeeded ? { entry: { ...entry, versions: { ...entry.versions, group } } } : {}
  }

  switch (reader.at) {
    case 'lookup': {
      const floor = floorOf(state, reader.process)
      if (isBlocked('namespace')) return step(done())
      const namespace = current(state, 'namespace')
      const { entry } = state.server
      const comparesNothing = fault === 'a lookup compares nothing' ||
        (entry?.isOld === true && fault === 'an entry that is old by time is served without comparing its versions')
      if (entry !== undefined && (entry.versions['namespace'] === namespace || comparesNothing)) {
        return step(to({ at: 'areCurrent', floor, entry }))
      }
      const isMissing = namespace === null || fault === 'versions are ensured after the handler ran'
      const invalidated = fault === 'an entry that a write made old is served if the handler fails' ? entry : undefined
      return step(to({ at: isMissing ? 'coalesce' : 'join', floor, versions: { namespace }, ...(invalidated && { invalidated }) }))
    }
    case 'areCurrent': {
      const entry = reader.entry!
      if (isBlocked('tag')) return step(done())
      if (areCurrent(entry)) return used(entry)
      // What the lookup found is known already.
      return step(to({ at: 'join', entry: undefined, versions: { namespace: entry.versions['namespace']! } }))
    }
    case 'bridge': {
      const found = find(fault === 'join takes any fill')
      if (found !== -1) return step(to({ at: 'refreshed', fill: found }))
      const refresher = state.readers.findIndex(({ at }) => at === 'idle')
      if (refresher === -1) return step(to({ at: 'join', entry: undefined }))
      const [begun, fill] = begin()
      const refreshing: Reader = { at: afterJoin, floor: 0, isRefresh: true, fill, versions: reader.versions!, entry: reader.entry! }
      return step(to({ at: 'refreshed', fill }, { ...begun, readers: begun.readers.map((other, at) => at === refresher ? refreshing : other) }))
    }
    case 'refreshed': {
      const { outcome } = state.fills[reader.fill!]!
      const late = step(served(reader.entry!), 'does not wait longer')
      if (outcome === undefined) return late
      if (outcome === 'failed') return step(served(reader.entry!), 'refreshed, in vain')
      const answers = outcome !== null && areCurrent(outcome)
      return step(answers ? served(outcome) : to({ at: 'join', fill: undefined, entry: undefined }))
    }
    case 'coalesce': {
      if (fault === 'versions are ensured after the handler ran') return step(to({ at: 'join', versions: { namespace: null } }))
      const [next, namespace] = ensure(scenario, state, 'namespace')
      // Held: the request bypasses the cache.
      if (namespace === null) return step(done())
      return step(to({ at: 'join', versions: { namespace } }, next))
    }
    case 'join': {
      const found = find(fault === 'join takes any fill')
      if (found !== -1) return step(to({ at: 'wait', fill: found }))
      const [begun, fill] = begin()
      return step(to({ at: afterJoin, fill }, begun))
    }
    case 'wait': {
      const { outcome } = state.fills[reader.fill!]!
      if (outcome === undefined) return []
      if (outcome === 'failed') return step(reader.invalidated ? served(reader.invalidated) : done(), 'wait, in vain')
      if (outcome === null) return step(to({ at: afterJoin, fill: undefined }), 'wait, invalidated')
      if (!payloadTags || fault === 'a waiter does not compare the tags of the payload') return step(served(outcome))
      return step(to({ at: 'answers', entry: outcome }))
    }
    case 'answers':
      return step(areCurrent(reader.entry!) ? served(reader.entry!) : to({ at: afterJoin, fill: undefined, entry: undefined }))
    case 'groupVersions': {
      const [next, group] = ensure(scenario, state, 'group')
      return step(to({ at: 'fill', group }, next))
    }
    case 'fill': {
      const entry = { value: state.replica ?? state.database, versions: reader.versions! }
      const filled = step(to({ at: payloadTags ? 'withPayloadTags' : 'publish', entry }))
      return state.aging === undefined ? filled : [...filled, ...step(failed(), 'fill, in vain')]
    }
    case 'withPayloadTags': {
      const invalidated = fault === 'withPayloadTags reads groups before tags' && current(state, 'group') !== reader.group
      if (invalidated) return step(ended(null))
      if (fault === 'withPayloadTags reads groups before tags') return step(to({ at: 'compareGroups' }))
      const [next, tag] = ensure(scenario, state, 'tag')
      if (tag === null) return step(ended(null))
      return step(to({ at: 'compareGroups', entry: { ...reader.entry!, versions: { ...reader.entry!.versions, tag } } }, next))
    }
    case 'compareGroups': {
      if (fault === 'withPayloadTags reads groups before tags') {
        const [next, tag] = ensure(scenario, state, 'tag')
        return step(to({ at: 'publish', entry: { ...reader.entry!, versions: { ...reader.entry!.versions, tag } } }, next))
      }
      const [next, group] = ensure(scenario, state, 'group')
      const isUnchanged = (group !== null && group === reader.group && !isBlocked('tag', 'group')) ||
        fault === 'withPayloadTags does not compare groups'
      return step(isUnchanged ? to({ at: 'publish', ...withGroup(reader.entry!, group) }, next) : ended(null, next))
    }
    case 'publish': {
      let from = state
      let entry = reader.entry!
      const isOfThatMoment = fault === 'versions are ensured after the handler ran' || fault === 'an entry is stored under the versions of that moment' ||
        (reader.isRefresh === true && fault === 'a refresh stores under the versions of that moment')
      if (isOfThatMoment) {
        const [next, namespace] = ensure(scenario, state, 'namespace')
        from = next
        entry = { ...entry, versions: { ...entry.versions, namespace } }
      }
      // The waiters are told before the store has it.
      return step(to({ at: 'release', entry }, fillTo({ outcome: entry }, from)))
    }
    case 'release':
      return [['a reader: set', done(fillTo({ findable: false }, onServer(state, { entry: reader.entry! })))]]
    case 'refresh': {
      if (find(false) !== -1) return step(done())
      const [begun, fill] = begin()
      return step(to({ at: afterJoin, fill }, begun))
    }
    // A step of the other readers, in soft-reader.ts.
    case 'softened':
    case 'idle':
    case 'done':
      return []
  }
}
