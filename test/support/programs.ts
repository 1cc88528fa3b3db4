import { execFileSync } from 'node:child_process'
import { dirname, join } from 'node:path'

// The first of these that is on PATH, as a shell would find it.
function onPath (...commands: [string, ...string[]]): string {
  const script = commands.map((command) => `command -v ${command}`).join(' || ')
  try {
    return execFileSync('sh', ['-c', script], { encoding: 'utf8' }).trim()
  } catch {
    throw new Error(`none of ${commands.join(', ')} is on PATH: npm test installs it`)
  }
}

export function redisServerPath (): string {
  return process.env['REDIS_SERVER_BIN'] ?? onPath('redis-server')
}

// The one that came with the server, so that they speak of the same commands.
export function redisCliPath (): string {
  const server = process.env['REDIS_SERVER_BIN']
  return server === undefined ? onPath('redis-cli') : join(dirname(server), 'redis-cli')
}

export function chromiumPath (): string {
  return process.env['CHROME_PATH'] ?? onPath('chromium', 'chromium-browser', 'google-chrome')
}

export function pythonPath (): string {
  return process.env['PYTHON'] ?? onPath('python3')
}
