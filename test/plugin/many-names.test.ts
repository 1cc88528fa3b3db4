import { Redis } from 'ioredis'
import type { WritePolicy } from '../../index.js'
import { complaints, loggingTo, type LogLine } from '../support/log.js'
import { longestTurn } from '../support/longest-turn.js'
import { patientStores } from '../support/patient-stores.js'
import { serving, type Serving } from '../support/serving.js'

const test = patientStores()

/** As many as a body of 64 KB names, and more than one turn of the event loop may work on. */
const NAMES = Array.from({ length: 15_000 }, (_, index) => index.toString(36))
const SOME = [NAMES[0]!, NAMES[199]!, NAMES[200]!, NAMES[7_777]!, NAMES.at(-1)!]
/** Milliseconds of CPU time in one turn of the event loop: all names at once take hundreds. */
const LIMIT = 60
const ENTRIES = 1_000

const named = (request: { body: unknown }): string[] => request.body as string[]

const POLICIES: Record<string, WritePolicy> = {
  tags: { invalidateTags: named },
  namespaces: { invalidate: named },
  'tags, strictly': { invalidateTags: (request) => named(request), strict: true },
  'namespaces, strictly': { invalidate: (request) => named(request), strict: true }
}

const writing = (names: string[]): RequestInit =>
  ({ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(names) })

/** Asks for an entry of each name, and of one more. */
async function expectAll ({ app, request }: Serving, cache: string): Promise<void> {
  for (const name of SOME) {
    const seen = await request(`/${name}`)
    if (seen.cache !== cache) throw new Error(`${name} is a ${seen.cache}`)
  }
  await app.apiCache.settled()
}

for (const [what, policy] of Object.entries(POLICIES)) {
  test(`a write that names 15,000 ${what}, invalidates all of them and does not block other requests`, async (t, options) => {
    const served = await serving(t, options, (app) => {
      app.get<{ Params: { name: string } }>('/:name', {
        config: { cache: { namespace: (request) => (request.params as { name: string }).name, tags: (request) => [(request.params as { name: string }).name], expire: 60 } }
      }, async ({ params }) => params.name)
      app.post('/', { config: { cache: policy } }, async () => 'written')
    })
    await expectAll(served, 'MISS')
    await served.request('/other')
    await expectAll(served, 'HIT')
    const turn = await longestTurn(LIMIT, async () => {
      t.equal((await served.request('/', writing(NAMES))).status, 200)
      await served.app.apiCache.settled()
    })
    t.ok(turn < LIMIT, `${turn.toFixed(1)} ms`)
    t.equal((await served.request('/other')).cache, 'HIT')
    await expectAll(served, 'MISS')
    await expectAll(served, 'HIT')
  })
}

test('a sweep for many names does not block requests, even with many entries', async (t, options) => {
  const { app } = await serving(t, options, (app) => app.get('/:name', {
    config: { cache: { namespace: 'swept', tags: (request) => [(request.params as { name: string }).name], expire: 60 } }
  }, async () => 'answer'))
  for (let entry = 0; entry < ENTRIES; entry++) await app.inject(`/entry-${entry}`)
  await app.apiCache.settled()
  const turn = await longestTurn(LIMIT, async () => await (await app.apiCache.invalidateTags(NAMES)).swept)
  t.ok(turn < LIMIT, `${turn.toFixed(1)} ms`)
})

test('an invalidation of many names sweeps the entries of each, and counts them', async (t, options) => {
  const served = await serving(t, options, (app) => app.get<{ Params: { name: string } }>('/:name', {
    config: { cache: { namespace: (request) => (request.params as { name: string }).name, tags: ['all'], expire: 60 } }
  }, async ({ params }) => params.name))
  await served.request('/other')
  await expectAll(served, 'MISS')
  t.equal(await (await served.app.apiCache.invalidate(NAMES)).swept, SOME.length)
  t.equal(await (await served.app.apiCache.invalidateTags([...NAMES, 'all'])).swept, 1)
})

