import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { freePort } from './free-port.js'
import { redisServerPath } from './programs.js'

export interface RedisServer {
  readonly port: number
  readonly url: string
  readonly pid: number
  /** Hangs it: connections stay open and nothing answers. */
  pause (): void
  resume (): void
  /** Ends it at once, as a crash would. */
  kill (): Promise<void>
  /** Ends it for good and removes its folder. */
  stop (): Promise<void>
  /** Starts it again on the same port, without its data. */
  restart (): Promise<void>
}

export interface RedisServerOptions {
  args?: string[]
  /** The text of its configuration file, for what no argument can say. */
  config?: string
  port?: number
}

/** A redis-server of the test's own. It dies with this process, however that ends. */
export async function startRedis ({ args = [], config = '', port }: RedisServerOptions = {}): Promise<RedisServer> {
  if (port !== undefined) return start(port, config, args)
  // Somebody may take a free port before the server does.
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(await freePort(), config, args)
    } catch (error) {
      if (attempt === 5) throw error
    }
  }
}

async function start (port: number, config: string, args: string[]): Promise<RedisServer> {
  const directory = mkdtempSync(join(tmpdir(), 'fastify-api-cache-redis-'))
  writeFileSync(join(directory, 'redis.conf'), config)
  let server: ChildProcess
  try {
    server = await launch(port, directory, args)
  } catch (error) {
    rmSync(directory, { recursive: true, force: true })
    throw error
  }

  async function kill (): Promise<void> {
    if (server.exitCode !== null || server.signalCode !== null) return
    server.ref()
    server.kill('SIGKILL')
    await once(server, 'exit')
  }

  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    get pid () { return server.pid! },
    pause () { server.kill('SIGSTOP') },
    resume () { server.kill('SIGCONT') },
    kill,
    async stop () {
      await kill()
      rmSync(directory, { recursive: true, force: true })
    },
    async restart () {
      await kill()
      server = await launch(port, directory, args)
    }
  }
}

async function launch (port: number, directory: string, args: string[]): Promise<ChildProcess> {
  const server = spawn(redisServerPath(), [
    join(directory, 'redis.conf'),
    '--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no', ...args
  ], { stdio: ['ignore', 'pipe', 'pipe'] })
  await once(server, 'spawn')
  guard(server, directory)
  await listening(server)

  // A server that a test forgot must not keep its process from ending.
  server.unref();
  (server.stdout as Socket).unref();
  (server.stderr as Socket).unref()
  return server
}

// Its own word and not an answered PING: on a port that was taken meanwhile
// somebody else's Redis would answer.
async function listening (server: ChildProcessByStdio<null, Readable, Readable>): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let log = ''
    function read (text: string): void {
      log += text
      if (/Ready to accept connections|Sentinel ID is/.test(log)) settle(resolve)
    }
    function ended (): void {
      settle(() => { reject(new Error(`redis-server ended while starting:\n${log}`)) })
    }
    function settle (how: () => void): void {
      server.off('exit', ended)
      for (const stream of [server.stdout, server.stderr]) stream.off('data', read).resume()
      how()
    }
    server.on('exit', ended)
    for (const stream of [server.stdout, server.stderr]) stream.setEncoding('utf8').on('data', read)
  })
}

// A shell of its own session that outlives this process: however that ends, the
// pipe between them closes, and the shell ends the server.
function guard (server: ChildProcess, directory: string): void {
  const watch = 'read -r line; kill -9 "$1"; rm -rf "$2"'
  const shell = spawn('sh', ['-c', watch, 'sh', String(server.pid), directory], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true
  })
  shell.unref();
  (shell.stdin as Socket).unref()
  server.once('exit', () => { shell.kill('SIGKILL') })
}
