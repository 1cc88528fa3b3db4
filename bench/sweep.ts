import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import Redis from 'ioredis'
import { askForAll } from './answers.js'
import { askOverHttp1 } from './ask.js'
import { loadCore, moveToCore } from './cores.js'
import { load, type LoadResult } from './load.js'
import { project } from './paths.js'
import { lastingLine, progress } from './progress.js'
import { startBenchRedis } from './redis.js'
import { environment, table } from './report.js'
import { ServerProcess } from './server-process.js'
import type { Delay } from './server.js'
import { quantile, range, ratios, type Range } from './statistics.js'
import { firstSwept, twoNamespaces } from './subjects/two-namespaces.js'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '12' },
    out: { type: 'string', default: join(project, 'docs', 'bench') }
  }
})
const others = values.quick ? 100_000 : 1_000_000
const swept = values.quick ? 1000 : 10_000
const rounds = Number(values.rounds)
const bodyBytes = 1024
const seconds = 2
const batch = 10_000

interface Window {
  hits: LoadResult
  delay: Delay
  /** Milliseconds of each sweep that ended in it. */
  sweeps: number[]
}

async function addOthers (redis: Redis): Promise<void> {
  const script = 'for id = ARGV[1], ARGV[2] do redis.call("SET", "session:" .. string.format("%.0f", id), "of another application") end'
  for (let from = 0; from < others; from += batch) await redis.eval(script, 0, from, from + batch - 1)
}

async function main (): Promise<void> {
  const out = resolve(values.out)
  moveToCore(loadCore, process.pid)
  const bench = await startBenchRedis()
  const redisUrl = bench.database()
  const redis = new Redis(redisUrl)
  progress(`adding ${others} keys of others`)
  await addOthers(redis)
  const server = await ServerProcess.start(twoNamespaces, { bodyBytes, redisUrl })

  async function sweep (): Promise<{ swept: number, ms: number }> {
    const started = performance.now()
    const response = await fetch(`${server.origin}/sweep`, { method: 'POST' })
    const answer = await response.json() as { swept: number }
    return { ...answer, ms: performance.now() - started }
  }

  async function measure (during: () => Promise<number[]>): Promise<Window> {
    const before = await server.mark()
    const hits = load({ origin: server.origin, seconds, connections: 50, bodyBytes, keys: firstSwept, header: 'HIT', pause: 10 })
    await server.delay()
    const [result, sweeps] = await Promise.all([hits, during()])
    const delay = await server.delay()
    const after = await server.mark()
    if (Object.values(result.wrong).some((count) => count > 0)) throw new Error(`wrong answers: ${JSON.stringify(result.wrong)}`)
    if (after.handlerRuns > before.handlerRuns) throw new Error('a HIT ran its handler')
    return { hits: result, delay, sweeps }
  }

  // Sweeps for as long as the load goes on; the first has the entries to remove, each has all keys to look at.
  async function sweepAllAlong (): Promise<number[]> {
    const end = performance.now() + seconds * 1000
    const first = await sweep()
    if (first.swept !== swept) throw new Error(`${first.swept} of ${swept} entries were swept`)
    const took = [first.ms]
    while (performance.now() < end) took.push((await sweep()).ms)
    return took
  }

  await askForAll(askOverHttp1, server.origin, 0, firstSwept)
  await measure(async () => [])
  const idle: Window[] = []
  const sweeping: Window[] = []
  for (let round = 1; round <= rounds; round++) {
    progress(`round ${round} of ${rounds}`)
    await askForAll(askOverHttp1, server.origin, firstSwept, firstSwept + swept)
    // What the fills left to the garbage collector is nothing that the sweep does.
    await measure(async () => [])
    idle.push(await measure(async () => []))
    sweeping.push(await measure(sweepAllAlong))
  }
  await server.stop()
  redis.disconnect()
  await bench.stop()

  const row = (name: string, read: (window: Window) => number): string[] => {
    const [calm, busy] = [idle.map(read), sweeping.map(read)]
    const text = ({ median, low, high }: Range): string => `${median.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`
    return [name, text(range(calm)), text(range(busy)), text(range(ratios(busy, calm)))]
  }
  const facts = environment(bench.version)
  const took = sweeping.flatMap(({ sweeps }) => sweeps)
  const text = [
    '# A sweep beside HITs',
    '',
    `A namespace of ${swept} entries is invalidated among ${others} other keys while 50 connections ask another namespace for about 5,000 HITs a second; ${rounds} rounds of ${seconds} s, medians with ranges. A sweep took ${quantile(took, 0.5).toFixed(0)} ms. Written by \`npm run bench:sweep\`.`,
    '',
    table(Object.keys(facts), [Object.values(facts)]),
    '',
    table(['', 'idle', 'sweeping', 'ratio'], [
      row('p50 of HITs, ms', ({ hits }) => hits.p50),
      row('p99 of HITs, ms', ({ hits }) => hits.p99),
      row('event-loop delay p99, ms', ({ delay }) => delay.p99),
      row('event-loop delay, longest, ms', ({ delay }) => delay.max)
    ]),
    ''
  ].join('\n')
  mkdirSync(out, { recursive: true })
  writeFileSync(join(out, 'sweep.md'), text)
  writeFileSync(join(out, 'sweep.json'), JSON.stringify({ environment: facts, others, swept, seconds, idle, sweeping }, null, 2) + '\n')
  lastingLine('')
  console.log(text)
  process.exit(0)
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
