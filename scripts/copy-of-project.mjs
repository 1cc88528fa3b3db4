// A copy of the project in a temporary folder, for tests with other versions of what it uses: node_modules and
// package-lock.json here stay as they are.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/** @param {string} name of the script, for what it says */
export function copyOfProject (name) {
  if (spawnSync('git', ['--version']).status !== 0) fail('git is needed to find the files of the project')
  const folder = mkdtempSync(join(tmpdir(), `${name}-`))
  process.once('exit', () => { rmSync(folder, { recursive: true, force: true }) })
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => { process.exit(1) })
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' })
  for (const file of files.split('\0')) {
    if (file !== '' && file !== 'node_modules') cpSync(join(root, file), join(folder, file))
  }
  cpSync(realpathSync(join(root, 'node_modules')), join(folder, 'node_modules'), { recursive: true, verbatimSymlinks: true })
  return { folder, run, say, fail, install, installed, compilerErrors }

  /** Whether a command succeeds. */
  function run (command, args) {
    say([command, ...args.slice(0, 12), ...(args.length > 12 ? ['…'] : [])].join(' '))
    return spawnSync(command, args, { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] }).status === 0
  }

  function install (...packages) {
    run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--legacy-peer-deps', ...packages]) ||
      fail(`${packages.join(' ')} cannot be installed`)
  }

  /** The version of a package. */
  function installed (name) {
    return JSON.parse(readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8')).version
  }

  /** Builds all there is, with errors or without. */
  function compilerErrors () {
    const { stdout } = spawnSync('npx', ['tsc'], { cwd: folder, encoding: 'utf8' })
    return stdout.split('\n').filter((line) => line.includes('error TS'))
  }

  function say (line) {
    console.log(`${name}: ${line}`)
  }

  function fail (message) {
    console.error(`${name}: ${message}`)
    process.exit(1)
  }
}
