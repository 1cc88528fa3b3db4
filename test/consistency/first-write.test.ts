import t from 'tap'
import { MemoryStore, type CacheStore } from '../../index.js'
import { gate } from '../support/gate.js'
import { serving } from '../support/serving.js'

/** A store whose sweeps begin late. */
function sweepingLate (begins: Promise<void>): CacheStore {
  const store = new MemoryStore()
  const sweep = store.sweep.bind(store)
  return Object.assign(store, {
    async sweep (...args: Parameters<CacheStore['sweep']>) {
      await begins
      return sweep(...args)
    }
  })
}

t.test('an entry that is filled right after the first write to its namespace stays, though the sweep is still at work', async (t) => {
  const { opened, open } = gate()
  const { app, request } = await serving(t, { store: sweepingLate(opened) }, (app) => {
    app.get('/', { config: { cache: { namespace: 'n', expire: 60 } } }, async () => 'new')
    app.post('/', { config: { cache: { invalidate: 'n' } } }, async () => 'written')
  })
  await request('/', { method: 'POST' })
  t.match(await request('/'), { cache: 'MISS', text: 'new' })
  open()
  await app.apiCache.settled()
  t.match(await request('/'), { cache: 'HIT', text: 'new' })
})

t.test('an entry from before a write is swept, one that is filled meanwhile stays', async (t) => {
  const { opened, open } = gate()
  const { app, request } = await serving(t, { store: sweepingLate(opened) }, (app) => {
    app.get('/:id', { config: { cache: { namespace: 'n', expire: 60 } } }, async () => 'any')
    app.post('/', { config: { cache: { invalidate: 'n' } } }, async () => 'written')
  })
  await request('/before')
  await new Promise(setImmediate)
  await request('/', { method: 'POST' })
  await request('/meanwhile')
  open()
  await app.apiCache.settled()
  const keys: string[] = []
  for await (const key of app.apiCache.keys('n')) keys.push(key)
  t.match(keys, [/GET \/meanwhile/])
  t.equal(keys.length, 1)
})
