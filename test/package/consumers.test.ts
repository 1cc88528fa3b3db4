import { existsSync } from 'node:fs'
import { cp, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { install, pack, root } from '../support/packed.js'
import { plainNode } from '../support/plain-node.js'
import { temporaryFolder } from '../support/temporary-folder.js'

const consumers = join(root, 'test/package/consumers')
// What the last one emits is what runs.
const compilers = ['typescript7', 'typescript']

const success = { status: 0, stdout: '', stderr: '' }

const tsc = (compiler: string): string => join(root, 'node_modules', compiler, 'bin/tsc')

t.test('a project with any module system can use the package', async (t) => {
  const tarball = await pack(await temporaryFolder(t))

  for (const consumer of await readdir(consumers)) {
    const words = consumer.replaceAll('-', ' ')
    const folder = await temporaryFolder(t)
    await cp(join(consumers, consumer), folder, { recursive: true })
    await install(tarball, folder)

    if (existsSync(join(folder, 'tsconfig.json'))) {
      for (const compiler of compilers) {
        t.same(await plainNode([tsc(compiler)], { cwd: folder }), success, `${words} is accepted by ${compiler}`)
      }
    }
    t.same(await plainNode(['main.js'], { cwd: folder }), success, `${words} runs`)
  }
})

t.test('the sources are accepted by TypeScript 7', async (t) => {
  t.same(await plainNode([tsc('typescript7'), '--noEmit'], { cwd: root }), success)
})
