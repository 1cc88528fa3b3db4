import type { Timing } from './measure.js'
import { peersBeside } from './subjects/coded.js'
import { nginxFound } from './subjects/nginx.js'

export interface Setting {
  name: string
  title: string
  bodyBytes: number
  keys: number
  connections: number
  revalidates?: true
  http2?: true
  /**
   * Names of subjects, those of a group measured side by side. Few at a time: with sixteen servers
   * running, and longer between two windows of each, ratios scattered more.
   */
  groups: string[][]
  timing: Timing
}

const tiers = ['fastify-static', 'memory', 'tracked', 'strict', 'redis', 'redis-get']
/** Each client beside what a handler of its own would do with it. */
const clients = ['redis', 'redis-get', 'node-redis', 'node-redis-get']
const fills = ['node-http', 'fastify-static', 'uncached', 'uncached-set', 'miss']
const revalidated = ['fastify-304', 'memory', 'tracked', 'strict', 'redis']
const overHttp2 = ['fastify-static', 'memory', 'tracked', 'strict', 'redis']
/** For a client that accepts a coding, each beside the same for one that accepts none. */
const coded = [
  ['fastify-static', 'ready-br', 'memory', 'memory-br', 'memory-beside'],
  ['fastify-static', 'tracked', 'tracked-br', 'strict', 'strict-br'],
  ['fastify-static', 'redis', 'redis-br', 'redis-stored-br', 'redis-beside', 'redis-get'],
  ['fastify-static', 'redis-br', ...nginxFound ? ['nginx-gzip'] : [], ...peersBeside.map(({ name }) => name)]
]
const unused = ['no-plugin', 'no-policy']
const peers = ['fastify-caching', 'async-cache-dedupe', 'bentocache', 'bentocache-tiered', 'nest', 'apicache']

/** Two peers a group, with those that are compared with each. */
function besidePeers (...compared: string[]): string[][] {
  return [0, 2, 4].map((first) => [...compared, ...peers.slice(first, first + 2)])
}

const small = { title: '1 KB, 50 connections, 1 key', bodyBytes: 1024, keys: 1, connections: 50 }
const noPolicy = { ...small, title: '1 KB, 50 connections, a route without a policy' }
const large = { ...small, title: '64 KB, 50 connections, 1 key', bodyBytes: 64 * 1024 }
const largeCoded = { ...large, title: '64 KB, 50 connections, 1 key, with and without br' }
const manyKeys = { ...small, title: '1 KB, 50 connections, 10,000 keys', keys: 10_000 }
const notModified = { ...small, title: '304 Not Modified, 50 connections, 1 key', revalidates: true as const }
const http2 = { ...small, title: 'HTTP/2, 1 KB, 5 connections with 10 streams each, 1 key', http2: true as const }
const manyConnections = { ...small, title: '1 KB, 500 connections, 1 key', connections: 500 }

const timing: Timing = { processes: 2, rounds: 6, seconds: 0.5, warmup: 2 }
const fewer: Timing = { ...timing, rounds: 5 }
/** To tell 2 % apart takes more windows than to tell 20 %. */
const more: Timing = { ...timing, processes: 5, rounds: 8 }
const quick: Timing = { ...timing, processes: 1, rounds: 3 }

const besideTiers = besidePeers('fastify-static', 'tracked', 'strict', 'redis')

export const fullMatrix: Setting[] = [
  { name: '1kb', ...small, groups: [tiers, clients, fills, ...besideTiers], timing },
  { name: 'no-policy', ...noPolicy, groups: [unused], timing: more },
  { name: '64kb', ...large, groups: [tiers, clients, ...besidePeers('fastify-static', 'redis')], timing: fewer },
  { name: '64kb-br', ...largeCoded, groups: coded, timing: fewer },
  { name: '1kb-10000-keys', ...manyKeys, groups: [tiers, ...besideTiers], timing: fewer },
  { name: '304', ...notModified, groups: [revalidated], timing: fewer },
  { name: 'http2', ...http2, groups: [overHttp2], timing: fewer },
  { name: '1kb-500-connections', ...manyConnections, groups: [tiers], timing: fewer }
]

export const quickMatrix: Setting[] = [
  { name: '1kb', ...small, groups: [tiers, clients, fills, ...besideTiers], timing: quick },
  { name: 'no-policy', ...noPolicy, groups: [unused], timing: quick },
  { name: '304', ...notModified, groups: [revalidated], timing: quick },
  { name: 'http2', ...http2, groups: [overHttp2], timing: quick },
  { name: '64kb', ...large, groups: [tiers, clients], timing: quick },
  { name: '64kb-br', ...largeCoded, groups: coded, timing: quick }
]

/** What the plugin promises, each a ratio within one round. */
export interface Target {
  setting: string
  subject: string
  against: string
  /** Only rounds in which this peer was measured, too: it says what the throughput of each group is worth. */
  beside?: string
  figure: 'cpuMicros' | 'p99' | 'perSecond'
  limit: number
  /** Of `perSecond` more is better. */
  sense: 'at most' | 'at least'
}

function cost (setting: string, subject: string, against: string, limit: number): Target {
  return { setting, subject, against, figure: 'cpuMicros', limit, sense: 'at most' }
}

/** Relative to a ready Buffer sent by Fastify: how far ahead of a peer that is, no plugin of Fastify can exceed. */
function throughput (subject: string, limit: number): Target[] {
  return peers.flatMap((beside) => ['1kb', '1kb-10000-keys'].map((setting): Target => (
    { setting, subject, against: 'fastify-static', beside, figure: 'perSecond', limit, sense: 'at least' }
  )))
}

export const targets: Target[] = [
  cost('1kb', 'memory', 'fastify-static', 1),
  cost('1kb', 'tracked', 'fastify-static', 1.02),
  cost('1kb', 'strict', 'fastify-static', 1.15),
  cost('1kb', 'redis', 'fastify-static', 1.20),
  cost('64kb', 'memory', 'fastify-static', 1.02),
  cost('64kb', 'tracked', 'fastify-static', 1.05),
  cost('64kb', 'strict', 'fastify-static', 1.20),
  cost('1kb', 'redis', 'redis-get', 0.80),
  { ...cost('1kb', 'redis', 'redis-get', 1), figure: 'p99' },
  cost('64kb', 'redis', 'redis-get', 0.50),
  cost('1kb', 'node-redis', 'node-redis-get', 1),
  cost('64kb-br', 'memory-br', 'memory', 0.95),
  cost('64kb-br', 'tracked-br', 'tracked', 1.10),
  cost('64kb-br', 'strict-br', 'strict', 1.10),
  cost('64kb-br', 'redis-br', 'redis', 1.10),
  cost('64kb-br', 'memory-br', 'memory-beside', 0.10),
  cost('64kb-br', 'redis-br', 'redis-beside', 0.10),
  cost('64kb-br', 'redis-stored-br', 'redis-get', 0.40),
  cost('1kb-10000-keys', 'redis', 'redis-get', 0.85),
  cost('1kb', 'miss', 'uncached-set', 1.15),
  cost('no-policy', 'no-policy', 'no-plugin', 1.02),
  ...throughput('redis', 0.85)
]
