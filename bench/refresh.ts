import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createApiCache } from '../lib/client.js'
import { loadCore, moveToCore } from './cores.js'
import { lastingLine, progress } from './progress.js'
import { startBenchRedis } from './redis.js'
import { environment, table } from './report.js'
import { ServerProcess } from './server-process.js'
import { quantile } from './statistics.js'
import { ask, steadyLoad, type Timed } from './steady-load.js'
import { atExpiry, expire, inOutage, takes } from './subjects/refreshed.js'
import type { Subject } from './subjects/subject.js'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    /** Measures the outage only. */
    outage: { type: 'boolean', default: false },
    out: { type: 'string' }
  }
})
const perSecond = 200
const expiries = values.quick ? 4 : 30
/** Seconds before and after a write during the outage. */
const outage = values.quick ? 6 : 60

interface AtExpiry {
  readonly title: string
  readonly answers: number
  /** Answers of the handler, or of a run of it that the request waited for. */
  readonly waited: number
  readonly stale: number
  readonly p999: number
  readonly runs: number
}

interface InOutage {
  readonly answers: number
  readonly errors: number
  readonly triesPerSecond: number
  readonly triesPerSecondAfterWrite: number
  readonly answersAfterWrite: number
  readonly errorsAfterWrite: number
  /** Old answers to requests that were sent when another process had its write confirmed. */
  readonly oldAfterWrite: number
}

const hasWaited = ({ cacheStatus }: Timed): boolean => cacheStatus.includes(';fwd=')
const isStale = ({ cacheStatus }: Timed): boolean => cacheStatus.includes('detail=stale-')
const runOf = ({ body }: Timed): number => (JSON.parse(body) as { run: number }).run

async function measureExpiry (subject: Subject, redisUrl: string): Promise<AtExpiry> {
  const server = await ServerProcess.start(subject, { bodyBytes: 0, redisUrl })
  try {
    await ask(`${server.origin}/thing`)
    const before = await server.mark()
    const answers = await steadyLoad(`${server.origin}/thing`, perSecond, expiries * expire)
    const after = await server.mark()
    const wrong = answers.find(({ status }) => status !== 200)
    if (wrong !== undefined) throw new Error(`${subject.title} answered ${wrong.status}`)
    return {
      title: subject.title,
      answers: answers.length,
      waited: answers.filter(hasWaited).length,
      stale: answers.filter(isStale).length,
      p999: quantile(answers.map(({ dueAt, arrivedAt }) => arrivedAt - dueAt), 0.999),
      runs: after.handlerRuns - before.handlerRuns
    }
  } finally {
    await server.stop()
  }
}

async function measureOutage (redisUrl: string): Promise<InOutage> {
  const server = await ServerProcess.start(inOutage, { bodyBytes: 0, redisUrl })
  // This process is another one than the server's.
  const cache = createApiCache({ redis: redisUrl })
  try {
    const newest = runOf(await ask(`${server.origin}/thing`))
    await ask(`${server.origin}/down`, 'PUT')
    await delay(expire * 1000)
    const before = await server.mark()
    const during = await steadyLoad(`${server.origin}/thing`, perSecond, outage)
    const after = await server.mark()
    await cache.invalidate('things')
    const answers = await steadyLoad(`${server.origin}/thing`, perSecond, outage)
    const last = await server.mark()
    return {
      answers: during.length,
      errors: during.filter(({ status }) => status >= 500).length,
      triesPerSecond: (after.handlerRuns - before.handlerRuns) / outage,
      triesPerSecondAfterWrite: (last.handlerRuns - after.handlerRuns) / outage,
      answersAfterWrite: answers.length,
      errorsAfterWrite: answers.filter(({ status }) => status >= 500).length,
      oldAfterWrite: answers.filter((answer) => answer.status < 500 && runOf(answer) <= newest).length
    }
  } finally {
    await cache.close()
    await server.stop()
  }
}

/** What must not be, on however busy a machine. */
function faults (measured: readonly AtExpiry[], { errors, triesPerSecond, oldAfterWrite }: InOutage): string[] {
  const early = measured.find(({ title }) => title === 'earlyRefresh')
  const meanwhile = measured.find(({ title }) => title === 'staleWhileRevalidate')
  return [
    ...(early !== undefined && early.stale > 0 ? [`earlyRefresh gave ${early.stale} stale answers`] : []),
    ...(meanwhile !== undefined && meanwhile.waited > 0 ? [`with staleWhileRevalidate ${meanwhile.waited} requests waited`] : []),
    ...(errors > 0 ? [`in the outage ${errors} answers were errors`] : []),
    ...(triesPerSecond > 1 ? [`in the outage the handler was tried ${triesPerSecond} times a second`] : []),
    ...(oldAfterWrite > 0 ? [`after the write ${oldAfterWrite} old answers were served`] : [])
  ]
}

const atExpiries = (measured: readonly AtExpiry[]): string =>
  table(['', 'requests', 'waited for the handler', 'p99.9, ms', 'stale answers', 'handler runs'], measured.map((one) => [
    one.title, String(one.answers), `${(100 * one.waited / one.answers).toFixed(2)} %`, one.p999.toFixed(1), String(one.stale), String(one.runs)
  ]))

async function main (): Promise<void> {
  moveToCore(loadCore, process.pid)
  const redis = await startBenchRedis()
  const { load: _, ...facts } = environment(redis.version)
  const measured: AtExpiry[] = []
  for (const subject of values.outage ? [] : atExpiry) {
    progress(`${subject.title}: ${expiries} expiries`)
    measured.push(await measureExpiry(subject, redis.database()))
  }
  progress(`an outage of ${2 * outage} s`)
  const down = await measureOutage(redis.database())
  await redis.stop()

  const wrong = faults(measured, down)
  const text = [
    '# Refreshes under load',
    '',
    `${perSecond} requests a second for one key whose answers are fresh for ${expire} s and whose handler takes ${takes} ms${values.outage ? '' : `, over ${expiries} expiries`}. Written by \`npm run bench:refresh\`.`,
    '',
    table(Object.keys(facts), [Object.values(facts)]),
    '',
    ...values.outage ? [] : [atExpiries(measured), ''],
    `${values.outage ? 'The' : 'Then the'} handler of a route with \`staleIfError: '10m'\` fails for ${2 * outage} s. In the middle another process invalidates the namespace.`,
    '',
    table(['', 'requests', 'errors (5xx)', 'tries a second', 'old answers'], [
      ['before the write', String(down.answers), String(down.errors), down.triesPerSecond.toFixed(2), 'all'],
      ['after it', String(down.answersAfterWrite), String(down.errorsAfterWrite), down.triesPerSecondAfterWrite.toFixed(2), String(down.oldAfterWrite)]
    ]),
    '',
    ...wrong.map((fault) => `**${fault}**`)
  ].join('\n')
  if (values.out !== undefined) {
    mkdirSync(values.out, { recursive: true })
    writeFileSync(join(values.out, 'refresh.md'), text)
  }
  lastingLine('')
  console.log(text)
  process.exit(wrong.length > 0 ? 1 : 0)
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
