// Runs the tests on another version of Fastify: npm run test:fastify -- 5.0.0 [dist/test/AREA/NAME.test.js …]
// It works in a copy of the project, so that node_modules and package-lock.json here stay as they are.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

// What is not run on a Fastify without what the tests themselves use, beside the plugin.
const NEEDS = [
  { since: [5, 4], feature: 'request.getDecorator', tests: ['explain/explain'] },
  { since: [5, 5], feature: 'routerOptions', tests: ['keys/constraints', 'keys/requests.property', 'keys/shapes'] },
  { since: [5, 8], feature: 'handlerTimeout', tests: ['guards/handler-timeout'] },
  { since: [5, 10], feature: 'LogController, which the example server uses', tests: ['examples/page', 'examples/server'] }
]

// What Fastify itself does wrong, without the plugin, too.
const FAULTS = [
  {
    versions: /^6\.0\.0-alpha\.[0-4]$/,
    fault: 'this Fastify leaves a rejection unhandled when a response ends after its handlerTimeout',
    tests: ['guards/handler-timeout']
  }
]

// What says nothing about Fastify, as it packs or compiles the project with the Fastify of package-lock.json.
const NOT_ABOUT_FASTIFY = ['package/consumers', 'package/published', 'package/setup']

const root = fileURLToPath(new URL('..', import.meta.url))
const [version, ...chosen] = process.argv.slice(2)
if (version === undefined) fail('which version? npm run test:fastify -- 5.0.0')
if (spawnSync('git', ['--version']).status !== 0) fail('git is needed to tell what belongs to the project')

const folder = mkdtempSync(join(tmpdir(), 'with-fastify-'))
process.once('exit', () => { rmSync(folder, { recursive: true, force: true }) })
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => { process.exit(1) })

copyProject()
run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--legacy-peer-deps', `fastify@${version}`]) ||
  fail(`fastify@${version} cannot be installed`)
const installed = JSON.parse(readFileSync(join(folder, 'node_modules/fastify/package.json'), 'utf8')).version
say(`Fastify is ${installed}`)
if (!isBefore(installed, [6, 0]) && Number.parseInt(process.versions.node) < 22) fail('Fastify 6 needs Node 22, which has Promise.withResolvers')
// Tests may name what the types of an older Fastify do not know; the compiler writes them all the same.
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
  const left = new Set(NOT_ABOUT_FASTIFY)
  say(`left out, as they are not about Fastify: ${NOT_ABOUT_FASTIFY.join(', ')}`)
  for (const { since, feature, tests } of NEEDS) {
    if (!isBefore(fastify, since)) continue
    tests.forEach((test) => left.add(test))
    say(`left out, as Fastify has ${feature} since ${since.join('.')}: ${tests.join(', ')}`)
  }
  for (const { versions, fault, tests } of FAULTS) {
    if (!versions.test(fastify)) continue
    tests.forEach((test) => left.add(test))
    say(`left out, as ${fault}: ${tests.join(', ')}`)
  }
  return execFileSync('find', ['dist/test', '-name', '*.test.js'], { cwd: folder, encoding: 'utf8' }).trim().split('\n')
    .filter((file) => !left.has(file.slice('dist/test/'.length, -'.test.js'.length)))
}

function isBefore (fastify, [major, minor]) {
  const [itsMajor, itsMinor] = fastify.split('.').map(Number)
  return itsMajor < major || (itsMajor === major && itsMinor < minor)
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
