// Runs the tests on other versions of Node: npm run test:node -- 24 [26 …] [dist/test/AREA/NAME.test.js …]
// The npm package `node` brings each version. Without one named, 20, 22, 24 and 26 are tried.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const args = process.argv.slice(2)
const isVersion = (text) => /^\d+(\.\d+){0,2}$/.test(text)
const named = args.filter(isVersion)
const chosen = args.filter((argument) => !isVersion(argument))
const versions = named.length > 0 ? named : ['20', '22', '24', '26']
if (!existsSync('dist')) fail('dist is missing: npm run build')

const failed = versions.filter((version) => !testOn(version))
if (failed.length > 0) fail(`failed on Node ${failed.join(', ')}`)

function testOn (version) {
  const node = pathOf(version)
  if (node === undefined) return false
  say(`${spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim()} is ${node}`)
  // The tests start processes, and those find `node` on PATH.
  const env = { ...process.env, PATH: `${dirname(node)}:${process.env.PATH}` }
  return spawnSync(node, ['node_modules/tap/dist/esm/run.mjs', ...chosen], { stdio: ['ignore', 'inherit', 'inherit'], env }).status === 0
}

function pathOf (version) {
  const asked = ['-y', `--package=node@${version}`, 'node', '-p', 'process.execPath']
  const { status, stdout } = spawnSync('npx', asked, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  if (status === 0) return stdout.trim()
  say(`node@${version} cannot be installed`)
  return undefined
}

function say (line) {
  console.log(`with-node: ${line}`)
}

function fail (message) {
  console.error(`with-node: ${message}`)
  process.exit(1)
}
