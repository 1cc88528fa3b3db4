import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { root } from './support/packed.js'
import { plainNode } from './support/plain-node.js'
import { startRedis } from './support/redis-server.js'

interface Program {
  name: string
  extension: 'mts' | 'mjs' | 'cjs'
  code: string
}

/**
 * A block that imports something begins a program; one that doesn't continues
 * the program before it, as a reader would type it.
 */
function programsOf (page: string, markdown: string): Program[] {
  const programs: Program[] = []
  for (const { 1: language, 2: code, index } of markdown.matchAll(/^```(ts|js)\n(.*?)^```$/gms)) {
    if (language === undefined || code === undefined) continue
    const line = markdown.slice(0, index).split('\n').length
    const current = programs.at(-1)
    if (/^import /m.test(code)) programs.push({ name: `${page} line ${line}`, extension: language === 'ts' ? 'mts' : 'mjs', code })
    else if (/\brequire\(/.test(code)) programs.push({ name: `${page} line ${line}`, extension: 'cjs', code })
    else if (current !== undefined) current.code += code
    else throw new Error(`${page} line ${line}: nothing is imported yet`)
  }
  return programs
}

async function pages (): Promise<string[]> {
  const docs = existsSync(join(root, 'docs')) ? await readdir(join(root, 'docs')) : []
  return ['README.md', ...docs.filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)]
}

// The program is done when its last line is, whatever it left listening.
const runner = 'import(process.argv[1]).then(() => process.exit(), (error) => { console.error(error); process.exit(1) })'

t.test('every program in the documentation type-checks and runs', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const programs = (await Promise.all((await pages()).map(async (page) =>
    programsOf(page, await readFile(join(root, page), 'utf8'))))).flat()
  t.ok(programs.length > 0, 'there are programs')

  // Inside the checkout, so that the package's own name leads to dist/.
  const folder = t.testdir({
    'tsconfig.json': JSON.stringify({
      compilerOptions: {
        target: 'es2022',
        module: 'nodenext',
        strict: true,
        skipLibCheck: true,
        types: ['node'],
        // As applications of NestJS have them.
        experimentalDecorators: true,
        emitDecoratorMetadata: true
      },
      include: ['*.mts']
    }),
    // Any free port does where a page says 3000.
    ...Object.fromEntries(programs.map(({ extension, code }, index) =>
      [`program-${index}.${extension}`, code.replaceAll('port: 3000', 'port: 0')]))
  })
  if (programs.some(({ extension }) => extension === 'mts')) {
    const { stdout } = await plainNode([join(root, 'node_modules/typescript/bin/tsc'), '-p', folder])
    t.equal(stdout, '', 'the TypeScript ones type-check')
  }

  for (const [index, { name, extension }] of programs.entries()) {
    const file = join(folder, `program-${index}.${extension.replace('mts', 'mjs')}`)
    const outcome = await plainNode(['--eval', runner, file], { env: { REDIS_URL: redis.url } })
    t.match(outcome, { status: 0 }, `${name} runs`)
  }
})
