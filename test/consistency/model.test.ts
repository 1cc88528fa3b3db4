import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { root } from '../support/packed.js'
import { explore, type Exploration } from './model/explorer.js'
import { initial, staleIn, stepsFrom, type Fault, type Scenario } from './model/protocol.js'

const run = (scenario: Scenario): Exploration => explore(initial(scenario), stepsFrom(scenario), staleIn)

for (const payloadTags of [false, true]) {
  for (const [sameProcess, holding] of [[false, false], [true, false], [false, true], [true, true]] as const) {
    const what = `${payloadTags ? 'a tag of the payload' : 'a namespace'}, readers in ${sameProcess ? 'one process' : 'two processes'}` +
      (holding ? ', one writer holds' : '')
    t.test(`no order of the steps of two readers, two writers, a crash, and a lost key or a repeated bump makes a read stale: ${what}`, async (t) => {
      const { states, counterexample } = run({ payloadTags, sameProcess, holding })
      t.comment(`${states} states`)
      t.equal(counterexample, undefined)
      t.ok(states > 1_000, `only ${states} states`)
    })
  }
}

const faults: Record<Fault, Omit<Scenario, 'fault'>> = {
  'a lookup compares nothing': { payloadTags: false, sameProcess: false, holding: false },
  'versions are ensured after the handler ran': { payloadTags: false, sameProcess: false, holding: false },
  'an entry is stored under the versions of that moment': { payloadTags: false, sameProcess: false, holding: false },
  'a write is acknowledged before its bump': { payloadTags: false, sameProcess: false, holding: false },
  'a lost version comes back': { payloadTags: false, sameProcess: false, holding: false },
  'a bump that is sent again writes the same version': { payloadTags: false, sameProcess: false, holding: false },
  'join takes any fill': { payloadTags: false, sameProcess: true, holding: false },
  'a waiter does not compare the tags of the payload': { payloadTags: true, sameProcess: true, holding: false },
  'withPayloadTags does not compare groups': { payloadTags: true, sameProcess: false, holding: false },
  'withPayloadTags reads groups before tags': { payloadTags: true, sameProcess: false, holding: false },
  'a tag is bumped before its group': { payloadTags: true, sameProcess: false, holding: false },
  'an intent ends before its handler has settled': { payloadTags: false, sameProcess: false, holding: true },
  'an intent is not renewed': { payloadTags: false, sameProcess: false, holding: true },
  'an intent of an unknown outcome restores the version': { payloadTags: false, sameProcess: false, holding: true },
  'an intent that expires restores the version': { payloadTags: false, sameProcess: false, holding: true },
  'a bump ends the hold of another': { payloadTags: false, sameProcess: false, holding: true },
  'a version that is held can be ensured': { payloadTags: false, sameProcess: false, holding: true },
  'writing invalidates before it runs, and holds nothing': { payloadTags: false, sameProcess: false, holding: true }
}

for (const [fault, scenario] of Object.entries(faults) as Array<[Fault, Omit<Scenario, 'fault'>]>) {
  t.test(`the model finds a stale read if ${fault}`, async (t) => {
    const { counterexample } = run({ ...scenario, fault })
    t.not(counterexample, undefined)
    t.comment([...counterexample?.steps ?? [], counterexample?.wrong].join(' | '))
  })
}

/** What others do, not the plugin. */
const OF_OTHERS = ['handler', 'late handler', 'late bump', 'crashed', 'done']

/** Whether TypeScript code declares a function, or, as `Class.method`, a method of one of its classes. */
function declares (code: string, name: string): boolean {
  const [method, owner] = name.split('.').reverse() as [string, string?]
  if (owner === undefined) return new RegExp(`^(export )?(async )?function ${method}\\b`, 'm').test(code)
  const [, body = ''] = new RegExp(`^(?:export )?class ${owner}\\b([^]*?)^}`, 'm').exec(code) ?? []
  return new RegExp(`^  (async )?${method} \\(`, 'm').test(body)
}

t.test('each function that the model names for its steps is in the file that it names', async (t) => {
  const model = await readFile(join(root, 'test/consistency/model/protocol.ts'), 'utf8')
  const rows = [...model.matchAll(/^ \* +(\w+) {2,}(\S.*?) {2,}(lib\/\S+\.ts)$/gm)]
    .map(([, step, names, file]) => ({ step: step!, names: names!.split(', '), file: file! }))
  for (const { step, names, file } of rows) {
    const code = await readFile(join(root, file), 'utf8').catch(() => undefined)
    t.not(code, undefined, `${step}: there is a ${file}`)
    for (const name of names) t.ok(declares(code ?? '', name), `${step}: ${file} declares ${name}`)
  }
  const steps = [...model.matchAll(/^ {4}case '(.*?)':/gm)].map(([, step]) => step!)
    .filter((step) => !OF_OTHERS.includes(step))
  t.same(rows.map(({ step }) => step).sort(), steps.sort(), 'and it does so for every step')
})
