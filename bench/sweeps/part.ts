import type { Redis } from 'ioredis'
import { load, type LoadResult } from '../load.js'
import type { BenchRedis } from '../redis.js'
import { table } from '../report.js'
import type { Delay } from '../server.js'
import type { ServerProcess } from '../server-process.js'
import { range, ratios } from '../statistics.js'
import { firstSwept } from '../subjects/swept.js'

export interface Conditions {
  readonly bench: BenchRedis
  /** Smaller, to see that it works. */
  readonly quick: boolean
  readonly rounds: number
}

/** What one part of this bench has measured. */
export interface Part {
  readonly title: string
  readonly text: string
  readonly data: unknown
}

/** Requests for entries that nobody sweeps. */
export interface Hits {
  readonly hits: LoadResult
  readonly delay: Delay
}

export const bodyBytes = 1024

/** About 5,000 HITs a second on 50 connections, for whole seconds, with other work at the same time. */
export async function hitsDuring<T> (server: ServerProcess, seconds: number, work: () => Promise<T>): Promise<Hits & { readonly result: T }> {
  const before = await server.mark()
  const answers = load({ origin: server.origin, seconds, connections: 50, bodyBytes, keys: firstSwept, header: 'HIT', pause: 10 })
  await server.delay()
  const [hits, result] = await Promise.all([answers, work()])
  const delay = await server.delay()
  const after = await server.mark()
  if (Object.values(hits.wrong).some((count) => count > 0)) throw new Error(`wrong answers: ${JSON.stringify(hits.wrong)}`)
  if (after.handlerRuns > before.handlerRuns) throw new Error('a HIT ran its handler')
  return { hits, delay, result }
}

export const withRange = (all: number[], digits = 2): string => {
  const { median, low, high } = range(all)
  return `${median.toFixed(digits)} (${low.toFixed(digits)} to ${high.toFixed(digits)})`
}

/** Idle windows, and those of other names beside them. */
export function hitsTable (idle: Hits[], others: Readonly<Record<string, Hits[]>>): string {
  const row = (name: string, read: (window: Hits) => number): string[] => [
    name,
    withRange(idle.map(read)),
    ...Object.values(others).flatMap((windows) =>
      [withRange(windows.map(read)), withRange(ratios(windows.map(read), idle.map(read)))])
  ]
  return table(['', 'idle', ...Object.keys(others).flatMap((name) => [name, 'ratio'])], [
    row('p50 of HITs, ms', ({ hits }) => hits.p50),
    row('p99 of HITs, ms', ({ hits }) => hits.p99),
    row('event-loop delay p99, ms', ({ delay }) => delay.p99),
    row('event-loop delay, longest, ms', ({ delay }) => delay.max)
  ])
}

const batch = 10_000

/** Adds keys of another application. */
export async function addOthers (redis: Redis, count: number): Promise<void> {
  const script = 'for id = ARGV[1], ARGV[2] do redis.call("SET", "session:" .. string.format("%.0f", id), "of another application") end'
  for (let from = 0; from < count; from += batch) await redis.eval(script, 0, from, from + batch - 1)
}
