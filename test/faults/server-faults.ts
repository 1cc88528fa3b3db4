import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { ApiCacheOptions } from '../../index.js'
import { freePort } from '../support/free-port.js'
import { startRedis, type RedisServer } from '../support/redis-server.js'
import type { Fault, Stage } from './outage.js'
import { alsoOverNodeRedis } from './over-node-redis.js'

/** How an application comes to its connection. */
export interface Connecting {
  readonly how: string
  to (port: number): { redis: ApiCacheOptions['redis'], close?: () => void }
}

/** The plugin opens and owns the connection. */
export const owned: Connecting = { how: '', to: (port) => ({ redis: `redis://127.0.0.1:${port}` }) }
const resp2: Connecting = { how: ', RESP2', to: (port) => ({ redis: { port, host: '127.0.0.1', protocol: 2 } }) }

/** The user's own, as ioredis makes it: it queues what it cannot send, and tries for long. */
export const users: Connecting = {
  how: ', a client of the user\'s with default retries and queue',
  to (port) {
    const redis = new Redis(port, '127.0.0.1')
    redis.on('error', () => {})
    return { redis, close () { redis.disconnect() } }
  }
}

/** One that gives up on each command by itself, before the plugin does. */
const impatient: Connecting = {
  how: ', a client of the user\'s that fails each command after 100 ms',
  to (port) {
    const redis = new Redis(port, '127.0.0.1', { commandTimeout: 100 })
    redis.on('error', () => {})
    return { redis, close () { redis.disconnect() } }
  }
}

/** A fault of one server. */
function serverFault (
  name: string,
  { connecting = owned, args = [], ...fault }: {
    connecting?: Connecting
    args?: string[]
    break (server: RedisServer, control: Redis): Promise<unknown> | void
    mend (server: RedisServer, control: Redis): Promise<unknown> | void
    fromTheStart?: boolean
  }
): Fault {
  return {
    name: name + connecting.how,
    async stage (): Promise<Stage> {
      const server = await startRedis({ args })
      const control = new Redis(server.port, '127.0.0.1', { retryStrategy: () => 20 })
      control.on('error', () => {})
      const closers: Array<(() => void) | undefined> = []
      return {
        fromTheStart: fault.fromTheStart,
        redis () {
          const { redis, close } = connecting.to(server.port)
          closers.push(close)
          return redis
        },
        async break () { await fault.break(server, control) },
        async mend () { await fault.mend(server, control) },
        async stop () {
          for (const close of closers) close?.()
          control.disconnect()
          server.resume()
          await server.stop()
        }
      }
    }
  }
}

const killed = { break: async (server: RedisServer) => { await server.kill() }, mend: async (server: RedisServer) => { await server.restart() } }
const hung = { break: (server: RedisServer) => { server.pause() }, mend: (server: RedisServer) => { server.resume() } }

const faults: Fault[] = [
  serverFault('absent at boot', { ...killed, fromTheStart: true }),
  serverFault('killed and restarted empty', killed),
  serverFault('killed and restarted from an old RDB file', {
    async break (server, control) {
      await control.save()
      await delay(400)
      await server.kill()
    },
    mend: killed.mend
  }),
  serverFault('hung (SIGSTOP)', hung),
  serverFault('full, noeviction', {
    break: async (_server, control) => await control.config('SET', 'maxmemory', '1'),
    mend: async (_server, control) => await control.config('SET', 'maxmemory', '0')
  }),
  {
    name: 'full, allkeys-lru evicts versions and entries',
    async stage () {
      const server = await startRedis({ args: ['--maxmemory-policy', 'allkeys-lru', '--maxmemory-samples', '1'] })
      const control = new Redis(server.port, '127.0.0.1')
      let filling: Promise<void> | undefined
      const filled = new AbortController()
      return {
        redis: () => server.url,
        async break () {
          const used = Number(/used_memory:(\d+)/.exec(await control.info('memory'))![1])
          await control.config('SET', 'maxmemory', String(used + 200_000))
          filling = (async () => {
            for (let filler = 0; !filled.signal.aborted; filler++) await control.set(`filler:${filler}`, Buffer.alloc(10_000))
          })()
        },
        async mend () {
          filled.abort()
          await filling
          await control.config('SET', 'maxmemory', '0')
        },
        async stop () {
          filled.abort()
          await filling
          control.disconnect()
          await server.stop()
        }
      }
    }
  },
  {
    name: 'made a read-only replica',
    async stage () {
      const [server, other] = await Promise.all([startRedis(), startRedis({ args: ['--repl-diskless-sync-delay', '0'] })])
      const control = new Redis(server.port, '127.0.0.1', { retryStrategy: () => 20 })
      control.on('error', () => {})
      return {
        redis: () => server.url,
        async break () {
          await control.call('REPLICAOF', '127.0.0.1', other.port)
          // As a Sentinel does to those who believe it to be a master.
          await control.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
        },
        async mend () { await control.call('REPLICAOF', 'NO', 'ONE') },
        async stop () {
          control.disconnect()
          await Promise.all([server.stop(), other.stop()])
        }
      }
    }
  },
  {
    name: 'a wrong password',
    async stage () {
      const server = await startRedis({ args: ['--requirepass', 'secret'] })
      const control = new Redis({ port: server.port, host: '127.0.0.1', password: 'secret' })
      return {
        fromTheStart: true,
        redis: () => `redis://:wrong@127.0.0.1:${server.port}`,
        break () {},
        async mend () { await control.config('SET', 'requirepass', 'wrong') },
        async stop () {
          control.disconnect()
          await server.stop()
        }
      }
    }
  },
  {
    name: 'an address without a server, at which one starts later',
    async stage () {
      const port = await freePort()
      let server: RedisServer | undefined
      return {
        fromTheStart: true,
        redis: () => `redis://127.0.0.1:${port}`,
        break () {},
        async mend () { server = await startRedis({ port }) },
        async stop () { await server?.stop() }
      }
    }
  }
]

export const serverFaults: Fault[] = [
  ...alsoOverNodeRedis(faults),
  serverFault('absent at boot', { ...killed, fromTheStart: true, connecting: users }),
  serverFault('killed and restarted empty', { ...killed, connecting: resp2 }),
  serverFault('killed and restarted empty', { ...killed, connecting: users }),
  serverFault('hung (SIGSTOP)', { ...hung, connecting: users }),
  serverFault('hung (SIGSTOP)', { ...hung, connecting: impatient })
]
