// Runs a server with the packed package on other runtimes: npm run test:runtime -- [bun] [deno] [node]
// The npm packages `bun` and `deno` bring them. Everything is installed in a temporary folder.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const commands = { bun: ['bun'], deno: ['deno', 'run', '--allow-all'], node: ['node'] }
const named = process.argv.slice(2)
const runtimes = named.length > 0 ? named : ['bun', 'deno']
const unknown = runtimes.find((name) => commands[name] === undefined)
if (unknown !== undefined) fail(`there is no ${unknown} here, but ${Object.keys(commands).join(', ')}`)
if (!existsSync('dist')) fail('dist is missing: npm run build')

const folder = mkdtempSync(join(tmpdir(), 'with-runtime-'))
process.once('exit', () => { rmSync(folder, { recursive: true, force: true }) })
install()
const { startRedis } = createRequire(import.meta.url)('../dist/test/support/redis-server.js')
const redis = await startRedis()
const failed = runtimes.filter((name) => !['main.cjs', 'main.mjs'].every((program) => runs(name, program)))
await redis.stop()
if (failed.length > 0) fail(`failed on ${failed.join(', ')}`)

function install () {
  const packed = execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], { encoding: 'utf8' }).trim()
  const { devDependencies } = JSON.parse(readFileSync('package.json', 'utf8'))
  writeFileSync(join(folder, 'package.json'), '{}')
  const others = ['fastify', 'redis'].map((name) => `${name}@${devDependencies[name]}`)
  const brought = runtimes.filter((name) => name !== 'node')
  const args = ['install', '--no-audit', '--no-fund', join(folder, packed), ...others, ...brought]
  if (spawnSync('npm', args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] }).status !== 0) fail('the packages cannot be installed')
  cpSync('scripts/runtimes', folder, { recursive: true })
}

function runs (name, program) {
  const [command, ...args] = commands[name]
  const env = { ...process.env, PATH: `${join(folder, 'node_modules/.bin')}:${process.env.PATH}` }
  const { stdout } = spawnSync(command, ['--version'], { env, encoding: 'utf8' })
  say(`${program} on ${name} ${stdout.trim().split('\n')[0]}`)
  return spawnSync(command, [...args, program, redis.url], { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'], env }).status === 0
}

function say (line) {
  console.log(`with-runtime: ${line}`)
}

function fail (message) {
  console.error(`with-runtime: ${message}`)
  process.exit(1)
}
