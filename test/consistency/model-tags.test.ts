import { isFound, isNeverStale } from './model/check.js'
import type { Fault } from './model/faults.js'
import type { Scenario } from './model/state.js'

/* A write bumps a tag that only the payload tells, so that its version is read after the handler ran. */

for (const [sameProcess, holding] of [[false, false], [true, false], [false, true], [true, true]] as const) {
  isNeverStale('no order of the steps of two readers, two writers, a crash, and a lost key or a repeated bump makes a read stale',
    { payloadTags: true, sameProcess, holding })
}

const scenario: Scenario = { payloadTags: true, sameProcess: false, holding: false }

const faults: ReadonlyArray<readonly [Fault, Scenario]> = [
  ['a waiter does not compare the tags of the payload', { ...scenario, sameProcess: true }],
  ['withPayloadTags does not compare groups', scenario],
  ['withPayloadTags reads groups before tags', scenario],
  ['a tag is bumped before its group', scenario]
]

for (const [fault, scenario] of faults) isFound(fault, scenario)
