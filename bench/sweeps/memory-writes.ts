import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as rest } from 'node:timers/promises'
import Fastify from 'fastify'
import apiCache, { oneDay } from '../../index.js'
import { progress } from '../progress.js'
import { table } from '../report.js'
import { quantile } from '../statistics.js'
import { unbounded } from '../subjects/plugin.js'
import type { ItemRoute } from '../subjects/subject.js'
import type { Conditions, Part } from './part.js'

const namespaces = 1000
/** Milliseconds about as long as a sweep. */
const REST = 10
/** Milliseconds that a write may take. */
const limit = 0.1

/** A write in the memory store, with many entries and with none. */
export async function memoryWrites ({ quick }: Conditions): Promise<Part> {
  const entries = quick ? 20_000 : 200_000
  const none = await writesBeside(0)
  const many = await writesBeside(entries)
  const row = (name: string, all: number[]): string[] =>
    [name, ...[quantile(all, 0.5), quantile(all, 0.99), Math.max(...all)].map((ms) => ms.toFixed(3))]
  return {
    title: 'A write in the memory store',
    text: [
      `${namespaces} namespaces, each invalidated once: half of them one right after another, half of them after the sweep of the one before, in which the processor rests. Milliseconds; at most ${limit} are promised for a write. With ${entries} entries the event loop was delayed by at most ${many.delay.toFixed(1)} ms.`,
      '',
      table(['', 'p50', 'p99', 'longest'], [
        row('a write right after another, no entries', none.writes),
        row(`the same with ${entries} entries`, many.writes),
        row('a write after a rest, no entries', none.rested),
        row(`the same with ${entries} entries`, many.rested),
        row(`until one of ${entries / namespaces} entries is swept`, many.sweeps)
      ])
    ].join('\n'),
    data: { entries, namespaces, none, many }
  }
}

interface Times {
  readonly writes: number[]
  readonly rested: number[]
  readonly sweeps: number[]
  /** The longest delay of the event loop. */
  readonly delay: number
}

async function writesBeside (entries: number): Promise<Times> {
  const app = Fastify()
  await app.register(apiCache, { store: 'memory', memory: unbounded })
  const namespace = (id: number): string => `items-${id % namespaces}`
  app.get<ItemRoute>('/items/:id', {
    config: { cache: oneDay({ namespace: (request) => namespace(Number((request.params as ItemRoute['Params']).id)) }) }
  }, async ({ params }) => ({ id: params.id }))
  if (entries > 0) progress(`filling ${entries} entries of the memory store`)
  for (let id = 0; id < entries; id++) await app.inject(`/items/${id}`)
  await app.apiCache.settled()

  const [writes, rested, sweeps]: [number[], number[], number[]] = [[], [], []]
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  for (let id = 0; id < namespaces / 2; id++) {
    const began = performance.now()
    const { swept } = await app.apiCache.invalidate(namespace(id))
    rested.push(performance.now() - began)
    if (await swept !== entries / namespaces) throw new Error(`${await swept} entries of a namespace were swept`)
    sweeps.push(performance.now() - began)
    if (entries === 0) await rest(REST)
  }
  const sweeping: Array<Promise<number>> = []
  for (let id = namespaces / 2; id < namespaces; id++) {
    const began = performance.now()
    const { swept } = await app.apiCache.invalidate(namespace(id))
    writes.push(performance.now() - began)
    sweeping.push(swept)
  }
  const swept = (await Promise.all(sweeping)).reduce((sum, number) => sum + number, 0)
  if (swept !== entries / 2) throw new Error(`${swept} entries of half of the namespaces were swept`)
  delay.disable()
  await app.close()
  return { writes, rested, sweeps, delay: delay.max / 1e6 }
}
