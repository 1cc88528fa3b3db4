import type { Timing } from './measure.js'

export interface Setting {
  name: string
  title: string
  bodyBytes: number
  keys: number
  connections: number
  subjects: string[]
  timing: Timing
  /** Whether its HITs are drawn. */
  drawn: boolean
}

const limits = ['fastify-static', 'redis-get']
const tiers = ['memory', 'tracked', 'strict', 'redis']
const peers = ['fastify-caching', 'async-cache-dedupe', 'bentocache', 'bentocache-tiered', 'nest', 'apicache']
const everything = [...limits, ...tiers, ...peers, 'node-http', 'uncached', 'uncached-set', 'miss']
const beside = ['no-plugin', 'no-policy']

const small = { title: '1 KB, 50 connections, 1 key', bodyBytes: 1024, keys: 1, connections: 50 }
const large = { title: '64 KB, 50 connections, 1 key', bodyBytes: 64 * 1024, keys: 1, connections: 50 }
const manyKeys = { title: '1 KB, 50 connections, 10,000 keys', bodyBytes: 1024, keys: 10_000, connections: 50 }
const unused = { title: '1 KB, 50 connections, a route without a policy', bodyBytes: 1024, keys: 1, connections: 50 }
const manyConnections = { title: '1 KB, 500 connections, 1 key', bodyBytes: 1024, keys: 1, connections: 500 }

const timing: Timing = { processes: 3, rounds: 5, seconds: 1, warmup: 3 }
const fewer: Timing = { ...timing, processes: 2 }
/** To tell 2 % apart takes more windows than to tell 20 %. */
const more: Timing = { ...timing, processes: 5, rounds: 12 }
const quick: Timing = { processes: 1, rounds: 3, seconds: 1, warmup: 2 }

export const fullMatrix: Setting[] = [
  { name: '1kb', ...small, subjects: everything, timing, drawn: true },
  { name: 'no-policy', ...unused, subjects: beside, timing: more, drawn: false },
  { name: '64kb', ...large, subjects: [...limits, ...tiers, ...peers], timing: fewer, drawn: true },
  { name: '1kb-10000-keys', ...manyKeys, subjects: [...limits, ...tiers, ...peers], timing: fewer, drawn: true },
  { name: '1kb-500-connections', ...manyConnections, subjects: [...limits, ...tiers], timing: fewer, drawn: true }
]

export const quickMatrix: Setting[] = [
  { name: '1kb', ...small, subjects: everything, timing: quick, drawn: true },
  { name: 'no-policy', ...unused, subjects: beside, timing: quick, drawn: false },
  { name: '64kb', ...large, subjects: [...limits, ...tiers], timing: quick, drawn: true }
]

/** What the plugin promises, each a ratio within one round. */
export interface Target {
  setting: string
  subject: string
  against: string
  figure: 'cpuMicros' | 'p99' | 'perSecond'
  limit: number
  /** Of `perSecond` more is better. */
  sense: 'at most' | 'at least'
}

function cost (setting: string, subject: string, against: string, limit: number): Target {
  return { setting, subject, against, figure: 'cpuMicros', limit, sense: 'at most' }
}

/** With one key a peer that joins concurrent reads of it has hardly any left; with many keys each answer costs it one. */
function throughput (subject: string, limit: number): Target[] {
  return peers.flatMap((against) => ['1kb', '1kb-10000-keys'].map((setting): Target => (
    { setting, subject, against, figure: 'perSecond', limit, sense: 'at least' }
  )))
}

export const targets: Target[] = [
  cost('1kb', 'redis', 'redis-get', 0.95),
  { ...cost('1kb', 'redis', 'redis-get', 1), figure: 'p99' },
  cost('64kb', 'redis', 'redis-get', 1.05),
  cost('1kb', 'strict', 'fastify-static', 1.20),
  cost('1kb', 'tracked', 'fastify-static', 1.15),
  cost('1kb', 'memory', 'fastify-static', 1.15),
  cost('64kb', 'strict', 'fastify-static', 1.20),
  cost('64kb', 'tracked', 'fastify-static', 1.20),
  cost('no-policy', 'no-policy', 'no-plugin', 1.02),
  cost('1kb', 'miss', 'uncached-set', 1.25),
  ...throughput('redis', 1.5),
  ...throughput('strict', 2),
  ...throughput('tracked', 2)
]
