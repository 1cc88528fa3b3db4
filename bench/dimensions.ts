import type { Case } from './measure.js'
import { subjectNamed } from './subjects/index.js'

/** One thing that grows while the rest stays. */
export interface Dimension {
  name: string
  title: string
  axis: string
  values: number[]
  logarithmic: boolean
  subjects: string[]
  /** What is measured at one value. */
  at: (value: number) => Omit<Case, 'subject'>
}

const usual = { scenario: { bodyBytes: 1024 }, keys: 1, connections: 50 }
const tiers = ['redis', 'strict', 'tracked', 'memory']

export const dimensions: Dimension[] = [
  {
    name: 'body',
    title: 'body size',
    axis: 'body in bytes',
    values: [256, 1024, 4096, 16_384, 65_536, 262_144, 1_000_000],
    logarithmic: true,
    subjects: ['redis-get', 'fastify-static', ...tiers],
    at: (bodyBytes) => ({ ...usual, scenario: { bodyBytes } })
  },
  {
    name: 'keys',
    title: 'number of keys',
    axis: 'keys',
    values: [1, 10, 100, 1000, 10_000, 100_000],
    logarithmic: true,
    subjects: ['redis-get', 'fastify-static', ...tiers],
    at: (keys) => ({ ...usual, keys })
  },
  {
    name: 'namespaces',
    title: 'number of namespaces',
    axis: 'namespaces over 10,000 keys',
    values: [1, 10, 100, 1000, 10_000],
    logarithmic: true,
    subjects: tiers,
    at: (namespaces) => ({ ...usual, scenario: { ...usual.scenario, namespaces }, keys: 10_000 })
  },
  {
    name: 'tags',
    title: 'number of tags on an entry',
    axis: 'tags per entry',
    values: [0, 1, 2, 4, 8, 16],
    logarithmic: false,
    subjects: tiers,
    at: (tags) => ({ ...usual, scenario: { ...usual.scenario, tags } })
  },
  {
    name: 'connections',
    title: 'number of connections',
    axis: 'connections',
    values: [1, 10, 50, 100, 250, 500, 1000],
    logarithmic: true,
    subjects: ['redis-get', 'fastify-static', ...tiers],
    at: (connections) => ({ ...usual, connections })
  }
]

export function casesAt (dimension: Dimension, value: number): Case[] {
  return dimension.subjects.map((name) => ({ subject: subjectNamed(name), ...dimension.at(value) }))
}
