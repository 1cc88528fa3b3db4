import { serve, strict, tracked, unbounded, type Coded, type Tier } from './plugin.js'
import type { Subject } from './subject.js'

const memory: Tier = { store: 'memory', memory: unbounded }

function hits (name: string, title: string, tier: Tier, coded: Coded): Subject {
  return {
    name,
    title: `fastify-api-cache, ${title}, for a client that accepts br`,
    group: 'plugin',
    answeredBy: 'cache',
    accepts: 'br',
    header: 'HIT',
    start: (scenario, counters) => serve(tier, scenario, counters, coded)
  }
}

export const codedSubjects: Subject[] = [
  hits('memory-br', 'memory store with `compress`', memory, { compress: true }),
  hits('tracked-br', 'tracked local tier with `compress`', tracked, { compress: true }),
  hits('strict-br', 'strict local tier with `compress`', strict, { compress: true }),
  hits('redis-br', 'Redis with `compress`', {}, { compress: true }),
  hits('redis-stored-br', 'Redis with `storeCompressed`', {}, { compress: true, storeCompressed: true }),
  hits('memory-beside', 'memory store beside @fastify/compress', memory, { beside: true }),
  hits('redis-beside', 'Redis beside @fastify/compress', {}, { beside: true })
]
