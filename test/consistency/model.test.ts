import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { root } from '../support/packed.js'
import { isFound, isNeverStale } from './model/check.js'
import type { Fault } from './model/faults.js'
import type { Scenario } from './model/state.js'

for (const [sameProcess, holding] of [[false, false], [true, false], [false, true], [true, true]] as const) {
  isNeverStale('no order of the steps of two readers, two writers, a crash, and a lost key or a repeated bump makes a read stale',
    { payloadTags: false, sameProcess, holding })
}

const namespace: Scenario = { payloadTags: false, sameProcess: false, holding: false }
const holding: Scenario = { ...namespace, holding: true }

const faults: ReadonlyArray<readonly [Fault, Scenario]> = [
  ['a lookup compares nothing', namespace],
  ['versions are ensured after the handler ran', namespace],
  ['an entry is stored under the versions of that moment', namespace],
  ['a write is acknowledged before its bump', namespace],
  ['a lost version comes back', namespace],
  ['a bump that is sent again writes the same version', namespace],
  ['join takes any fill', { ...namespace, sameProcess: true }],
  ['an intent ends before its handler has settled', holding],
  ['an intent is not renewed', holding],
  ['an intent of an unknown outcome restores the version', holding],
  ['an intent that expires restores the version', holding],
  ['a bump ends the hold of another', holding],
  ['a version that is held can be ensured', holding],
  ['writing invalidates before it runs, and holds nothing', holding]
]

for (const [fault, scenario] of faults) isFound(fault, scenario)

/** What others do, not the plugin. */
const OF_OTHERS = ['handler', 'late handler', 'late bump', 'crashed', 'idle', 'done']

/** Whether TypeScript code declares a function, or, as `Class.method`, a method of one of its classes. */
function declares (code: string, name: string): boolean {
  const [method, owner] = name.split('.').reverse() as [string, string?]
  if (owner === undefined) return new RegExp(`^(export )?(async )?function ${method}\\b`, 'm').test(code)
  const [, body = ''] = new RegExp(`^(?:export )?class ${owner}\\b([^]*?)^}`, 'm').exec(code) ?? []
  return new RegExp(`^  (async )?${method} \\(`, 'm').test(body)
}

t.test('each function that the model names for its steps is in the file that it names', async (t) => {
  const [model, ...participants] = await Promise.all(['protocol', 'reader', 'soft-reader', 'writer'].map((name) =>
    readFile(join(root, `test/consistency/model/${name}.ts`), 'utf8')))
  const rows = [...model!.matchAll(/^ \* +(\w+) {2,}(\S.*?) {2,}(lib\/\S+\.ts)$/gm)]
    .map(([, step, names, file]) => ({ step: step!, names: names!.split(', '), file: file! }))
  for (const { step, names, file } of rows) {
    const code = await readFile(join(root, file), 'utf8').catch(() => undefined)
    t.not(code, undefined, `${step}: there is a ${file}`)
    for (const name of names) t.ok(declares(code ?? '', name), `${step}: ${file} declares ${name}`)
  }
  const steps = new Set([...participants.join('\n').matchAll(/^ {4}case '(.*?)':/gm)].map(([, step]) => step!)
    .filter((step) => !OF_OTHERS.includes(step)))
  t.same(rows.map(({ step }) => step).sort(), [...steps].sort(), 'and it does so for every step')
})
