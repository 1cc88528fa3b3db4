import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import apiCache, { oneDay } from '../index.js'
import { item } from './payload.js'
import { lastingLine, progress } from './progress.js'

/** What it does to a server to encode many bodies for good, after a flood of fills. */
const answers = Number(process.argv[2] ?? 1_000)
const bodyBytes = 64 * 1024
const resolution = 1

async function main (): Promise<void> {
  const app = Fastify()
  await app.register(apiCache, { store: 'memory', memory: { maxBytes: 2 ** 30, maxEntries: 100_000 }, compress: ['br'] })
  app.get<{ Params: { id: string } }>('/items/:id', { config: { cache: oneDay({ namespace: 'items' }) } }, async (request) =>
    item(Number(request.params.id), bodyBytes))
  await app.ready()

  const ask = async (id: number): Promise<number> => {
    const { rawPayload } = await app.inject({ url: `/items/${id}`, headers: { 'accept-encoding': 'br' } })
    return rawPayload.length
  }
  const sizes = new Map<number, number>()
  for (let id = 0; id < answers; id++) sizes.set(id, await ask(id))
  progress('filled')

  // The same without anything to encode, for what the machine itself takes.
  const idle = monitorEventLoopDelay({ resolution })
  idle.enable()
  for (let id = 0; id < answers; id++) {
    await app.inject(`/items/${id}`)
    await sleep(1)
  }
  idle.disable()

  const delays = monitorEventLoopDelay({ resolution })
  const before = process.memoryUsage()
  let [most, kept] = [0, 0]
  delays.enable()
  const began = performance.now()
  // Visitors ask now and then, as they do while bodies wait.
  while (kept < answers) {
    kept = 0
    for (let id = 0; id < answers; id++) {
      if (await ask(id) < sizes.get(id)!) kept++
      most = Math.max(most, process.memoryUsage().rss)
      await sleep(1)
    }
    progress(`${kept} of ${answers} are kept encoded`)
  }
  delays.disable()
  await app.close()

  // The histogram holds intervals between timers, which are due every `resolution` milliseconds.
  const late = (percentile: number, of = delays): string => `${Math.max(0, of.percentile(percentile) / 1e6 - resolution).toFixed(1)} ms`
  lastingLine(`${answers} answers of 64 KB, brotli, in ${((performance.now() - began) / 1_000).toFixed(1)} s`)
  lastingLine(`event-loop delay: p50 ${late(50)}, p99 ${late(99)}, longest ${late(100)}; without encoding p50 ${late(50, idle)}, p99 ${late(99, idle)}`)
  lastingLine(`resident memory: ${Math.round((most - before.rss) / 2 ** 20)} MiB more than before, at most`)
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
