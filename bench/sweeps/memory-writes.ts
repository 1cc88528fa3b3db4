import { monitorEventLoopDelay } from 'node:perf_hooks'
import Fastify from 'fastify'
import apiCache, { oneDay } from '../../index.js'
import { progress } from '../progress.js'
import { table } from '../report.js'
import { quantile } from '../statistics.js'
import { unbounded } from '../subjects/plugin.js'
import type { ItemRoute } from '../subjects/subject.js'
import type { Conditions, Part } from './part.js'

const namespaces = 1000
/** Milliseconds that a write may take. */
const limit = 0.1

/** A write in the memory store, with many entries of other namespaces. */
export async function memoryWrites ({ quick }: Conditions): Promise<Part> {
  const entries = quick ? 20_000 : 200_000
  const app = Fastify()
  await app.register(apiCache, { store: 'memory', memory: unbounded })
  const namespace = (id: number): string => `items-${id % namespaces}`
  app.get<ItemRoute>('/items/:id', {
    config: { cache: oneDay({ namespace: (request) => namespace(Number((request.params as ItemRoute['Params']).id)) }) }
  }, async ({ params }) => ({ id: params.id }))
  progress(`filling ${entries} entries of the memory store`)
  for (let id = 0; id < entries; id++) await app.inject(`/items/${id}`)
  await app.apiCache.settled()

  const writes: number[] = []
  const sweeps: number[] = []
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  for (let id = 0; id < namespaces; id++) {
    const began = performance.now()
    const { swept } = await app.apiCache.invalidate(namespace(id))
    writes.push(performance.now() - began)
    if (await swept !== entries / namespaces) throw new Error(`${await swept} entries of a namespace were swept`)
    sweeps.push(performance.now() - began)
  }
  delay.disable()
  await app.close()
  const row = (name: string, all: number[]): string[] =>
    [name, ...[quantile(all, 0.5), quantile(all, 0.99), Math.max(...all)].map((ms) => ms.toFixed(3))]
  return {
    title: 'A write in the memory store',
    text: [
      `${entries} entries in ${namespaces} namespaces, each invalidated once; milliseconds. At most ${limit} are promised for a write. The event loop was delayed by at most ${(delay.max / 1e6).toFixed(1)} ms.`,
      '',
      table(['', 'p50', 'p99', 'longest'], [row('a write', writes), row('until its namespace is swept', sweeps)])
    ].join('\n'),
    data: { entries, namespaces, writes, sweeps, delay: delay.max / 1e6 }
  }
}
