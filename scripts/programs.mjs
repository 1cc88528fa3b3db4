// The programs that the tests use, and how each is found. It depends only on Node.
import { spawnSync } from 'node:child_process'

export const programs = {
  redis: {
    title: 'A Redis server',
    commands: ['redis-server'],
    variable: 'REDIS_SERVER_BIN',
    packages: { 'apt-get': ['redis-server'], apk: ['redis'], dnf: ['redis'], brew: ['redis'] }
  },
  // A second server for some of the tests. It is used where there is one, and installed in CI only.
  valkey: {
    title: 'A Valkey server',
    commands: ['valkey-server'],
    variable: 'VALKEY_SERVER_BIN',
    packages: { 'apt-get': ['valkey-server'], apk: ['valkey'], dnf: ['valkey'], brew: ['valkey'] },
    backported: true,
    optional: true
  },
  chromium: {
    title: 'A Chromium browser',
    commands: ['chromium', 'chromium-browser', 'google-chrome'],
    variable: 'CHROME_PATH',
    packages: { 'apt-get': ['chromium'], apk: ['chromium'], dnf: ['chromium'], brew: ['--cask', 'chromium'] }
  },
  python: {
    title: 'Python 3',
    commands: ['python3'],
    variable: 'PYTHON',
    packages: { 'apt-get': ['python3'], apk: ['python3'], dnf: ['python3'], brew: ['python'] }
  }
}

/** The path of a command, or undefined if it is none. */
export function onPath (command) {
  const found = spawnSync('sh', ['-c', 'command -v "$1"', 'sh', command], { encoding: 'utf8' })
  return found.status === 0 ? found.stdout.trim() : undefined
}

/** The path of a program. The variable comes first: if it is set, no other program is used. */
export function find ({ commands, variable }) {
  const named = process.env[variable]
  if (named === undefined) return commands.map(onPath).find(Boolean)
  const path = onPath(named)
  if (path === undefined) throw new Error(`${variable} is ${named}, which is not a program`)
  return path
}
