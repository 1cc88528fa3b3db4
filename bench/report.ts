import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { pinning } from './cores.js'
import { loadGenerator } from './load.js'
import type { Setting, Target } from './matrix.js'
import type { Outcome, Sample } from './measure.js'
import { project } from './paths.js'
import { range, ratios, type Range } from './statistics.js'
import { subjectNamed, subjects } from './subjects/index.js'
import { bars } from './svg.js'

export interface Measured {
  setting: Setting
  outcome: Outcome
}

function versionOf (folder: string): string {
  const { version } = JSON.parse(readFileSync(join(project, folder, 'package.json'), 'utf8')) as { version: string }
  return version
}

export function environment (redisVersion: string): Record<string, string> {
  return {
    'fastify-api-cache': versionOf('.'),
    date: new Date().toISOString().slice(0, 10),
    processor: `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    placement: pinning,
    node: process.version,
    redis: redisVersion,
    fastify: versionOf('node_modules/fastify'),
    load: loadGenerator
  }
}

export function figures (outcome: Outcome, subject: string, figure: keyof Sample): number[] {
  return (outcome.samples.get(subject) ?? []).map((sample) => sample[figure])
}

function digits (value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

function withRange ({ median, low, high }: Range): string {
  return `${digits(median)} (${digits(low)} to ${digits(high)})`
}

export function table (head: string[], rows: string[][]): string {
  const right = head.map((_, index) => index === 0 ? '---' : '---:')
  return [head, right, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function rounds ({ timing: { processes, rounds, seconds } }: Setting): string {
  return `${processes * rounds} rounds of ${seconds} s, ${rounds} with each of ${processes} processes of every subject.`
}

function settingTable ({ setting, outcome }: Measured): string {
  const bases = ['fastify-static', 'redis-get'].filter((base) => outcome.samples.has(base))
  const measured = subjects.filter(({ name }) => outcome.samples.has(name))
  const rows = measured.map(({ name, title }) => [
    title,
    withRange(range(figures(outcome, name, 'cpuMicros'))),
    ...bases.map((base) => base === name ? '1' : withRange(ratios(figures(outcome, name, 'cpuMicros'), figures(outcome, base, 'cpuMicros')))),
    range(figures(outcome, name, 'perSecond')).median.toFixed(0),
    range(figures(outcome, name, 'p50')).median.toFixed(2),
    range(figures(outcome, name, 'p99')).median.toFixed(2),
    `${Math.round(range(figures(outcome, name, 'busy')).median * 100)} %`
  ])
  const head = ['', 'CPU µs per request', ...bases.map((base) => `× ${subjectNamed(base).title}`), 'requests/s', 'p50 ms', 'p99 ms', 'core used']
  const refused = [...outcome.refused].map(([name, reason]) => `- left out: ${subjectNamed(name).title}: ${reason.split('\n')[0]}`)
  return [`## ${setting.title}`, '', rounds(setting), '', table(head, rows), '', ...refused, ''].join('\n')
}

export interface Verdict extends Target {
  ratio: Range
  met: boolean
  /** Of throughput: what Fastify reaches that sends a Buffer it has ready, over the same. */
  ready?: Range
}

export function verdicts (targets: Target[], measured: Measured[]): Verdict[] {
  return targets.flatMap((target) => {
    const outcome = measured.find(({ setting }) => setting.name === target.setting)?.outcome
    if (!outcome?.samples.has(target.subject) || !outcome.samples.has(target.against)) return []
    const over = (subject: string): Range => ratios(figures(outcome, subject, target.figure), figures(outcome, target.against, target.figure))
    const ratio = over(target.subject)
    const met = target.sense === 'at most' ? ratio.median <= target.limit : ratio.median >= target.limit
    return [{ ...target, ratio, met, ...(target.figure === 'perSecond' && outcome.samples.has('fastify-static') && { ready: over('fastify-static') }) }]
  })
}

const figureNames: Record<Target['figure'], string> = { cpuMicros: 'CPU', p99: 'p99', perSecond: 'requests/s' }

function verdictTable (all: Verdict[], measured: Measured[]): string {
  const settingTitle = (name: string): string => measured.find(({ setting }) => setting.name === name)?.setting.title ?? name
  return table(['ratio', 'of', 'setting', 'measured', 'limit', 'met', 'a ready Buffer'], all.map((verdict) => [
    `${subjectNamed(verdict.subject).title}, over ${subjectNamed(verdict.against).title}`,
    figureNames[verdict.figure],
    settingTitle(verdict.setting),
    withRange(verdict.ratio),
    `${verdict.sense} ${verdict.limit}`,
    verdict.met ? 'yes' : '**no**',
    verdict.ready === undefined ? '' : withRange(verdict.ready)
  ]))
}

export function markdown (environment: Record<string, string>, measured: Measured[], all: Verdict[]): string {
  return [
    '# What a request costs',
    '',
    'Server CPU (user and system, as the operating system counts it for the server\'s process) per request, medians of all rounds with their ranges in brackets.',
    'A ratio is taken within each round, in which the subjects are measured one after the other, in turn from the first and from the last. Every counted answer was compared with the bytes, the status and the `X-API-Cache` it had to have; a HIT that ran its handler fails the bench.',
    'Where well under 100 % of the core was used, the load was the limit, and the figures of that row say less.',
    'Written by `npm run bench`.',
    '',
    table(Object.keys(environment), [Object.values(environment)]),
    '',
    ...measured.map(settingTable),
    ...(all.length > 0 ? ['## Against the targets', '', 'The last column is what Fastify itself reaches over the same, sending a Buffer that it has ready: a limit above it asks for more than that.', '', verdictTable(all, measured), ''] : [])
  ].join('\n')
}

export function plot ({ setting, outcome }: Measured): string {
  const rows = subjects
    .filter(({ name, header, answeredBy }) => outcome.samples.has(name) && (answeredBy === 'cache' || header === undefined))
    .map(({ name, title, group }) => {
      const { median, low, high } = range(figures(outcome, name, 'cpuMicros'))
      return { label: title, group, value: median, low, high }
    })
    .sort((a, b) => a.value - b.value)
  return bars(`A HIT's cost: ${setting.title}`, 'server CPU per request in µs, less is better', rows)
}
