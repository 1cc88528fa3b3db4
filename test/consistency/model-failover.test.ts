import { isFound, isNeverStale } from './model/check.js'
import type { Fault } from './model/faults.js'
import type { Scenario } from './model/state.js'

/* A replica of Redis takes the place of its master, which goes on for those who have not heard of it. */

for (const payloadTags of [false, true]) {
  isNeverStale('no order of the steps of two processes of which each reads and writes, and meets a new master at a moment of its own, ' +
    'makes a read stale when the writes before have been repeated', { payloadTags, sameProcess: false, holding: false, failover: true })
}

const namespace: Scenario = { payloadTags: false, sameProcess: false, holding: false, failover: true }
const payloadTags: Scenario = { ...namespace, payloadTags: true }

const faults: ReadonlyArray<readonly [Fault, Scenario]> = [
  ['a version of another run is trusted', namespace],
  ['nothing is repeated on a new master', namespace],
  ['a repeat forgets tags', payloadTags],
  ['a tag is repeated before its group', payloadTags],
  ['a repeat writes the version that it wrote before', namespace],
  ['what has to be repeated is served meanwhile', namespace],
  ['what the old master confirms after the new one was met is not sent again', namespace]
]

for (const [fault, scenario] of faults) isFound(fault, scenario)
