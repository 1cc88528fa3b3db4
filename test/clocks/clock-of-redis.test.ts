import { setTimeout as delay } from 'node:timers/promises'
import { parseList } from 'structured-headers'
import t, { type Test } from 'tap'
import type { ApiCacheOptions } from '../../index.js'
import { fileRedis } from '../support/each-store.js'
import { complaints, loggingTo, type LogLine } from '../support/log.js'
import { sayAhead } from '../support/redis-clock.js'
import { serving } from '../support/serving.js'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js'

/*
 * What INFO says of the time is changed on its way, so that Redis seems to have another clock. What Redis keeps
 * expires as before, so stale windows keep it.
 */

const redis = fileRedis()

const FIVE_MINUTES = 300_000
/** Seconds that an entry is fresh. */
const EXPIRE = 3
/** Milliseconds in which a process notices that the clock was set, and then some. */
const SLACK = 800
const DELIVERED = /^api cache: all invalidations are delivered/
const SET_BACK = /^api cache: the clock of Redis was set back/

interface Answer {
  readonly cache: string | null
  readonly run: number
  readonly ttl: number
  /** `performance.now()` before the request. */
  readonly askedAt: number
}

interface Servers {
  /** How often the handlers of all have run. */
  readonly runs: () => number
  readonly logs: readonly LogLine[][]
  readonly asks: ReadonlyArray<() => Promise<Answer>>
  /** Starts one more. */
  start (): Promise<() => Promise<Answer>>
}

async function wireTo (t: Test): Promise<TcpProxy> {
  const wire = await startProxy(redis().port)
  t.teardown(() => wire.stop())
  return wire
}

let prefixes = 0

/** Servers of one application, with one route. */
async function servers (t: Test, wire: TcpProxy, local: ApiCacheOptions['local'], expire: number): Promise<Servers> {
  const prefix = `clock-of-redis-${++prefixes}`
  const logs: LogLine[][] = []
  let run = 0
  const start = async (): Promise<() => Promise<Answer>> => {
    const log: LogLine[] = []
    logs.push(log)
    const { app, request } = await serving(t, { redis: wire.url, prefix, local, timeout: 10_000, host: false }, (app) => {
      const cache = { namespace: 'clock', expire, staleWhileRevalidate: '1 day' }
      app.get('/', { config: { cache } }, async () => ({ run: ++run }))
    }, loggingTo(log))
    return async () => {
      const askedAt = performance.now()
      const { text, cache, headers } = await request('/')
      await app.apiCache.settled()
      const [, parameters] = parseList(headers.get('cache-status')!).at(-1)!
      return { cache, run: (JSON.parse(text) as { run: number }).run, ttl: Number(parameters.get('ttl') ?? 0), askedAt }
    }
  }
  return { runs: () => run, logs, asks: [await start(), await start()], start }
}

const isSetBack = (log: readonly LogLine[]): boolean => log.some(({ msg }) => SET_BACK.test(msg))

async function until (holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!await holds()) await delay(10)
}

for (const [tier, local] of Object.entries({
  'without a local tier': false, 'with a strict one': true, 'with a tracked one': { consistency: 'tracked' }
} as const)) {
  t.test(`nothing is fresh for longer when the clock of Redis is set back: ${tier}`, async (t) => {
    const wire = await wireTo(t)
    const { asks, logs } = await servers(t, wire, local, EXPIRE)
    const [fill, ask] = asks as [typeof asks[0], typeof asks[0]]
    t.match(await fill(), { cache: 'MISS', run: 1 })
    const end = performance.now() + EXPIRE * 1_000 + SLACK
    await delay(EXPIRE * 700)
    sayAhead(wire, -EXPIRE * 600)
    const late: Answer[] = []
    while (performance.now() < end + EXPIRE * 500) {
      for (const answer of [await ask(), await fill()]) {
        if (answer.run === 1 && answer.ttl > 0 && answer.askedAt > end) late.push(answer)
      }
      await delay(10)
    }
    t.same(late, [])
    t.ok(logs.every(isSetBack), 'and the log says so')
  })

  t.test(`all fill anew once when the clock of Redis is set back, and agree then: ${tier}`, async (t) => {
    const wire = await wireTo(t)
    const { asks, logs, runs, start } = await servers(t, wire, local, 60)
    for (const ask of asks) t.match(await ask(), { run: 1 })
    sayAhead(wire, -FIVE_MINUTES)
    // Before that, requests bypass the cache.
    await until(() => logs.every((log) => isSetBack(log) && log.some(({ msg }) => DELIVERED.test(msg))))
    t.match(await asks[0]!(), { cache: 'MISS', run: 2 })
    const filled = runs()
    for (const ask of [...asks, await start(), ...asks]) {
      const { cache, run, ttl } = await ask()
      t.match({ cache, run }, { cache: 'HIT', run: filled })
      t.ok(ttl > 30 && ttl <= 60, `${ttl} seconds`)
    }
    t.equal(runs(), filled)
    t.equal(logs.flatMap(complaints).length, 2, 'each has noticed it once, and the new one has nothing to notice')
  })

  t.test(`entries are older when the clock of Redis is set forward, and are filled once: ${tier}`, async (t) => {
    const wire = await wireTo(t)
    const { asks, logs, runs, start } = await servers(t, wire, local, 60)
    for (const ask of asks) t.match(await ask(), { run: 1 })
    sayAhead(wire, FIVE_MINUTES)
    // So that both know the time.
    await delay(SLACK)
    const all = [...asks, await start()]
    await until(async () => (await Promise.all(all.map((ask) => ask()))).every(({ ttl }) => ttl > 0))
    const filled = runs()
    t.ok(filled <= 1 + all.length, `${filled} runs`)
    for (const ask of [...all, ...all]) {
      const { cache, ttl } = await ask()
      t.ok(cache === 'HIT' && ttl > 30 && ttl <= 60, `${ttl} seconds`)
    }
    t.equal(runs(), filled)
    t.same(logs.flatMap(complaints), [])
  })
}
