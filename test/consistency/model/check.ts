import t from 'tap'
import { explore, type Exploration } from './explorer.js'
import type { Fault } from './faults.js'
import { stepsFrom, staleIn } from './protocol.js'
import { initial, type Scenario } from './state.js'

const run = (scenario: Scenario): Exploration => explore(initial(scenario), stepsFrom(scenario), staleIn)

const describe = ({ payloadTags, sameProcess, holding }: Scenario): string =>
  `${payloadTags ? 'a tag of the payload' : 'a namespace'}, readers in ${sameProcess ? 'one process' : 'two processes'}` +
    (holding ? ', one writer holds' : '')

/** Tests that no order of steps makes a read stale. */
export function isNeverStale (sentence: string, scenario: Scenario): void {
  t.test(`${sentence}: ${describe(scenario)}`, async (t) => {
    const { states, counterexample } = run(scenario)
    t.comment(`${states} states`)
    t.equal(counterexample, undefined)
    t.ok(states > 1_000, `only ${states} states`)
  })
}

/** Tests that the explorer finds a planted fault. */
export function isFound (fault: Fault, scenario: Scenario): void {
  t.test(`the model finds a stale read if ${fault}: ${describe(scenario)}`, async (t) => {
    const { states, counterexample } = run({ ...scenario, fault })
    t.not(counterexample, undefined)
    t.comment([`${states} states`, ...counterexample?.steps ?? [], counterexample?.wrong].join(' | '))
  })
}
