import { execFileSync } from 'node:child_process'
import { basename, dirname, join } from 'node:path'

// The first of these that is on PATH, as a shell would find it.
function onPath (...commands: [string, ...string[]]): string {
  const script = 'for program; do command -v "$program" && exit; done; exit 1'
  try {
    return execFileSync('sh', ['-c', script, 'sh', ...commands], { encoding: 'utf8' }).trim()
  } catch {
    throw new Error(`none of ${commands.join(', ')} is on PATH: npm test installs it`)
  }
}

/** A redis-server, or another server that speaks its protocol, such as valkey-server. */
export function redisServerPath (): string {
  return onPath(process.env['REDIS_SERVER_BIN'] ?? 'redis-server')
}

/** The one that came with the server, so that they speak of the same commands: redis-cli, valkey-cli. */
export function redisCliPath (): string {
  const server = redisServerPath()
  return join(dirname(server), basename(server).replace('-server', '-cli'))
}

export function chromiumPath (): string {
  return process.env['CHROME_PATH'] ?? onPath('chromium', 'chromium-browser', 'google-chrome')
}

export function pythonPath (): string {
  return process.env['PYTHON'] ?? onPath('python3')
}
