import Redis from 'ioredis'
import { askForAll } from '../answers.js'
import { askOverHttp1 } from '../ask.js'
import { progress } from '../progress.js'
import { ServerProcess } from '../server-process.js'
import { quantile } from '../statistics.js'
import { firstSwept, swept } from '../subjects/swept.js'
import { addOthers, bodyBytes, hitsDuring, hitsTable, type Conditions, type Hits, type Part } from './part.js'

const seconds = 2

/** HITs of one namespace while another is swept among many keys of other applications. */
export async function besideHits ({ bench, quick, rounds }: Conditions): Promise<Part> {
  const others = quick ? 100_000 : 1_000_000
  const entries = quick ? 1000 : 10_000
  const redisUrl = bench.database()
  const redis = new Redis(redisUrl)
  progress(`adding ${others} keys of others`)
  await addOthers(redis, others)
  const server = await ServerProcess.start(swept, { bodyBytes, redisUrl })

  async function sweep (): Promise<{ swept: number, ms: number }> {
    const started = performance.now()
    const response = await fetch(`${server.origin}/sweep`, { method: 'POST' })
    const answer = await response.json() as { swept: number }
    return { ...answer, ms: performance.now() - started }
  }

  // Sweeps for as long as the load goes on; the first has the entries to remove, each has all keys to look at.
  async function sweepAllAlong (): Promise<number[]> {
    const end = performance.now() + seconds * 1000
    const first = await sweep()
    if (first.swept !== entries) throw new Error(`${first.swept} of ${entries} entries were swept`)
    const took = [first.ms]
    while (performance.now() < end) took.push((await sweep()).ms)
    return took
  }

  const idle: Hits[] = []
  const sweeping: Hits[] = []
  const took: number[] = []
  await askForAll(askOverHttp1, server.origin, 0, firstSwept)
  await hitsDuring(server, seconds, async () => {})
  for (let round = 1; round <= rounds; round++) {
    progress(`a sweep beside HITs: round ${round} of ${rounds}`)
    await askForAll(askOverHttp1, server.origin, firstSwept, firstSwept + entries)
    // What the fills left to the garbage collector is nothing that the sweep does.
    await hitsDuring(server, seconds, async () => {})
    idle.push(await hitsDuring(server, seconds, async () => {}))
    const { result, ...hits } = await hitsDuring(server, seconds, sweepAllAlong)
    sweeping.push(hits)
    took.push(...result)
  }
  await server.stop()
  await redis.flushdb()
  redis.disconnect()
  return {
    title: 'A sweep beside HITs',
    text: [
      `A namespace of ${entries} entries is invalidated among ${others} other keys while 50 connections ask another namespace for about 5,000 HITs a second; ${rounds} rounds of ${seconds} s, medians with ranges. A sweep took ${quantile(took, 0.5).toFixed(0)} ms.`,
      '',
      hitsTable(idle, { sweeping })
    ].join('\n'),
    data: { others, entries, seconds, idle, sweeping, took }
  }
}
