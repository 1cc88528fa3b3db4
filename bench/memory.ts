import { setTimeout as sleep } from 'node:timers/promises'
import Redis from 'ioredis'
import { askForAll } from './answers.js'
import { askOverHttp1 } from './ask.js'
import type { BenchRedis } from './redis.js'
import { ServerProcess } from './server-process.js'
import { subjectNamed } from './subjects/index.js'

/** Bytes per entry. */
export interface EntryMemory {
  bodyBytes: number
  /** What Redis itself says of one entry (MEMORY USAGE), the largest of some. */
  redisEntry: number
  /** What Redis holds more than before, shared among the entries: keys, tables and versions are in it. */
  redisShare: number
  /** What the server's process holds more than before, shared among the entries: of the local tier, and of the memory store. */
  tracked?: number
  memory?: number
}

export const memorySizes = [256, 1024, 4096, 16_384, 65_536, 262_144]

function entriesOf (bodyBytes: number): number {
  return Math.min(20_000, Math.floor(256 * 2 ** 20 / bodyBytes))
}

async function usedMemory (redis: Redis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1])
}

async function largestEntry (redis: Redis): Promise<number> {
  const [, keys] = await redis.scan(0, 'MATCH', '*items*', 'COUNT', 200)
  const sizes = await Promise.all(keys.map((key) => redis.memory('USAGE', key)))
  return Math.max(...sizes.map(Number))
}

export async function redisMemory (bodyBytes: number, bench: BenchRedis): Promise<EntryMemory> {
  const redisUrl = bench.database()
  const redis = new Redis(redisUrl)
  const server = await ServerProcess.start(subjectNamed('redis'), { bodyBytes, redisUrl })
  try {
    const entries = entriesOf(bodyBytes)
    const before = await usedMemory(redis)
    await askForAll(askOverHttp1, server.origin, 0, entries)
    for (let tries = 0; await redis.dbsize() < entries; tries++) {
      if (tries === 100) throw new Error(`${entries} answers left ${await redis.dbsize()} entries in Redis`)
      await sleep(50)
    }
    return {
      bodyBytes,
      redisEntry: await largestEntry(redis),
      redisShare: (await usedMemory(redis) - before) / entries
    }
  } finally {
    await server.stop()
    await redis.flushdb()
    redis.disconnect()
  }
}

export async function processMemory (name: 'tracked' | 'memory', bodyBytes: number, bench: BenchRedis): Promise<number> {
  const redisUrl = bench.database()
  const redis = new Redis(redisUrl)
  const server = await ServerProcess.start(subjectNamed(name), { bodyBytes, redisUrl })
  try {
    const entries = entriesOf(bodyBytes)
    // The code that a fill runs is compiled, and its buffers have grown, before the first reading.
    const warm = 2000
    await askForAll(askOverHttp1, server.origin, 0, warm)
    const before = await server.memory()
    await askForAll(askOverHttp1, server.origin, warm, warm + entries)
    const after = await server.memory()
    return (after.bytes - before.bytes) / entries
  } finally {
    await server.stop()
    await redis.flushdb()
    redis.disconnect()
  }
}
