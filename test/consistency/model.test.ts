import t from 'tap'
import { explore, type Exploration } from './model/explorer.js'
import { initial, staleIn, stepsFrom, type Fault, type Scenario } from './model/protocol.js'

const run = (scenario: Scenario): Exploration => explore(initial(scenario), stepsFrom(scenario), staleIn)

for (const payloadTags of [false, true]) {
  for (const sameProcess of [false, true]) {
    const what = `${payloadTags ? 'a tag of the payload' : 'a namespace'}, readers in ${sameProcess ? 'one process' : 'two processes'}`
    t.test(`no order of the steps of two readers, two writers, a crash, and a lost key or a move that is done twice makes a read stale: ${what}`, async (t) => {
      const { states, counterexample } = run({ payloadTags, sameProcess })
      t.comment(`${states} states`)
      t.equal(counterexample, undefined)
      t.ok(states > 1_000, `only ${states} states`)
    })
  }
}

const faults: Record<Fault, Omit<Scenario, 'fault'>> = {
  'judge compares nothing': { payloadTags: false, sameProcess: false },
  'versions are claimed after the handler ran': { payloadTags: false, sameProcess: false },
  'an entry is stored under the versions of that moment': { payloadTags: false, sameProcess: false },
  'a write is acknowledged before its move': { payloadTags: false, sameProcess: false },
  'a lost version comes back': { payloadTags: false, sameProcess: false },
  'a move that is sent again writes the same version': { payloadTags: false, sameProcess: false },
  'join takes any flight': { payloadTags: false, sameProcess: true },
  'a waiter does not confirm the tags of the payload': { payloadTags: true, sameProcess: true },
  'withTags does not compare groups': { payloadTags: true, sameProcess: false },
  'withTags reads groups before tags': { payloadTags: true, sameProcess: false },
  'a tag moves before its group': { payloadTags: true, sameProcess: false }
}

for (const [fault, scenario] of Object.entries(faults) as Array<[Fault, Omit<Scenario, 'fault'>]>) {
  t.test(`a stale read is found where ${fault}`, async (t) => {
    const { counterexample } = run({ ...scenario, fault })
    t.not(counterexample, undefined)
    t.comment([...counterexample?.steps ?? [], counterexample?.wrong].join(' | '))
  })
}
