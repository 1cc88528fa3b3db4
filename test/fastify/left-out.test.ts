import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { root } from '../support/packed.js'

interface Script { leftOut (version: string): ReadonlyMap<string, readonly string[]> }

const FEATURES = [
  'explain/explain', 'keys/constraints', 'keys/requests.property', 'keys/shapes', 'guards/handler-timeout',
  'consistency/unknown-outcomes', 'examples/page', 'examples/server'
]
const UNRELATED = ['package/consumers', 'package/published', 'package/setup']

async function leftOut (version: string): Promise<string[]> {
  const script = await import(pathToFileURL(join(root, 'scripts/left-out.mjs')).href) as Script
  return [...script.leftOut(version).values()].flat()
}

t.test('tests of what a version of Fastify lacks or does wrong are left out, and no others', async (t) => {
  const expected: Record<string, string[]> = {
    '5.0.0': [...UNRELATED, ...FEATURES],
    '5.3.9': [...UNRELATED, ...FEATURES],
    '5.4.0': [...UNRELATED, ...FEATURES.slice(1)],
    '5.9.0': [...UNRELATED, 'examples/page', 'examples/server'],
    '5.10.0': UNRELATED,
    '5.11.0': UNRELATED,
    '6.0.0': UNRELATED
  }
  for (const [version, tests] of Object.entries(expected)) t.same(await leftOut(version), tests, version)
})

t.test('tests that meet a fault of a pre-release are left out with that pre-release only', async (t) => {
  for (const version of ['6.0.0-alpha.4', '6.0.0-alpha.5']) {
    t.equal((await leftOut(version)).includes('guards/handler-timeout'), version === '6.0.0-alpha.4', version)
  }
})

t.test('each test that is left out exists', async (t) => {
  for (const version of ['5.0.0', '6.0.0-alpha.4']) {
    for (const test of await leftOut(version)) t.ok(existsSync(join(root, `test/${test}.test.ts`)), test)
  }
})
