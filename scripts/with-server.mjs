// Runs the tests that depend on the server on another one than redis-server:
// npm run test:server -- [/path/to/valkey-server …] [dist/test/AREA/NAME.test.js …]
// Without a server it takes Valkey if there is one: VALKEY_SERVER_BIN, then PATH.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { find, onPath, programs } from './programs.mjs'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const dependent = [
  'consistency/fleet', 'faults/older-state', 'faults/strict', 'store/cluster', 'store/iovalkey', 'store/node-redis', 'store/reads', 'store/redis',
  'store/resent', 'store/tracked', 'store/unused-names', 'store/writes'
].map((name) => `dist/test/${name}.test.js`)

const args = process.argv.slice(2)
const isTest = (argument) => argument.endsWith('.test.js')
const named = args.filter((argument) => !isTest(argument))
const chosen = args.filter(isTest)
const servers = named.length > 0 ? named.map(pathOf) : [find(programs.valkey)].filter(Boolean)
if (servers.length === 0) say('there is no valkey-server, so no tests are run on one')

const failed = servers.filter((server) => !testOn(server))
if (failed.length > 0) fail(`failed on ${failed.join(', ')}`)

function testOn (server) {
  const { stdout } = spawnSync(server, ['--version'], { encoding: 'utf8' })
  say(`${server} is ${stdout.trim()}`)
  const tests = chosen.length > 0 ? chosen : dependent
  const env = { ...process.env, REDIS_SERVER_BIN: server }
  return spawnSync('npx', ['tap', ...tests], { stdio: ['ignore', 'inherit', 'inherit'], env }).status === 0
}

function pathOf (name) {
  return onPath(name) ?? fail(`${name} is not a program`)
}

function say (line) {
  console.log(`with-server: ${line}`)
}

function fail (message) {
  console.error(`with-server: ${message}`)
  process.exit(1)
}
