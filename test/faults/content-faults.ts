import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { Random } from '../support/random.js'
import { startRedis } from '../support/redis-server.js'
import type { Fault } from './outage.js'
import { alsoOverNodeRedis } from './over-node-redis.js'

const random = new Random(7)

/** Somebody who writes under our keys all the time. */
function vandal (name: string, spoil: (redis: Redis, key: string) => Promise<unknown>): Fault {
  return {
    name,
    async stage () {
      const server = await startRedis()
      const control = new Redis(server.port, '127.0.0.1')
      const spoiling = new AbortController()
      let done: Promise<void> | undefined
      async function spoilAll (): Promise<void> {
        const { signal } = spoiling
        while (!signal.aborted) {
          for (const key of await control.keys('api-cache*')) {
            // What we do meanwhile may make it fail, too.
            await spoil(control, key).catch(() => {})
          }
        }
      }
      return {
        redis: () => server.url,
        break () {
          done = spoilAll()
        },
        async mend () {
          spoiling.abort()
          await done
        },
        async stop () {
          spoiling.abort()
          await done
          control.disconnect()
          await server.stop()
        }
      }
    }
  }
}

async function change (redis: Redis, key: string, into: (value: Buffer) => Buffer): Promise<void> {
  const value = await redis.getBuffer(key)
  if (value !== null && value.length > 0) await redis.set(key, into(value), 'KEEPTTL')
}

/** A user who may do what is needed, but for these. */
function denied (name: string, ...rules: string[]): Fault {
  return {
    name,
    async stage () {
      const server = await startRedis()
      const control = new Redis(server.port, '127.0.0.1')
      await control.acl('SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all')
      await control.acl('SETUSER', 'app', ...rules)
      return {
        redis: () => `redis://app:secret@127.0.0.1:${server.port}`,
        break () {},
        async mend () { await control.acl('SETUSER', 'app', '+@all') },
        async stop () {
          control.disconnect()
          await server.stop()
        }
      }
    }
  }
}

export const contentFaults: Fault[] = alsoOverNodeRedis([
  vandal('values of another type under our keys', async (redis, key) => {
    await redis.del(key)
    await redis.rpush(key, 'a list')
  }),
  vandal('garbage under our keys', async (redis, key) => { await redis.set(key, randomBytes(1 + random.below(300)), 'KEEPTTL') }),
  vandal('values under our keys are cut off', async (redis, key) => {
    await change(redis, key, (value) => value.subarray(0, random.below(value.length)))
  }),
  vandal('single bits under our keys flip', async (redis, key) => {
    await change(redis, key, (value) => {
      const at = random.below(value.length)
      value[at] = value[at]! ^ (1 << random.below(8))
      return value
    })
  }),
  vandal('entries of another version of the format', async (redis, key) => {
    if (!key.includes('|')) return
    await change(redis, key, (value) => {
      value[3] = 1
      return value
    })
  }),
  vandal('versions of namespaces are held for good by nobody', async (redis, key) => {
    if (key.includes('!version:')) await redis.set(key, '~~somebody:99999999999999')
  }),
  denied('SCAN and UNLINK are forbidden', '-scan', '-unlink'),
  denied('INFO is forbidden', '-info'),
  denied('scripts are forbidden', '-eval', '-evalsha'),
  denied('all that is dangerous or administrative is forbidden', '-@dangerous', '-@admin')
])
