// Prepares a fresh clone: installs node_modules from the lock file and, for each
// given name, a program that the tests use. It runs before anything is installed,
// so it depends only on Node.
import { existsSync, readFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { withBackports } from './backports.mjs'
import { find, onPath, programs } from './programs.mjs'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const managers = {
  'apt-get': { root: true, commands: [['apt-get', 'update'], ['apt-get', 'install', '--yes', '--no-install-recommends']] },
  apk: { root: true, commands: [['apk', 'add', '--no-cache']] },
  dnf: { root: true, commands: [['dnf', 'install', '--assumeyes']] },
  brew: { root: false, commands: [['brew', 'install']] }
}

function say (line) {
  console.log(`setup: ${line}`)
}

function run (command, args) {
  say([command, ...args].join(' '))
  return spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] }).status === 0
}

function lockedPackages (file) {
  const { '': project, ...packages } = JSON.parse(readFileSync(file, 'utf8')).packages
  return packages
}

// npm keeps a lock file of what is installed. File times would not show whether
// a fresh checkout is current.
function modulesAreCurrent () {
  const installedLock = 'node_modules/.package-lock.json'
  if (!existsSync(installedLock)) return false
  const installed = lockedPackages(installedLock)
  return Object.entries(lockedPackages('package-lock.json')).every(([path, wanted]) =>
    installed[path] === undefined ? wanted.optional === true : installed[path].version === wanted.version)
}

function installModules () {
  if (modulesAreCurrent()) return say('node_modules is current')
  if (!run('npm', ['ci', '--include=dev', '--no-audit', '--no-fund'])) fail('npm ci failed')
}

// The words that make a command run as root, or undefined if this user may not.
function asRoot () {
  if (process.getuid?.() === 0) return []
  return spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0 ? ['sudo', '-n'] : undefined
}

function install ({ packages, backported }) {
  const name = Object.keys(managers).find(onPath)
  if (name === undefined) return
  const { root, commands } = managers[name]
  const prefix = root ? asRoot() : []
  if (prefix === undefined) return say(`${name} needs root, and sudo asks for a password`)
  const options = name === 'apt-get' && backported ? withBackports() : []
  // The package may be found even if the update could not reach every source.
  commands.forEach((command, index) => {
    const last = index === commands.length - 1
    const [program, ...args] = [
      ...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', ...command, ...options, ...(last ? packages[name] : [])
    ]
    run(program, args)
  })
}

function provide (name) {
  const program = programs[name]
  let path = found(program)
  if (path === undefined && !(program.optional && process.env.CI === undefined)) {
    install(program)
    path = found(program)
  }
  if (path === undefined && program.optional) return say(`${program.title} was not found: its tests are left out`)
  if (path === undefined) {
    fail([
      `${program.title} is needed and was not found. Three ways to get one:`,
      `  1. put one on PATH as ${program.commands.join(', ')}`,
      `  2. set ${program.variable} to the path of one`,
      `  3. run this as a user who may install packages with ${Object.keys(managers).join(', ')}`
    ].join('\n'))
  }
  say(`${name} is ${path}`)
}

function found (program) {
  try {
    return find(program)
  } catch (error) {
    return fail(error.message)
  }
}

function fail (message) {
  console.error(`setup: ${message}`)
  process.exit(1)
}

installModules()
process.argv.slice(2).forEach(provide)
