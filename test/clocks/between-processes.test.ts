import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseList } from 'structured-headers'
import t, { type Test } from 'tap'
import { startChild } from '../support/child-process.js'
import { startCluster } from '../support/redis-cluster.js'
import { startRedis } from '../support/redis-server.js'
import { startSentinel } from '../support/redis-sentinel.js'
import { see, type Seen } from '../support/serving.js'
import { SHORT, type Policy, type Settings, type Tier } from './server-with-clock.js'

/*
 * Servers of one application whose clocks are five minutes apart. None of them is this process.
 */

const FIVE_MINUTES = 300_000
/** Milliseconds that a clock of this machine may seem to be off, while others use the machine. */
const SLACK = 600

const CLOCKS = { 'whose clock is right': 0, 'whose clock is ahead': FIVE_MINUTES, 'whose clock is behind': -FIVE_MINUTES }

interface Place {
  readonly redis: Settings['redis']
  readonly tiers: readonly Tier[]
  stop(): Promise<void>
}

const PLACES: Record<string, () => Promise<Place>> = {
  async 'a single server' () {
    const server = await startRedis()
    return { redis: server.url, tiers: ['plain', 'strict', 'tracked'], stop: () => server.stop() }
  },
  async 'a Sentinel' () {
    const { sentinels, name, stop } = await startSentinel()
    return { redis: { sentinels: [...sentinels], name }, tiers: ['plain', 'strict', 'tracked'], stop }
  },
  async 'a Cluster' () {
    const { startupNodes, stop } = await startCluster()
    return { redis: startupNodes, tiers: ['plain', 'strict'], stop }
  }
}

interface Answer {
  readonly cache: string | null
  /** Which run of which process it is of. */
  readonly text: string
  readonly ttl: number
  readonly detail: string
  readonly age: number
  /** By how much its Date differs from the server's clock, in milliseconds. */
  readonly dateOff: number
  /** `performance.now()` before the request. */
  readonly askedAt: number
}

interface Server {
  readonly name: string
  ask(path: string): Promise<Answer>
  request(path: string, init?: RequestInit): Promise<Seen>
}

async function start (t: Test, name: string, ahead: number, settings: Settings): Promise<Server> {
  const program = join(__dirname, 'server-with-clock.js')
  const child = await startChild<{ origin: string }>(program, String(ahead), JSON.stringify(settings))
  t.teardown(() => child.kill())
  const request: Server['request'] = (path, init) => see(child.hello.origin + path, init)
  return {
    name,
    request,
    async ask (path) {
      const askedAt = performance.now()
      const { cache, text, headers } = await request(path)
      const [, parameters] = parseList(headers.get('cache-status') ?? 'none').at(-1)!
      const age = Number(headers.get('age') ?? 0)
      return {
        cache,
        text,
        ttl: Number(parameters.get('ttl') ?? 0),
        detail: String(parameters.get('detail') ?? ''),
        age,
        dateOff: Math.abs(Date.parse(headers.get('date')!) + age * 1_000 - ahead - Date.now()),
        askedAt
      }
    }
  }
}

let keys = 0
const newPath = (tier: Tier, policy: Policy): string => `/${tier}/${policy}/${++keys}`

async function runsOf (servers: readonly Server[], path: string): Promise<number> {
  const runs = await Promise.all(servers.map(async ({ request }) => Number((await request(`/runs${path}`)).text)))
  return runs.reduce((sum, run) => sum + run, 0)
}

async function filledBy ({ ask, request }: Server, path: string): Promise<Answer> {
  const filled = await ask(path)
  await request(`/${path.split('/')[1]}/settled`)
  return filled
}

/** Asks all for entries that one of them fills, until they have all been filled anew. */
async function untilStale (t: Test, filler: Server, servers: readonly Server[], tier: Tier): Promise<void> {
  const path = newPath(tier, 'short')
  const bridgedPath = newPath(tier, 'short-revalidated')
  const [filled] = await Promise.all([filledBy(filler, path), filledBy(filler, bridgedPath)])
  const end = performance.now() + SHORT * 1_000 + SLACK
  while (performance.now() < end + SHORT * 500) {
    const [answers, bridged] = await Promise.all([path, bridgedPath].map((path) =>
      Promise.all(servers.map(({ ask }) => ask(path)))))
    const late = answers!.filter(({ text, askedAt }) => text === filled.text && askedAt > end)
    const odd = [...answers!, ...bridged!].filter(({ ttl, detail }) => ttl > SHORT || (detail !== '' && ttl > 0))
    if (late.length + odd.length > 0) t.same([late, odd], [[], []], `filled by one ${filler.name}`)
    await delay(10)
  }
  const before = await runsOf(servers, bridgedPath)
  for (let round = 0; round < 10; round++) for (const { ask } of servers) await ask(bridgedPath)
  t.ok(await runsOf(servers, bridgedPath) - before <= servers.length, 'nor is it filled by one after the other')
}

