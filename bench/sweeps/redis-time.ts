import { setTimeout as sleep } from 'node:timers/promises'
import Redis from 'ioredis'
import { askForAll } from '../answers.js'
import { askOverHttp1 } from '../ask.js'
import { progress } from '../progress.js'
import { table } from '../report.js'
import { ServerProcess } from '../server-process.js'
import { ask, paced } from '../steady-load.js'
import { firstSwept, swept } from '../subjects/swept.js'
import { addOthers, bodyBytes, withRange, type Conditions, type Part } from './part.js'

const perSecond = 10
/** The share of a core, in percent, that Redis may take. */
const limit = 12

interface Shares {
  readonly others: number
  /** Percent of a core, in each window. */
  readonly idle: number[]
  readonly writing: number[]
}

/** Seconds that the thread which serves commands has used. */
async function cpuOf (redis: Redis): Promise<number> {
  const info = await redis.info('cpu')
  const of = (kind: string): number => Number(new RegExp(`^used_cpu_${kind}_main_thread:(\\S+)`, 'm').exec(info)?.[1])
  return of('user') + of('sys')
}

async function share (redis: Redis, work: () => Promise<unknown>): Promise<number> {
  const [cpu, began] = [await cpuOf(redis), performance.now()]
  await work()
  return 100 * (await cpuOf(redis) - cpu) / ((performance.now() - began) / 1000)
}

async function beside (others: number, { bench, quick, rounds }: Conditions): Promise<Shares> {
  const seconds = quick ? 3 : 20
  const redisUrl = bench.database()
  const redis = new Redis(redisUrl)
  progress(`adding ${others} keys of others`)
  await addOthers(redis, others)
  const server = await ServerProcess.start(swept, { bodyBytes, redisUrl })
  await askForAll(askOverHttp1, server.origin, firstSwept, firstSwept + 100)
  const write = async (): Promise<void> => {
    const { status } = await ask(`${server.origin}/items/${firstSwept}`, 'PUT')
    if (status !== 200) throw new Error(`a write was answered with ${status}`)
  }

  // All idle windows come first: a sweep goes on for long after the writes.
  const idle: number[] = []
  const writing: number[] = []
  for (let round = 1; round <= rounds; round++) idle.push(await share(redis, () => sleep(seconds * 1000)))
  await write()
  for (let round = 1; round <= rounds; round++) {
    progress(`${perSecond} writes a second beside ${others} keys: round ${round} of ${rounds}`)
    writing.push(await share(redis, () => paced(perSecond, perSecond * seconds, write)))
  }
  await server.stop()
  await redis.flushdb()
  redis.disconnect()
  return { others, idle, writing }
}

/** The time of Redis that the sweeps of steady writes take. */
export async function redisTime (conditions: Conditions): Promise<Part> {
  const measured: Shares[] = []
  for (const others of conditions.quick ? [100_000, 1_000_000] : [1_000_000, 10_000_000]) {
    measured.push(await beside(others, { ...conditions, rounds: Math.min(conditions.rounds, 3) }))
  }
  return {
    title: 'The time of Redis',
    text: [
      `${perSecond} writes a second to one namespace; percent of a core that the main thread of Redis used, medians with ranges. At most ${limit} are promised.`,
      '',
      table(['keys of others', 'idle, %', 'writing, %'], measured.map(({ others, idle, writing }) =>
        [String(others), withRange(idle), withRange(writing)]))
    ].join('\n'),
    data: measured
  }
}
