import { isFound, isNeverStale } from './model/check.js'
import type { Fault } from './model/faults.js'
import type { Scenario } from './model/state.js'

/* Time may be bridged, a write never: entries become old by time, are served, and refreshed without a client, in vain perhaps. */

for (const payloadTags of [false, true]) {
  for (const sameProcess of [false, true]) {
    isNeverStale('no order of the steps of two readers, a refresh, two writers, and entries that become old makes a read stale',
      { payloadTags, sameProcess, holding: false, aging: true })
  }
}

const namespace: Scenario = { payloadTags: false, sameProcess: false, holding: false, aging: true }
const payloadTags: Scenario = { ...namespace, payloadTags: true }

const faults: ReadonlyArray<readonly [Fault, Scenario]> = [
  ['a refresh stores under the versions of that moment', namespace],
  ['an entry that is old by time is served without comparing its versions', namespace],
  ['the tags of the payload of an old entry are not compared', payloadTags],
  ['a failure revives an entry', namespace],
  ['an entry that a write made old is served if the handler fails', namespace],
  ['withPayloadTags does not compare groups', payloadTags]
]

for (const [fault, scenario] of faults) isFound(fault, scenario)
