import fc from 'fast-check'
import { Redis } from 'ioredis'
import t from 'tap'
import { MemoryStore, type ApiCacheOptions } from '../../index.js'
import { fileRedis } from '../support/each-store.js'
import { application, sequence } from './twin/arbitraries.js'
import { noCounts, play, type Counts, type Place } from './twin/play.js'
import { injected, overHttp1, overHttp2 } from './twin/transport.js'

const redis = fileRedis()
let client: Redis | undefined
t.before(() => { client = new Redis(redis().url) })
t.teardown(() => client?.disconnect())

const inMemory: ApiCacheOptions = { store: new MemoryStore() }
const inRedis = (local: ApiCacheOptions['local'] = false): ApiCacheOptions => ({ redis: client!, timeout: 10_000, local })

/** A failure says its seed and path: `TWIN='{"seed":1,"path":"0:1"}'` plays that example again. */
const REPLAYED = JSON.parse(process.env['TWIN'] ?? '{}') as { seed?: number, path?: string }

/** How many requests each place gets. */
const PLACES: Array<{ where: string, requests: number, place: () => Place }> = [
  { where: 'in memory', requests: 11_000, place: () => ({ options: inMemory, transport: injected }) },
  { where: 'in Redis', requests: 4_000, place: () => ({ options: inRedis(), transport: injected }) },
  { where: 'in the strict tier', requests: 2_000, place: () => ({ options: inRedis(true), transport: injected }) },
  { where: 'in the tracked tier', requests: 1_000, place: () => ({ options: inRedis({ consistency: 'tracked' }), transport: injected, lags: true }) },
  { where: 'in memory, over HTTP/1.1', requests: 1_000, place: () => ({ options: inMemory, transport: overHttp1 }) },
  { where: 'in memory, over HTTP/2', requests: 1_000, place: () => ({ options: inMemory, transport: overHttp2, http2: true }) }
]

for (const { where, requests, place } of PLACES) {
  t.test(`no response differs from what the application without the plugin would send: ${where}`, async (t) => {
    const counts = await playedIn(place(), requests)
    t.comment(JSON.stringify(counts))
    for (const [what, share] of [['hits', 0.15], ['notModified', 0.01], ['parts', 0.003], ['writes', 0.02]] as const) {
      t.ok(counts[what] > requests * share, `${counts[what]} ${what} among ${counts.requests} requests`)
    }
  })
}

/** Plays random sequences on random applications until this many requests have been answered. */
async function playedIn (place: Place, requests: number): Promise<Counts> {
  const counts = noCounts()
  while (counts.requests < requests) {
    await fc.assert(
      fc.asyncProperty(application, sequence, (application, sequence) => play(application, sequence, place, counts)),
      { numRuns: 20, ...REPLAYED })
  }
  return counts
}
