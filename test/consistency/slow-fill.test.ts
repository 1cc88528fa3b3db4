import { once } from 'node:events'
import t from 'tap'
import type { Entry } from '../../index.js'
import { eachStore, fileRedis, redisCli } from '../support/each-store.js'
import { gate } from '../support/gate.js'
import { MapStore } from '../support/map-store.js'
import { see, serving } from '../support/serving.js'
import { startProcesses, type ServerProcess } from './processes.js'

const each = eachStore()
const redis = fileRedis()
const shared = { namespace: 'things', expire: '1h', scope: 'shared' } as const

const tags = (_request: unknown, payload: unknown): string[] => [(payload as { tag: string }).tag]
const nobodyKnows = (): string => { throw new Error('no name') }

const policies = {
  'a namespace': { read: { ...shared }, write: { invalidate: 'things' } },
  'a tag of the request': { read: { ...shared, tags: () => ['thing'] }, write: { invalidateTags: 'thing' } },
  'a tag of the payload': { read: { ...shared, tags }, write: { invalidateTags: 'thing' } },
  'a namespace, as everything': { read: { ...shared }, write: { invalidate: nobodyKnows } },
  'a tag of the payload, as everything': { read: { ...shared, tags }, write: { invalidate: nobodyKnows } }
}

for (const [what, { read, write }] of Object.entries(policies)) {
  each(`what a fill read before a write is never served after it, however late the fill ends: ${what}`, async (t, options) => {
    let value = 1
    const reading = gate()
    const goOn = gate()
    const { app, request } = await serving(t, { ...options, coalesceTimeout: 200 }, (app) => {
      app.get('/things', { config: { cache: read } }, async () => {
        const seen = { value, tag: 'thing' }
        if (value > 1) return seen
        reading.open()
        await goOn.opened
        return seen
      })
      app.post('/things', { config: { cache: write } }, async () => { value++ })
    })
    const slow = request('/things')
    await reading.opened
    await request('/things', { method: 'POST' })

    const meanwhile = await request('/things')
    t.same([meanwhile.cache, JSON.parse(meanwhile.text)], ['MISS', { value: 2, tag: 'thing' }])
    goOn.open()
    t.match(JSON.parse((await slow).text), { value: 1 })
    await app.apiCache.settled()
    t.match(JSON.parse((await request('/things')).text), { value: 2 })
  })

  each(`a request that came after a write does not wait for a fill from before it: ${what}`, async (t, options) => {
    let value = 1
    const started = [gate(), gate()]
    const goOn = gate()
    const { request } = await serving(t, options, (app) => {
      app.get('/things', { config: { cache: read } }, async () => {
        const seen = { value, tag: 'thing' }
        started[value - 1]!.open()
        if (value === 1) await goOn.opened
        return seen
      })
      app.post('/things', { config: { cache: write } }, async () => { value++ })
    })
    const before = request('/things')
    await started[0]!.opened
    await request('/things', { method: 'POST' })
    const after = request('/things')
    // Of the payload's tags nobody knows before it is there: such a request may wait, but is not given it.
    if (what !== 'a tag of the payload') await started[1]!.opened
    goOn.open()
    t.match(JSON.parse((await before).text), { value: 1 })
    t.match(JSON.parse((await after).text), { value: 2 })
  })
}

/** A store that takes its time to keep an entry. */
class SlowStore extends MapStore {
  readonly setting = gate()
  readonly goOn = gate()

  override async set (key: string, entry: Entry): Promise<void> {
    this.setting.open()
    await this.goOn.opened
    await super.set(key, entry)
  }
}

for (const [what, { read, write }] of Object.entries(policies)) {
  t.test(`an entry that is being stored is only served to requests from before a write: ${what}`, async (t) => {
    let value = 1
    const store = new SlowStore()
    const { request } = await serving(t, { store, timeout: 10_000 }, (app) => {
      app.get('/things', { config: { cache: read } }, async () => ({ value, tag: 'thing' }))
      app.post('/things', { config: { cache: write } }, async () => { value++ })
    })
    await request('/things')
    await store.setting.opened
    const before = await request('/things')
    t.same([before.cache, JSON.parse(before.text)], ['HIT', { value: 1, tag: 'thing' }])
    await request('/things', { method: 'POST' })
    t.match(JSON.parse((await request('/things')).text), { value: 2 })
    store.goOn.open()
  })
}

for (const tags of [undefined, 'request', 'payload'] as const) {
  t.test(`what one process read before a write of another is served by neither after it: ${tags === undefined ? 'a namespace' : `a tag of the ${tags}`}`, async (t) => {
    await redisCli(redis().port, 'FLUSHALL')
    const { servers } = await startProcesses(t, 2, { redis: redis().url, tags })
    const [one, two] = servers as [ServerProcess, ServerProcess]
    const slow = see(`${one.hello.origin}/things?slow=1`)
    const [read] = await once(one.process, 'message') as [unknown]
    t.equal(read, 'read')
    t.same(JSON.parse((await see(`${two.hello.origin}/things`, { method: 'POST' })).text), { value: 1 })
    one.process.send('go on')
    t.match(JSON.parse((await slow).text), { value: 0 })
    await see(`${one.hello.origin}/ready`)
    for (const { hello } of [two, one]) t.match(JSON.parse((await see(`${hello.origin}/things`)).text), { value: 1 })
  })
}
