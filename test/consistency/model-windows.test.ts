import { isFound, isNeverStale } from './model/check.js'
import type { Fault } from './model/faults.js'
import type { Scenario } from './model/state.js'

const SENTENCE = 'no order of the steps of readers from a lagging replica, writers with a window and one without makes a read stale after the window'

/* Handlers read from a replica of the database. What a write made old may be read until its window ends, and not later. */

for (const [sameProcess, holding] of [[false, false], [true, false], [false, true], [true, true]] as const) {
  isNeverStale(SENTENCE, { payloadTags: false, sameProcess, holding, settling: true })
}

const namespace: Scenario = { payloadTags: false, sameProcess: false, holding: false, settling: true }
const payloadTags: Scenario = { ...namespace, payloadTags: true }
const holding: Scenario = { ...namespace, holding: true }

const faults: ReadonlyArray<readonly [Fault, Scenario]> = [
  ['what is filled within a window outlives it', namespace],
  ['a version that does not exist gets no window', namespace],
  ['a bump without a window ends that of another', namespace],
  ['a hold ends without its window', holding],
  ['a hold forgets the window that it found', holding],
  ['a hold ends before its window if its writer crashes', holding],
  ['an entry lacks the window of its group', payloadTags],
  ['withPayloadTags does not compare groups', payloadTags],
  ['join takes any fill', { ...namespace, sameProcess: true }]
]

for (const [fault, scenario] of faults) isFound(fault, scenario)
