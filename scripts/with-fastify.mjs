// Runs the tests on another version of Fastify: npm run test:fastify -- 5.0.0 [dist/test/AREA/NAME.test.js …]
// It works in a copy of the project, so that node_modules and package-lock.json here stay as they are.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isBefore, leftOut } from './left-out.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const [version, ...chosen] = process.argv.slice(2)
if (version === undefined) fail('which version? npm run test:fastify -- 5.0.0')
if (spawnSync('git', ['--version']).status !== 0) fail('git is needed to find the files of the project')

const folder = mkdtempSync(join(tmpdir(), 'with-fastify-'))
process.once('exit', () => { rmSync(folder, { recursive: true, force: true }) })
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => { process.exit(1) })

copyProject()
run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--legacy-peer-deps', `fastify@${version}`]) ||
  fail(`fastify@${version} cannot be installed`)
const installed = JSON.parse(readFileSync(join(folder, 'node_modules/fastify/package.json'), 'utf8')).version
say(`Fastify is ${installed}`)
if (!isBefore(installed, [6, 0]) && Number.parseInt(process.versions.node) < 22) fail('Fastify 6 needs Node 22, which has Promise.withResolvers')
// Tests may use types that an older Fastify does not have; the compiler emits them anyway.
if (compilerErrors().some((line) => /^(lib|index)[/.]/.test(line))) fail('the plugin does not compile with the types of this Fastify')
process.exitCode = run('npx', ['tap', ...(chosen.length > 0 ? chosen : testsFor(installed))]) ? 0 : 1

function copyProject () {
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' })
  for (const file of files.split('\0')) {
    if (file !== '' && file !== 'node_modules') cpSync(join(root, file), join(folder, file))
  }
  cpSync(realpathSync(join(root, 'node_modules')), join(folder, 'node_modules'), { recursive: true, verbatimSymlinks: true })
}

function compilerErrors () {
  const { stdout } = spawnSync('npx', ['tsc'], { cwd: folder, encoding: 'utf8' })
  return stdout.split('\n').filter((line) => line.includes('error TS'))
}

function testsFor (fastify) {
  const left = new Set()
  for (const [reason, tests] of leftOut(fastify)) {
    tests.forEach((test) => left.add(test))
    say(`left out because ${reason}: ${tests.join(', ')}`)
  }
  return execFileSync('find', ['dist/test', '-name', '*.test.js'], { cwd: folder, encoding: 'utf8' }).trim().split('\n')
    .filter((file) => !left.has(file.slice('dist/test/'.length, -'.test.js'.length)))
}

function run (command, args) {
  say([command, ...args.slice(0, 12), ...(args.length > 12 ? ['…'] : [])].join(' '))
  return spawnSync(command, args, { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] }).status === 0
}

function say (line) {
  console.log(`with-fastify: ${line}`)
}

function fail (message) {
  console.error(`with-fastify: ${message}`)
  process.exit(1)
}
