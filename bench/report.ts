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
  /** One a group. */
  outcomes: Outcome[]
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

export function figures (outcomes: Outcome[], subject: string, figure: keyof Sample): number[] {
  return outcomes.flatMap(({ samples }) => (samples.get(subject) ?? []).map((sample) => sample[figure]))
}

/** Of a figure, subject over base, in all rounds in which both were measured. */
function over (outcomes: Outcome[], subject: string, base: string, figure: keyof Sample): number[] {
  return outcomes.flatMap((outcome) => ratios(figures([outcome], subject, figure), figures([outcome], base, figure)))
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

function rounds ({ groups, timing: { processes, rounds, seconds } }: Setting): string {
  const each = groups.length > 1 ? ' in each group' : ''
  return `${processes * rounds} rounds of ${seconds} s${each}, ${rounds} with each of ${processes} processes of every subject. Side by side: ${groups.map((group) => group.join(', ')).join('; ')}.`
}

function settingTable ({ setting, outcomes }: Measured): string {
  const isMeasured = (name: string): boolean => figures(outcomes, name, 'requests').length > 0
  const bases = ['fastify-static', 'fastify-304', 'redis-get', 'node-redis-get'].filter(isMeasured)
  const ratioTo = (base: string, name: string): string => {
    if (base === name) return '1'
    const all = over(outcomes, name, base, 'cpuMicros')
    return all.length === 0 ? '' : withRange(range(all))
  }
  const rows = subjects.filter(({ name }) => isMeasured(name)).map(({ name, title }) => {
    const of = (figure: keyof Sample): Range => range(figures(outcomes, name, figure))
    return [
      title,
      withRange(of('cpuMicros')),
      ...bases.map((base) => ratioTo(base, name)),
      of('perSecond').median.toFixed(0),
      of('p50').median.toFixed(2),
      of('p99').median.toFixed(2),
      `${Math.round(of('busy').median * 100)} %`
    ]
  })
  const head = ['', 'CPU µs per request', ...bases.map((base) => `× ${subjectNamed(base).title}`), 'requests/s', 'p50 ms', 'p99 ms', 'core used']
  const refused = outcomes.flatMap(({ refused }) => [...refused].map(([name, reason]) => `- left out: ${subjectNamed(name).title}: ${reason.split('\n')[0]}`))
  return [`## ${setting.title}`, '', rounds(setting), '', table(head, rows), '', ...refused, ''].join('\n')
}

export interface Verdict extends Target {
  ratio: Range
  met: boolean
  /** Of throughput: the subject over the peer beside it. */
  overPeer?: Range
}

export function judge (targets: Target[], measured: Measured[]): Verdict[] {
  return targets.flatMap((target) => {
    const { beside } = target
    const outcomes = (measured.find(({ setting }) => setting.name === target.setting)?.outcomes ?? [])
      .filter(({ samples }) => beside === undefined || samples.has(beside))
    const all = over(outcomes, target.subject, target.against, target.figure)
    if (all.length === 0) return []
    const ratio = range(all)
    const met = target.sense === 'at most' ? ratio.median <= target.limit : ratio.median >= target.limit
    const overPeer = beside === undefined ? [] : over(outcomes, target.subject, beside, target.figure)
    return [{ ...target, ratio, met, ...(overPeer.length > 0 && { overPeer: range(overPeer) }) }]
  })
}

const figureNames: Record<Target['figure'], string> = { cpuMicros: 'CPU', p99: 'p99', perSecond: 'requests/s' }

const besideOf = ({ beside }: Verdict): string => beside === undefined ? '' : `, beside ${subjectNamed(beside).title}`

function verdictTable (all: Verdict[], measured: Measured[]): string {
  const settingTitle = (name: string): string => measured.find(({ setting }) => setting.name === name)?.setting.title ?? name
  return table(['ratio', 'of', 'setting', 'measured', 'limit', 'met', 'over the peer'], all.map((verdict) => [
    `${subjectNamed(verdict.subject).title}, over ${subjectNamed(verdict.against).title}${besideOf(verdict)}`,
    figureNames[verdict.figure],
    settingTitle(verdict.setting),
    withRange(verdict.ratio),
    `${verdict.sense} ${verdict.limit}`,
    verdict.met ? 'yes' : '**no**',
    verdict.overPeer === undefined ? '' : withRange(verdict.overPeer)
  ]))
}

export function markdown (environment: Record<string, string>, measured: Measured[], all: Verdict[]): string {
  return [
    '# What a request costs',
    '',
    'Server CPU (user and system, as the operating system counts it for the server\'s process) per request, medians of all rounds with their ranges in brackets.',
    'A ratio is taken within each round, in which the subjects of a group are measured one after the other, in turn from the first and from the last; figures of different groups are from different minutes. Every counted answer was compared with the bytes, the status and the `X-API-Cache` it had to have; a HIT that ran its handler fails the bench.',
    'A window counts if the machine was quiet: a fixed program, which runs for a moment every 20 ms beside the server, took at most a tenth more CPU than in the quietest window. Busier windows were measured again.',
    'Where well under 100 % of the core was used, the load was the limit, and the figures of that row say less.',
    'Written by `npm run bench`.',
    '',
    table(Object.keys(environment), [Object.values(environment)]),
    '',
    ...measured.map(settingTable),
    ...(all.length > 0 ? ['## Against the targets', '', 'Throughput is compared with that of a ready Buffer, in the rounds beside each peer; the last column is the plugin over that peer.', '', verdictTable(all, measured), ''] : [])
  ].join('\n')
}

/**
 * A HIT's cost over that of a ready Buffer, where there is one beside it: what was measured in
 * different minutes is compared by its ratio only.
 */
export function plot ({ setting, outcomes }: Measured): string | undefined {
  const ready = setting.revalidates === true ? 'fastify-304' : 'fastify-static'
  const rows = subjects
    .filter(({ header, answeredBy }) => answeredBy === 'cache' || header === undefined)
    .flatMap(({ name, title, group }) => {
      const all = over(outcomes, name, ready, 'cpuMicros')
      if (all.length === 0) return []
      const { median, low, high } = range(all)
      return [{ label: title, group, value: median, low, high }]
    })
    .sort((a, b) => a.value - b.value)
  if (rows.length === 0) return undefined
  return bars(`A HIT's cost: ${setting.title}`, `server CPU per request, ${subjectNamed(ready).title} = 1, less is better`, rows)
}
