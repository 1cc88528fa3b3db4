import { parseArgs } from 'node:util'
import { loadCore, moveToCore } from './cores.js'
import { casesAt, dimensions, type Dimension } from './dimensions.js'
import { measureInterleaved, type Conditions, type Outcome } from './measure.js'
import { memorySizes, processMemory, redisMemory, type EntryMemory } from './memory.js'
import { lastingLine, progress } from './progress.js'
import { publish, published } from './publish.js'
import { Quiet } from './quiet.js'
import { startBenchRedis, type BenchRedis } from './redis.js'
import { environment, figures, table } from './report.js'
import { range } from './statistics.js'
import { subjectNamed } from './subjects/index.js'
import { curves } from './svg.js'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    out: { type: 'string', default: published }
  }
})
const only = values.only?.split(',')
const timing = { processes: 1, rounds: Number(values.rounds), seconds: 1, warmup: 2 }
/** What the run writes, by name of the file. */
const files: Record<string, string> = {}
const shortNames: Record<string, string> = { 'redis-get': 'plain getBuffer', 'fastify-static': 'ready Buffer', redis: 'Redis', strict: 'local, strict', tracked: 'local, tracked', memory: 'memory store' }

/** The first and the last value show whether anything grows. */
function few<Value> (all: Value[]): Value[] {
  return values.quick ? all.filter((_, index) => index === 0 || index === all.length - 1) : all
}

async function grow (dimension: Dimension, conditions: Conditions): Promise<string> {
  const outcomes = new Map<number, Outcome>()
  for (const value of few(dimension.values)) {
    outcomes.set(value, await measureInterleaved(`${dimension.title} ${value}`, casesAt(dimension, value), conditions))
  }
  const costs = (name: string): Array<number | undefined> => [...outcomes.values()].map((outcome) => {
    const cpu = figures([outcome], name, 'cpuMicros')
    return cpu.length === 0 ? undefined : range(cpu).median
  })
  const measured = dimension.subjects.filter((name) => costs(name).some((cost) => cost !== undefined))
  const series = measured.map((name) => ({ name: shortNames[name] ?? name, values: costs(name) }))
  const title = `CPU per HIT by ${dimension.title}`
  files[`growth-${dimension.name}.svg`] = curves(
    title,
    { x: dimension.axis, y: 'µs per request', logarithmic: { x: dimension.logarithmic, y: dimension.name === 'body' } },
    [...outcomes.keys()],
    series
  )
  const rows = measured.map((name) => [subjectNamed(name).title, ...costs(name).map((cost) => cost?.toFixed(1) ?? '')])
  return [`## ${title}`, '', `![${title}](growth-${dimension.name}.svg)`, '', table([dimension.axis, ...[...outcomes.keys()].map(String)], rows), ''].join('\n')
}

async function memory (redis: BenchRedis): Promise<string> {
  const measured: EntryMemory[] = []
  for (const bodyBytes of few(memorySizes)) {
    progress(`memory of entries with ${bodyBytes} bytes`)
    const entry = await redisMemory(bodyBytes, redis)
    for (const name of ['tracked', 'memory'] as const) {
      try {
        entry[name] = await processMemory(name, bodyBytes, redis)
      } catch (error) {
        lastingLine(`memory: ${name} is left out: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    measured.push(entry)
  }
  const sizes = measured.map(({ bodyBytes }) => bodyBytes)
  const title = 'Memory per entry'
  files['growth-memory.svg'] = curves(title, { x: 'body in bytes', y: 'bytes per entry', logarithmic: { x: true, y: true } }, sizes, [
    { name: 'in Redis, all told', values: measured.map(({ redisShare }) => redisShare) },
    { name: 'in the local tier', values: measured.map(({ tracked }) => tracked) },
    { name: 'in the memory store', values: measured.map(({ memory }) => memory) },
    { name: 'the body alone', values: sizes }
  ])
  const row = (name: string, read: (entry: EntryMemory) => number | undefined): string[] =>
    [name, ...measured.map((entry) => read(entry)?.toFixed(0) ?? '')]
  return [`## ${title}`, '', `![${title}](growth-memory.svg)`, '', table(['body in bytes', ...sizes.map(String)], [
    row('in Redis, MEMORY USAGE of an entry', ({ redisEntry }) => redisEntry),
    row('in Redis, growth of used_memory per entry', ({ redisShare }) => redisShare),
    row('in the local tier, growth of the process per entry', ({ tracked }) => tracked),
    row('in the memory store, growth of the process per entry', ({ memory }) => memory)
  ]), ''].join('\n')
}

async function main (): Promise<void> {
  moveToCore(loadCore, process.pid)
  const redis = await startBenchRedis()
  const quiet = await Quiet.start()
  const sections: string[] = []
  for (const dimension of dimensions) {
    if (only !== undefined && !only.includes(dimension.name)) continue
    sections.push(await grow(dimension, { redis, quiet, timing }))
  }
  if (only === undefined || only.includes('memory')) sections.push(await memory(redis))
  quiet.stop()
  await redis.stop()
  const facts = { ...environment(redis.version), ...quiet.facts }
  const text = [
    '# What grows with what',
    '',
    `Server CPU per HIT in µs, medians of ${timing.rounds} ${timing.rounds === 1 ? 'round' : 'rounds'} of ${timing.seconds} s. Where nothing else is said: bodies of 1 KB, 50 connections, 1 key. Values are from different minutes: lines that rise together at one value and fall again behind it tell of the machine rather than of the value. Written by \`npm run bench:growth\`.`,
    '',
    table(Object.keys(facts), [Object.values(facts)]),
    '',
    ...sections
  ].join('\n')
  publish({ ...files, 'growth.md': text }, values.out, quiet)
  lastingLine('')
  console.log(text)
  process.exit(0)
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
