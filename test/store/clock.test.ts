import { setTimeout as delay } from 'node:timers/promises'
import { parseList } from 'structured-headers'
import t, { type Test } from 'tap'
import type { ApiCacheOptions, ReadPolicy } from '../../index.js'
import { eachTier, fileRedis, inRedis } from '../support/each-store.js'
import { serving, type Seen } from '../support/serving.js'

const test = eachTier()
const redis = fileRedis()

const HOUR = 3_600_000
/** Seconds that an entry may be served for. */
const EXPIRE = 2
/** Milliseconds that Redis may keep an entry for longer: it starts to count when the entry has arrived. */
const ON_ITS_WAY = 200

const now = Date.now

/** Sets the wall clock of this process to so much before or after the right time, until the test ends. */
function setClock (t: Test, milliseconds: number): void {
  Date.now = () => now() + milliseconds
  t.teardown(() => { Date.now = now })
}

/** What an answer of an entry that is stale says. */
const BRIDGED = /detail=stale-while-revalidate$/

interface Answer {
  /** How often the handlers of all servers have run when it answered. */
  readonly run: number
  readonly cache: string | null
  /** `performance.now()` before the request. */
  readonly askedAt: number
  readonly ttl: number
  readonly age: number
  readonly status: string
}

type Ask = () => Promise<Answer>

/** Servers over one store, each with one route: how to ask them. */
async function servers (
  t: Test, count: number, options: ApiCacheOptions, policy: Partial<ReadPolicy> = { expire: EXPIRE }
): Promise<Ask[]> {
  let run = 0
  return await Promise.all(Array.from({ length: count }, async () => {
    const { app, request } = await serving(t, { ...options, host: false }, (app) => {
      app.get('/', { config: { cache: { namespace: 'clock', ...policy } as ReadPolicy } }, async () => ({ run: ++run }))
    })
    return async () => {
      const askedAt = performance.now()
      const seen = await request('/')
      await app.apiCache.settled()
      const { run } = JSON.parse(seen.text) as { run: number }
      const status = String(seen.headers.get('cache-status'))
      return { run, cache: seen.cache, askedAt, ttl: ttlOf(seen), age: Number(seen.headers.get('age')), status }
    }
  }))
}

/** Seconds of freshness left, as the response tells; 0 on a MISS. */
function ttlOf ({ headers }: Seen): number {
  const [, parameters] = parseList(headers.get('cache-status')!).at(-1)!
  return Number(parameters.get('ttl') ?? 0)
}

/** Asks until the answer is not of the first run any more. */
async function served (ask: Ask): Promise<Answer[]> {
  const answers: Answer[] = []
  const end = performance.now() + 3 * EXPIRE * 1_000
  for (;;) {
    const answer = await ask()
    if (answer.run > 1 || performance.now() > end) return answers
    answers.push(answer)
    await delay(20)
  }
}

/** All are HITs, none after its lifetime; the last one near its end. */
function inTime (t: Test, answers: readonly Answer[], storedAt: number): void {
  const late = answers.filter(({ askedAt }) => askedAt > storedAt + EXPIRE * 1_000 + ON_ITS_WAY)
  t.same(late, [], 'none is served beyond its lifetime')
  const odd = answers.filter(({ cache, ttl }) => cache !== 'HIT' || ttl < 1 || ttl > EXPIRE)
  t.same(odd, [], 'and no ttl is above expire')
  t.ok(answers.length > 10)
}

test('an entry is not served longer when the clock is set back after its fill', async (t, options) => {
  const [ask] = await servers(t, 1, options) as [Ask]
  t.match(await ask(), { cache: 'MISS', run: 1 })
  const storedAt = performance.now()
  setClock(t, -HOUR)
  const answers = await served(ask)
  inTime(t, answers, storedAt)
  // What a process keeps it sees grow older; what it reads from Redis each time says only when it was stored.
  if (options.store !== 'memory' && options.local === undefined) return
  const kept = answers.filter(({ askedAt }) => askedAt < storedAt + EXPIRE * 1_000 - ON_ITS_WAY)
  const tooFresh = kept.filter(({ askedAt, ttl }) => ttl > Math.ceil(EXPIRE - (askedAt - storedAt) / 1_000))
  t.same(tooFresh, [], 'and it grows older all the same')
})

test('an entry that was filled while the clock was ahead is not served longer', async (t, options) => {
  setClock(t, HOUR)
  const [ask] = await servers(t, 1, options) as [Ask]
  t.match(await ask(), { cache: 'MISS', run: 1 })
  const storedAt = performance.now()
  setClock(t, 0)
  inTime(t, await served(ask), storedAt)
})

/** All fresh ones in time, and then those that are served while the entry is refreshed. */
function bridged (t: Test, answers: readonly Answer[], storedAt: number): void {
  const stale = answers.filter(({ status }) => BRIDGED.test(status))
  inTime(t, answers.filter((answer) => !stale.includes(answer)), storedAt)
  t.ok(stale.length > 0, 'it is bridged')
  t.same(stale.filter(({ cache, ttl }) => cache !== 'HIT' || ttl > 0), [], 'and says that it is stale')
}

test('an entry with stale windows is not fresh for longer when the clock is set back after its fill', async (t, options) => {
  const [ask] = await servers(t, 1, options, { expire: EXPIRE, staleWhileRevalidate: '2h' }) as [Ask]
  t.match(await ask(), { cache: 'MISS', run: 1 })
  const storedAt = performance.now()
  setClock(t, -HOUR)
  bridged(t, await served(ask), storedAt)
  t.match(await ask(), { cache: 'HIT', run: 2 }, 'and it is refreshed')
})

test('an entry with stale windows that was filled while the clock was ahead is not fresh for longer', async (t, options) => {
  setClock(t, HOUR)
  const [ask] = await servers(t, 1, options, { expire: EXPIRE, staleWhileRevalidate: '2h' }) as [Ask]
  t.match(await ask(), { cache: 'MISS', run: 1 })
  const storedAt = performance.now()
  setClock(t, 0)
  bridged(t, await served(ask), storedAt)
  t.match(await ask(), { cache: 'HIT', run: 2 }, 'and it is refreshed')
})

for (const [tier, local] of Object.entries({
  'without a local tier': false, 'with a strict one': true, 'with a tracked one': { consistency: 'tracked' }
} as const)) {
  const options = (prefix: string): ApiCacheOptions =>
    ({ ...inRedis(redis()), local, prefix: `${prefix}-${tier.replaceAll(' ', '-')}` })

  t.test(`an entry that another process filled before the clock was set back is not served longer: ${tier}`, async (t) => {
    const [fill, ask] = await servers(t, 2, options('back')) as [Ask, Ask]
    t.match(await fill(), { cache: 'MISS', run: 1 })
    const storedAt = performance.now()
    setClock(t, -HOUR)
    // Late enough for a lifetime that begins now to show.
    await delay(EXPIRE * 500)
    inTime(t, await served(ask), storedAt)
  })

  t.test(`a process whose clock is five minutes ahead makes no entry fresher than it is: ${tier}`, async (t) => {
    const [fill, ask] = await servers(t, 2, options('ahead'), { expire: 60 }) as [Ask, Ask]
    setClock(t, 300_000)
    t.match(await fill(), { cache: 'MISS' })
    setClock(t, 0)
    for (let round = 0; round < 3; round++) {
      const { cache, ttl, age } = await ask()
      t.equal(cache, 'HIT')
      t.ok(ttl > 0 && ttl <= 60, `${ttl} seconds`)
      t.equal(age, 0)
    }
  })
}
