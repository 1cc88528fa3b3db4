import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const SERVER = join(__dirname, '../../examples/server.js')
// However this process ends, the example ends with it.
const GUARD = "data:text/javascript,process.once('disconnect', () => process.exit()); process.channel.unref()"

export interface Example {
  /** Where the page is. */
  readonly url: string
  readonly log: readonly string[]
  /** Asks it to end, unless it has; resolves to its exit code, or null when the signal ended it. */
  stop (signal?: 'SIGINT' | 'SIGTERM'): Promise<number | null>
}

export interface ExampleOptions {
  /** Added to an environment without the variables that the example reads. */
  env?: Record<string, string>
  /** The text of a `.env` file in the directory it is started in. */
  dotenv?: string
}

/** The example in a process of its own, on a free port. */
export async function startExample ({ env = {}, dotenv = '' }: ExampleOptions = {}): Promise<Example> {
  const cwd = mkdtempSync(join(tmpdir(), 'fastify-api-cache-example-'))
  writeFileSync(join(cwd, '.env'), dotenv)
  const inherited = Object.entries(process.env).filter(([name]) => !/^(REDIS_.*|HOST|PORT|STORE)$/.test(name))
  // `env -u`: tap gives every child process options that load its own hooks.
  const server = spawn('/usr/bin/env', ['-u', 'NODE_OPTIONS', process.execPath, '--import', GUARD, SERVER], {
    cwd,
    // Not the Redis that may be at the usual port of this machine.
    env: { ...Object.fromEntries(inherited), PORT: '0', ...(names(env, dotenv) ? {} : { STORE: 'memory' }), ...env },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc']
  })
  server.once('exit', () => { rmSync(cwd, { recursive: true, force: true }) })

  const log: string[] = []
  const url = await new Promise<string>((resolve, reject) => {
    createInterface(server.stdout!).on('line', (line) => {
      const { msg } = JSON.parse(line) as { msg: string }
      log.push(msg)
      const page = /http:\S+/.exec(msg)
      if (page !== null) resolve(page[0])
    })
    server.once('exit', (code) => { reject(new Error(`the example ended with ${code}, having said:\n${log.join('\n')}`)) })
  })
  return { url, log, stop: (signal = 'SIGTERM') => end(server, signal) }
}

/** Whether a Redis is named. */
const names = (env: Record<string, string>, dotenv: string): boolean => 'REDIS_URL' in env || dotenv.includes('REDIS_')

async function end (server: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (server.exitCode === null && server.signalCode === null) {
    server.kill(signal)
    await once(server, 'exit')
  }
  return server.exitCode
}