for (const [place, begin] of Object.entries(PLACES)) {
  t.test(place, async (t) => {
    const { redis, tiers, stop } = await begin()
    t.teardown(stop)
    const settings = { redis, tiers, prefix: 'clocks' }
    const servers = await Promise.all(Object.entries(CLOCKS).map(([name, ahead]) => start(t, name, ahead, settings)))

    for (const tier of tiers) {
      for (const filler of servers) {
        for (const policy of ['fresh', 'revalidated', 'failing'] as const) {
          await t.test(`an entry of a server ${filler.name} is as fresh for all: ${tier}, ${policy}`, async (t) => {
            const path = newPath(tier, policy)
            const filled = await filledBy(filler, path)
            t.equal(filled.cache, 'MISS')
            t.ok(filled.dateOff < 30_000, 'its Date is by the clock of the server that sends it')
            for (let round = 0; round < 3; round++) {
              for (const { ask, name } of servers) {
                const { cache, text, ttl, age, dateOff } = await ask(path)
                t.match({ cache, text }, { cache: 'HIT', text: filled.text }, name)
                t.ok(ttl > 30 && ttl <= 60 && age < 30, `${ttl} seconds, age ${age}`)
                t.ok(dateOff < 30_000, `a Date that is off by ${dateOff}`)
              }
            }
            t.equal(await runsOf(servers, path), 1, 'nobody fills it again')
          })
        }
      }

      await t.test(`an entry is fresh for nobody after its time, whoever filled it: ${tier}`, async (t) => {
        await Promise.all(servers.map((filler) => untilStale(t, filler, servers, tier)))
      })

      await t.test(`all use what a soft write has made old, for as long as the route says: ${tier}`, async (t) => {
        const path = newPath(tier, 'soft')
        const failingPath = newPath(tier, 'soft-failing')
        for (const { ask } of servers) await Promise.all([ask(path), ask(failingPath)])
        await servers[0]!.request(`/${tier}/settled`)
        for (const { request } of servers) await request('/failing', { method: 'PUT' })
        await servers[0]!.request(`/${tier}/soft`, { method: 'POST' })
        for (const { ask, name } of servers) {
          t.match(await ask(path), { cache: 'HIT', detail: 'soft-stale-while-revalidate' }, name)
        }
        await servers[0]!.request(`/${tier}/soft-failing`, { method: 'POST' })
        const softened = performance.now()
        for (const { ask, name } of servers) {
          t.match(await ask(failingPath), { cache: 'HIT', detail: 'soft-stale-if-error' }, name)
        }
        await delay(softened + SHORT * 1_000 + SLACK - performance.now())
        for (const { request, name } of servers) t.equal((await request(failingPath)).status, 500, name)
        for (const { request } of servers) await request('/failing', { method: 'DELETE' })
      })

      await t.test(`a server whose clock is set while it runs goes on with what there is: ${tier}`, async (t) => {
        const [first, , last] = servers as [Server, Server, Server]
        const paths = (['fresh', 'revalidated', 'failing'] as const).map((policy) => newPath(tier, policy))
        for (const path of paths) {
          const { text } = await filledBy(first, path)
          // By clocks that are known within milliseconds it may come from the future, and no tier keeps it.
          await delay(100)
          for (const { ask } of servers) t.match(await ask(path), { cache: 'HIT', text })
        }
        for (const ahead of [FIVE_MINUTES, 0]) {
          await last.request(`/clock/${ahead}`, { method: 'PUT' })
          for (const path of paths) {
            const { cache, ttl } = await last.ask(path)
            t.ok(cache === 'HIT' && ttl > 30 && ttl <= 60, `${cache} for ${ttl} seconds`)
          }
          const path = newPath(tier, 'revalidated')
          const { text } = await filledBy(last, path)
          for (const { ask, name } of servers) {
            const { cache, text: seen, ttl } = await ask(path)
            t.match({ cache, seen }, { cache: 'HIT', seen: text }, name)
            t.ok(ttl > 30 && ttl <= 60, `${ttl} seconds`)
          }
        }
        for (const path of paths) t.equal(await runsOf(servers, path), 1)
        await last.request(`/clock/${-FIVE_MINUTES}`, { method: 'PUT' })
      })
    }
  })
}
