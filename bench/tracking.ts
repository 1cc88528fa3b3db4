import { Agent, request } from 'node:http'
import { parseArgs } from 'node:util'
import { loadCore, moveToCore } from './cores.js'
import { lastingLine, progress } from './progress.js'
import { publish, published } from './publish.js'
import { Quiet } from './quiet.js'
import { startBenchRedis } from './redis.js'
import { environment, table } from './report.js'
import { ServerProcess } from './server-process.js'
import { quantile } from './statistics.js'
import type { Subject } from './subjects/subject.js'
import { truthRedis, truthStrict, truthTracked } from './subjects/truth.js'

const { values } = parseArgs({
  options: {
    trials: { type: 'string', default: '10000' },
    out: { type: 'string', default: published }
  }
})
const trials = Number(values.trials)
const readers = 4
const scenario = { bodyBytes: 0 }

interface Answer {
  value: number
  header: string | undefined
}

const agent = new Agent({ keepAlive: true, maxSockets: readers + 1 })

function ask (origin: string, method: 'GET' | 'POST'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request(`${origin}/truth`, { agent, method }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => { body += text }).on('error', reject).on('end', () => {
        if (response.statusCode !== 200) return reject(new Error(`${method} was answered with ${response.statusCode}`))
        const header = response.headers['x-api-cache']
        resolve({ value: Number(body), header: Array.isArray(header) ? header[0] : header })
      })
    }).on('error', reject).end()
  })
}

interface Acknowledged {
  value: number
  at: number
}

interface Trials {
  answers: number
  hits: number
  /** Answers to requests sent after the acknowledgement that still had the old value. */
  stale: number
  /** Per trial, milliseconds from the acknowledgement to the arrival of its last stale answer; 0 where there was none. */
  lastStale: number[]
}

async function run (subject: Subject, redisUrl: string): Promise<Trials> {
  // One process reads, on the server's core; another writes, beside the load.
  const reader = await ServerProcess.start(subject, { ...scenario, redisUrl })
  const writer = await ServerProcess.start(subject, { ...scenario, redisUrl }, loadCore)
  const result: Trials = { answers: 0, hits: 0, stale: 0, lastStale: [] }
  let acknowledged: Acknowledged = { value: 0, at: performance.now() }
  const over = new AbortController()
  let caughtUp = new Set<number>()
  let allCaughtUp = (): void => {}

  async function read (index: number): Promise<void> {
    while (!over.signal.aborted) {
      const due = acknowledged
      const { value, header } = await ask(reader.origin, 'GET')
      result.answers++
      if (header === 'HIT') result.hits++
      if (value < due.value) {
        result.stale++
        result.lastStale[due.value - 1] = performance.now() - due.at
      } else if (due === acknowledged && header === 'HIT') {
        caughtUp.add(index)
        if (caughtUp.size === readers) allCaughtUp()
      }
    }
  }

  try {
    await ask(reader.origin, 'GET')
    const reading = Promise.all(Array.from({ length: readers }, (_, index) => read(index)))
    for (let trial = 1; trial <= trials; trial++) {
      const { value } = await ask(writer.origin, 'POST')
      result.lastStale.push(0)
      caughtUp = new Set()
      // The next write is to meet an entry that all of them were served.
      const everyReader = new Promise<void>((resolve, reject) => {
        const patience = setTimeout(() => reject(new Error('no HIT with the new value within 5 s')), 5000)
        allCaughtUp = () => {
          clearTimeout(patience)
          resolve()
        }
      })
      acknowledged = { value, at: performance.now() }
      await Promise.race([everyReader, reading])
      if (trial % 500 === 0) progress(`${subject.title}: ${trial} of ${trials} trials, ${result.stale} stale answers`)
    }
    over.abort()
    await reading
  } finally {
    over.abort()
    await reader.stop()
    await writer.stop()
  }
  return result
}

async function main (): Promise<void> {
  moveToCore(loadCore, process.pid)
  const redis = await startBenchRedis()
  const quiet = await Quiet.start()
  await quiet.sample()
  const measured: Array<{ subject: Subject, result: Trials }> = []
  for (const subject of [truthRedis, truthStrict, truthTracked]) {
    try {
      measured.push({ subject, result: await run(subject, redis.database()) })
    } catch (error) {
      lastingLine(`${subject.title} is left out: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  await redis.stop()
  await quiet.sample()
  quiet.stop()
  const facts = { ...environment(redis.version), ...quiet.facts }
  const text = [
    '# How long a stale answer lasts',
    '',
    `From an invalidation acknowledged by one process to the arrival of the last stale answer from another, for requests sent after the acknowledgement; ${trials} trials, ${readers} connections asking without a pause. Written by \`npm run bench:tracking\`.`,
    '',
    table(Object.keys(facts), [Object.values(facts)]),
    '',
    table(['', 'answers', 'HITs', 'stale answers', 'trials with one', 'p50 ms', 'p99 ms', 'longest ms'], measured.map(({ subject, result }) => [
      subject.title,
      String(result.answers),
      String(result.hits),
      String(result.stale),
      String(result.lastStale.filter((ms) => ms > 0).length),
      quantile(result.lastStale, 0.5).toFixed(2),
      quantile(result.lastStale, 0.99).toFixed(2),
      Math.max(...result.lastStale).toFixed(2)
    ])),
    ''
  ].join('\n')
  const trialsBySubject = Object.fromEntries(measured.map(({ subject, result }) => [subject.name, result]))
  const results = { environment: facts, trials: trialsBySubject }
  publish({ 'tracking.md': text, 'tracking.json': JSON.stringify(results) + '\n' }, values.out, quiet)
  lastingLine('')
  console.log(text)
  process.exit(0)
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
