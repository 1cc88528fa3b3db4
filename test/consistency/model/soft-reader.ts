import type { Step } from './explorer.js'
import { readerSteps } from './reader.js'
import { isSoftlyOld, recordOf } from './soft.js'
import type { Entry, Reader, Scenario, SoftRecord, State } from './state.js'
import { current, floorOf } from './versions.js'

/** An entry under a version that has been replaced, and what is known of that. */
interface Replaced {
  readonly entry: Entry
  readonly earlier: number
  readonly now: number
  readonly record: SoftRecord | undefined
}

/**
 * The steps of the read whose answer counts, where writes may be soft, and of the refresh of another request. What the
 * read would fill itself is not old for it: only what the other fills, and what was there before, can be.
 */
export function softReaderSteps (scenario: Scenario, state: State, index: number): Array<Step<State>> {
  const reader = state.readers[index]!
  const { payloadTags, sameProcess, fault } = scenario
  const step = (next: Reader, name: string = reader.at): Array<Step<State>> =>
    [[`a reader: ${name}`, { ...state, readers: state.readers.map((other, at) => at === index ? next : other) }]]
  const floor = reader.at === 'lookup' && !reader.asksFirst ? floorOf(state) : reader.floor
  const served = ({ value }: Entry): Array<Step<State>> => value < floor
    ? [[`a reader: ${reader.at}`, { ...state, stale: `a reader got ${value}, ${floor} was acknowledged before it began` }]]
    : step({ at: 'done', floor: 0 })
  /** Waits for the fill of its process that has begun under the version that its lookup has found. */
  const joined = (namespace: number | null): Array<Step<State>> => {
    const isFor = (version: number | null): boolean => fault === 'join takes any fill' || (version !== null && version === namespace)
    const fill = sameProcess ? state.fills.findIndex(({ findable, versions }) => findable && isFor(versions['namespace']!)) : -1
    return fill === -1 ? step({ at: 'done', floor: 0 }) : step({ at: 'wait', floor, fill }, 'join')
  }
  /** The entry at once, if soft writes let it be used, or what its refresh brings. */
  const decided = ({ entry, ...replaced }: Replaced, namespace: number): Array<Step<State>> =>
    [...isSoftlyOld(scenario, replaced) ? served(entry) : [], ...joined(namespace)]
  const isOfTag = ({ versions }: Entry): boolean => versions['tag'] === current(state, 'tag')

  switch (reader.at) {
    case 'lookup': {
      const namespace = current(state, 'namespace')
      if (reader.isRefresh) return step({ ...reader, at: namespace === null ? 'coalesce' : 'join', versions: { namespace } })
      // It may ask for them before the lookup, in the same round trip, or after it. Tags are looked at afterwards.
      const asks = payloadTags || reader.asksFirst
        ? []
        : step({ at: 'lookup', floor, asksFirst: true, record: recordOf(state, 'namespace') }, 'asks for soft writes')
      const { entry } = state.server
      const earlier = entry?.versions['namespace']
      if (entry === undefined || earlier == null || namespace === null) return [...asks, ...joined(namespace)]
      if (earlier === namespace) return [...asks, ...payloadTags ? step({ at: 'areCurrent', floor, entry }) : served(entry)]
      if (reader.asksFirst) return decided({ entry, earlier, now: namespace, record: reader.record }, namespace)
      // What has replaced a namespace is in the other scenario.
      return [...asks, ...payloadTags ? joined(namespace) : step({ at: 'softened', floor, entry, now: namespace, versions: { namespace } })]
    }
    case 'areCurrent': {
      const entry = reader.entry!
      if (isOfTag(entry)) return served(entry)
      const tag = current(state, 'tag')
      return tag === null ? joined(entry.versions['namespace']!) : step({ ...reader, at: 'softened', now: tag, versions: entry.versions })
    }
    case 'softened': {
      const key = payloadTags ? 'tag' : 'namespace'
      const { entry, now, versions } = reader as Required<Reader>
      return decided({ entry, earlier: entry.versions[key]!, now, record: recordOf(state, key) }, versions['namespace']!)
    }
    case 'wait': {
      const { outcome } = state.fills[reader.fill!]!
      if (outcome === undefined) return []
      if (outcome === null || outcome === 'failed') return step({ at: 'done', floor: 0 })
      return payloadTags ? step({ at: 'answers', floor, entry: outcome }) : served(outcome)
    }
    case 'answers':
      return isOfTag(reader.entry!) ? served(reader.entry!) : step({ at: 'done', floor: 0 })
    default:
      return reader.isRefresh ? readerSteps(scenario, state, index) : []
  }
}
