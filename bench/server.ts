import { monitorEventLoopDelay } from 'node:perf_hooks'
import { subjectNamed } from './subjects/index.js'
import type { Counters, Scenario } from './subjects/subject.js'

/** What a server can be asked through its IPC channel. */
export type Question = 'mark' | 'memory' | 'delay'

/** Counted since the process began. */
export interface Mark {
  /** User and system time, as the operating system counts it for the process. */
  cpuMicros: number
  handlerRuns: number
}

/** After a collection of garbage. */
export interface Memory {
  bytes: number
}

/** Event-loop delay in milliseconds since the last such question. */
export interface Delay {
  p50: number
  p99: number
  max: number
}

export interface Started {
  port: number
}

const resolution = 1
let histogram: ReturnType<typeof monitorEventLoopDelay> | undefined

function delay (): Delay {
  histogram ??= monitorEventLoopDelay({ resolution })
  histogram.enable()
  // The histogram holds intervals between timers, which are due every `resolution` milliseconds.
  const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - resolution)
  const answer = { p50: late(histogram.percentile(50)), p99: late(histogram.percentile(99)), max: late(histogram.max) }
  histogram.reset()
  return answer
}

function mark (counters: Counters, cpuMicrosOfOthers = 0): Mark {
  const { user, system } = process.cpuUsage()
  return { cpuMicros: user + system + cpuMicrosOfOthers, handlerRuns: counters.handlerRuns }
}

function memory (): Memory {
  if (global.gc === undefined) throw new Error('run with --expose-gc')
  global.gc()
  global.gc()
  const { heapUsed, external } = process.memoryUsage()
  return { bytes: heapUsed + external }
}

async function main ([name = '', scenario = '']: string[]): Promise<void> {
  const counters: Counters = { handlerRuns: 0 }
  const { port, cpuMicros, close } = await subjectNamed(name).start(JSON.parse(scenario) as Scenario, counters)
  if (process.send === undefined) {
    // By hand, for a profile: node --cpu-prof dist/bench/server.js redis '{"bodyBytes":1024,"redisUrl":"redis://127.0.0.1:6379/0"}'
    console.error(`http://127.0.0.1:${port}/items/0`)
    process.once('SIGINT', () => { close().finally(() => process.exit()) })
    return
  }
  process.on('message', (question: Question) => {
    process.send?.(question === 'mark' ? mark(counters, cpuMicros?.()) : question === 'memory' ? memory() : delay())
  })
  process.once('disconnect', () => process.exit())
  process.send({ port } satisfies Started)
}

main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
})
