// Runs the tests on another version of Fastify: npm run test:fastify -- 5.0.0 [dist/test/AREA/NAME.test.js …]
import { execFileSync } from 'node:child_process'
import { copyOfProject } from './copy-of-project.mjs'
import { isBefore, leftOut } from './left-out.mjs'

const [version, ...chosen] = process.argv.slice(2)
if (version === undefined) {
  console.error('with-fastify: which version? npm run test:fastify -- 5.0.0')
  process.exit(1)
}
const { folder, run, say, fail, install, installed, compilerErrors } = copyOfProject('with-fastify')

install(`fastify@${version}`)
const fastify = installed('fastify')
say(`Fastify is ${fastify}`)
if (!isBefore(fastify, [6, 0]) && Number.parseInt(process.versions.node) < 22) fail('Fastify 6 needs Node 22, which has Promise.withResolvers')
// Tests may use types that an older Fastify does not have; the compiler emits them anyway.
if (compilerErrors().some((line) => /^(lib|index)[/.]/.test(line))) fail('the plugin does not compile with the types of this Fastify')
process.exitCode = run('npx', ['tap', ...(chosen.length > 0 ? chosen : testsFor(fastify))]) ? 0 : 1

function testsFor (fastify) {
  const left = new Set()
  for (const [reason, tests] of leftOut(fastify)) {
    tests.forEach((test) => left.add(test))
    say(`left out because ${reason}: ${tests.join(', ')}`)
  }
  return execFileSync('find', ['dist/test', '-name', '*.test.js'], { cwd: folder, encoding: 'utf8' }).trim().split('\n')
    .filter((file) => !left.has(file.slice('dist/test/'.length, -'.test.js'.length)))
}
