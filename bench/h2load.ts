import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { loadCore, onCore } from './cores.js'
import type { LoadOptions, LoadResult } from './load.js'
import { quantile } from './statistics.js'

/** The load over HTTP/2; it checks statuses, and the second client bodies. */
export const h2loadFound = spawnSync('h2load', ['--version'], { stdio: 'ignore' }).error === undefined

/** Streams that each connection has open at a time. */
const streams = 10

/** @param log a file for h2load's line about each request: when it began, its status, its microseconds */
export async function h2load ({ origin, seconds, connections }: LoadOptions, log: string): Promise<LoadResult> {
  const child = spawn(...onCore(loadCore, 'h2load', [
    '-c', String(connections / streams), '-m', String(streams), '-D', `${seconds * 1000}ms`, '--log-file', log, `${origin}/items/0`
  ]), { stdio: ['ignore', 'ignore', 'inherit'] })
  const [code] = await once(child, 'close') as [number]
  if (code !== 0) throw new Error(`h2load ended with ${code}`)
  const lines = readFileSync(log, 'utf8').trim().split('\n').map((line) => line.split('\t').map(Number))
  rmSync(log)
  const times = lines.map(([, , micros = NaN]) => micros / 1000)
  const status = lines.filter(([, status]) => status !== 200).length
  return {
    requests: lines.length,
    seconds,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    max: times.reduce((most, time) => Math.max(most, time), 0),
    wrong: { status, header: 0, bytes: 0, socket: 0 }
  }
}
