import { parseArgs } from 'node:util'
import { loadCore, moveToCore } from './cores.js'
import { lastingLine } from './progress.js'
import { publish, published } from './publish.js'
import { Quiet } from './quiet.js'
import { startBenchRedis } from './redis.js'
import { environment, table } from './report.js'
import { besideHits } from './sweeps/beside-hits.js'
import { manyNamespaces } from './sweeps/many-namespaces.js'
import { memoryWrites } from './sweeps/memory-writes.js'
import type { Part } from './sweeps/part.js'
import { redisTime } from './sweeps/redis-time.js'

const all = { hits: besideHits, redis: redisTime, namespaces: manyNamespaces, memory: memoryWrites }
type Name = keyof typeof all

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string' },
    out: { type: 'string', default: published }
  }
})
const chosen = (values.only?.split(',') ?? Object.keys(all)) as Name[]
const unknown = chosen.find((name) => all[name] === undefined)

async function main (): Promise<void> {
  if (unknown !== undefined) throw new Error(`--only takes some of ${Object.keys(all).join(',')}, not ${unknown}`)
  moveToCore(loadCore, process.pid)
  const bench = await startBenchRedis()
  const quiet = await Quiet.start()
  await quiet.sample()
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 12))
  const parts: Part[] = []
  for (const name of chosen) {
    parts.push(await all[name]({ bench, quick: values.quick, rounds }))
    await quiet.sample()
  }
  quiet.stop()
  await bench.stop()

  const facts = { ...environment(bench.version), ...quiet.facts }
  const text = [
    '# What sweeps and writes cost others',
    '',
    'Written by `npm run bench:sweep`.',
    '',
    table(Object.keys(facts), [Object.values(facts)]),
    '',
    ...parts.flatMap(({ title, text }) => [`## ${title}`, '', text, ''])
  ].join('\n')
  const data = Object.fromEntries(parts.map(({ title, data }) => [title, data]))
  publish({ 'sweep.md': text, 'sweep.json': JSON.stringify({ environment: facts, ...data }, null, 2) + '\n' }, values.out, quiet)
  lastingLine('')
  console.log(text)
  process.exit(0)
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
