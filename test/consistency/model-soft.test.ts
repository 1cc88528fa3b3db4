import { isFound, isNeverStale } from './model/check.js'
import type { Fault } from './model/faults.js'
import type { Scenario } from './model/state.js'

/*
 * Two of three writes are soft: what they make old may be used until the window of the write or of the route is over,
 * and until the third, which is hard. A read that begins later has to know of the write.
 */

const SENTENCE = 'no order of the steps of a read, a refresh by another, two soft writers and a hard one, and a lost key or a repeated bump ' +
  'makes a read stale after a window or a hard write'

const namespace: Scenario = { payloadTags: false, sameProcess: false, holding: false, soft: true }
const payloadTags: Scenario = { ...namespace, payloadTags: true }
const holding: Scenario = { ...namespace, holding: true }

for (const scenario of [namespace, payloadTags]) {
  for (const sameProcess of [false, true]) isNeverStale(SENTENCE, { ...scenario, sameProcess })
}
isNeverStale(SENTENCE, holding)

const faults: ReadonlyArray<readonly [Fault, Scenario]> = [
  ['a refresh stores under the versions of that moment', namespace],
  ['join takes any fill', { ...namespace, sameProcess: true }],
  ['a record of soft writes counts beside any version', namespace],
  ['a record of soft writes counts beside any version', payloadTags],
  ['a soft write keeps what was recorded before a hard one', namespace],
  ['a later soft write prolongs the window of an earlier one', namespace],
  ["the route's window begins with the last soft write", namespace],
  ['a hard bump that is done again takes the record along', namespace],
  ['a bump that is sent again writes the same version', namespace],
  ['a record is written before its version', namespace],
  ['an intent of an unknown outcome restores the version', holding],
  ['withPayloadTags does not compare groups', payloadTags]
]

for (const [fault, scenario] of faults) isFound(fault, scenario)