test('more than 100,000 names from a function invalidate everything; an API call and a strict write with as many are refused', async (t, options) => {
  const names = Array.from({ length: 100_001 }, (_, index) => `name-${index}`)
  const lines: LogLine[] = []
  const { app, request } = await serving(t, options, (app) => {
    app.get('/', { config: { cache: { namespace: 'any', expire: 60 } } }, async () => 'answer')
    app.post('/', { config: { cache: { invalidateTags: () => names } } }, async () => 'written')
    app.post('/strict', { config: { cache: { invalidateTags: () => names, strict: true } } }, async () => t.fail('it runs'))
  }, loggingTo(lines))
  await request('/')
  const refusal = { code: 'FST_API_CACHE_TOO_MANY_NAMES', message: /at most 100000 names, got 100001/ }
  await t.rejects(app.apiCache.invalidate(names), refusal)
  await t.rejects(app.apiCache.invalidateTags(names), refusal)
  await t.rejects(app.apiCache.writing(names, () => t.fail('it runs')), refusal)
  t.match(JSON.parse((await request('/strict', { method: 'POST' })).text), { code: refusal.code })
  t.equal((await request('/')).cache, 'HIT')
  t.match(await request('/', { method: 'POST' }), { status: 200, text: 'written' })
  t.equal((await request('/')).cache, 'MISS')
  t.match(complaints(lines).filter(({ level }) => level === 50), [{ route: 'POST /', err: { code: refusal.code } }])
})

test('an invalidation of names without entries leaves no key behind', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => {
    app.post('/', { config: { cache: { invalidate: named, invalidateTags: named } } }, async () => 'written')
    app.post('/strict', { config: { cache: { invalidate: (request) => named(request), strict: true } } }, async () => 'written')
  })
  const names = NAMES.slice(0, 500)
  for (const path of ['/', '/strict']) await request(path, writing(names))
  await app.apiCache.invalidate(names)
  await app.apiCache.writing({ namespaces: names, tags: names }, () => {})
  await app.apiCache.clear()
  await app.apiCache.settled()
  if (options.store === 'memory') return
  const client = new Redis(options.redis as string)
  t.teardown(() => { client.disconnect() })
  t.same(await client.keys('*'), [])
})

for (const [kind, declares] of [['the request', (given: unknown) => () => given], ['the payload', (given: unknown) => (_request: unknown, _payload: unknown) => given]] as const) {
  test(`a response to which a function of ${kind} gives more than 1,000 tags is not stored, which is logged`, async (t, options) => {
    const lines: LogLine[] = []
    const tags = declares(NAMES.slice(0, 1_001)) as () => string[]
    const { app, request } = await serving(t, options, (app) => app.get('/', { config: { cache: { namespace: 'many', tags, expire: 60 } } }, async () => 'answer'), loggingTo(lines))
    for (let i = 0; i < 2; i++) t.match(await request('/'), { status: 200, cache: 'MISS', text: 'answer' })
    t.equal(app.apiCache.stats().stored, 0)
    t.match(complaints(lines), [{ err: { message: /^tags must return at most 1000 different strings, got a list of 1001$/ } }])
  })

  test(`a response to which a function of ${kind} gives 1,000 tags is stored, and each of them invalidates it`, async (t, options) => {
    const tags = declares(NAMES.slice(0, 1_000)) as () => string[]
    const { app, request } = await serving(t, options, (app) => app.get('/', { config: { cache: { namespace: 'many', tags, expire: 60 } } }, async () => 'answer'))
    for (const tag of [NAMES[0]!, NAMES[999]!]) {
      t.equal((await request('/')).cache, 'MISS')
      await app.apiCache.settled()
      t.equal((await request('/')).cache, 'HIT')
      await app.apiCache.invalidateTags(tag)
    }
    t.equal((await request('/')).cache, 'MISS')
  })
}
