import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { ApiCacheOptions, ReadPolicy } from '../../index.js'
import { startChild } from '../support/child-process.js'
import { fileRedis } from '../support/each-store.js'
import { sayNoTime } from '../support/redis-clock.js'
import { serving, type Serving } from '../support/serving.js'
import { startProxy } from '../support/tcp-proxy.js'

/*
 * Entries of a process whose clock is an hour ahead, in a Redis that does not tell the time, as version 5
 * does not. In a file of its own: the clock of this process stays right.
 */

const redis = fileRedis()
const HOUR = 3_600_000
let servers = 0

/** An entry that another process has filled, and a server of this one on the same store. */
async function filledAhead (t: Test, options: ApiCacheOptions, policy: ReadPolicy): Promise<Serving> {
  const prefix = `clocks-${++servers}`
  let run = 1
  const wire = await startProxy(redis().port)
  t.teardown(() => wire.stop())
  sayNoTime(wire)
  const served = await serving(t, { redis: wire.url, timeout: 10_000, ...options, prefix, host: false }, (app) => {
    app.get('/', { config: { cache: policy } }, async () => ({ run: ++run }))
  })
  const program = join(__dirname, 'filling-process.js')
  const child = await startChild(program, wire.url, prefix, String(HOUR), JSON.stringify(policy))
  await child.kill()
  return served
}

for (const [tier, local] of Object.entries({
  'without a local tier': false, 'with a strict one': true, 'with a tracked one': { consistency: 'tracked' }
} as const)) {
  t.test(`an entry from the future is not fresh where stale windows keep it, and is refreshed: ${tier}`, async (t) => {
    const { app, request } = await filledAhead(t, { local }, { namespace: 'clock', expire: 60, staleWhileRevalidate: '1 day' })
    const first = await request('/')
    t.match(first, { cache: 'HIT', text: '{"run":1}' })
    t.match(first.headers.get('cache-status'), /;hit;ttl=0;detail=stale-while-revalidate$/)
    t.equal(first.headers.get('cache-control'), 'no-cache')
    let seen = first
    for (const end = performance.now() + 10_000; seen.text === first.text && performance.now() < end;) {
      seen = await request('/')
      await app.apiCache.settled()
    }
    t.match(seen, { cache: 'HIT', text: '{"run":2}' })
    t.match(seen.headers.get('cache-status'), /;hit;ttl=(?:60|5\d)$/)
  })

  t.test(`an entry from the future is refreshed before it is used where only failures are bridged: ${tier}`, async (t) => {
    const { app, request } = await filledAhead(t, { local }, { namespace: 'clock', expire: 60, staleIfError: '1 day' })
    t.equal((await request('/')).text, '{"run":2}')
    await app.apiCache.settled()
    t.match(await request('/'), { cache: 'HIT', text: '{"run":2}' })
  })

  t.test(`an entry from the future is used until Redis ends it where no windows keep it: ${tier}`, async (t) => {
    const { request } = await filledAhead(t, { local }, { namespace: 'clock', expire: 2 })
    const filledAt = performance.now()
    let last = await request('/')
    t.match(last, { cache: 'HIT', text: '{"run":1}' })
    while (last.text === '{"run":1}') {
      const askedAt = performance.now()
      last = await request('/')
      if (last.cache === 'HIT' && last.text === '{"run":1}' && askedAt > filledAt + 2_200) return t.fail('it is used for too long')
      await delay(20)
    }
    t.match(last, { cache: 'MISS', text: '{"run":2}' })
  })
}
