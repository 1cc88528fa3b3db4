import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { pack, root } from '../support/packed.js'
import { plainNode } from '../support/plain-node.js'
import { temporaryFolder } from '../support/temporary-folder.js'

const run = promisify(execFile)

t.test('publint finds no problem in the packed package', async (t) => {
  const { publint } = await import('publint')
  const { formatMessage } = await import('publint/utils')
  const tarball = new Uint8Array(await readFile(await pack(await temporaryFolder(t)))).buffer

  const { messages, pkg } = await publint({ pkgDir: 'package', pack: { tarball }, level: 'suggestion', strict: true })

  t.same(messages.map((message) => formatMessage(message, pkg, { color: false })), [])
})

t.test('Are the types wrong? finds no problem in any module resolution', async (t) => {
  const tarball = await pack(await temporaryFolder(t))

  const { stdout } = await plainNode([
    join(root, 'node_modules/@arethetypeswrong/cli/dist/index.js'), tarball,
    '--profile', 'strict', '--no-definitely-typed', '--format', 'json'
  ])

  const { analysis, problems } = JSON.parse(stdout) as { analysis: { types: unknown }, problems?: Record<string, unknown> }
  t.match(analysis.types, { kind: 'included' })
  t.same(problems, {})
})

t.test('the packed package holds the plugin and its types, and nothing of the tests', async (t) => {
  const folder = await temporaryFolder(t)
  const { stdout } = await run('tar', ['-tzf', await pack(folder)])
  const files = stdout.trim().split('\n').map((file) => file.replace(/^package\//, ''))

  for (const file of ['LICENSE', 'README.md', 'package.json', 'dist/index.js', 'dist/index.mjs', 'dist/index.d.ts', 'dist/index.d.mts']) {
    t.ok(files.includes(file), `${file} is packed`)
  }
  t.same(files.filter((file) => !/^(LICENSE|README\.md|package\.json|dist\/index\.[^/]+|dist\/lib\/.+\.(js|d\.ts|js\.map))$/.test(file)), [])
})
