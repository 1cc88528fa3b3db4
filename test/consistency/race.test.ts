import { randomInt } from 'node:crypto'
import t from 'tap'
import { race, report, type RaceSettings } from './race/driver.js'
import { staleReads, type Call } from './race/history.js'

/*
 * A short run of the race; `npm run race` is the long one. Each says its seed: the same seed makes
 * the same choices again.
 */
const settings = (given: Partial<RaceSettings>): RaceSettings =>
  ({ store: 'redis', seed: randomInt(2 ** 31), reads: 15_000, writes: 900, servers: 3, clients: 60, broken: false, ...given })

for (const store of ['redis', 'memory', 'local'] as const) {
  t.test(`no read returns less than what was acknowledged before it began, with the ${store} store, while servers die and versions get lost`, async (t) => {
    const played = settings({ store })
    const result = await race(played)
    t.comment(report(played, result))
    t.same(result.stale, [])
    t.ok(result.kills > 0, 'servers died')
    t.ok(result.hits > result.reads * 0.3, 'more than 30 % were HITs')
    t.ok(result.writes > played.writes * 0.8, 'most writes were acknowledged')
  })
}

t.test('the same race finds stale reads once versions are no longer compared', async (t) => {
  const played = settings({ broken: true, reads: 3_000, writes: 200 })
  const result = await race(played)
  t.comment(report(played, result))
  t.ok(result.stale.length > 0)
})

const call = (kind: Call['kind'], start: number, end: number, value?: number, register = 'a'): Call =>
  ({ register, kind, path: '/', start, end, value })

t.test('a read is stale when it returned less than a write that ended before it began', async (t) => {
  const write = call('write', 1, 2, 1)
  const read = call('read', 3, 4, 0)
  t.same(staleReads([read, write]), [{ read, write }])
  t.same(staleReads([call('read', 3, 4, 1), write]), [])
  t.same(staleReads([call('read', 3, 4, 2), write]), [])
})

t.test('a read is stale against the greatest write that was acknowledged, not the latest', async (t) => {
  const greatest = call('write', 1, 2, 2)
  const read = call('read', 5, 6, 1)
  t.same(staleReads([call('write', 1, 3, 1), greatest, read]), [{ read, write: greatest }])
})

t.test('a read is not stale against a write that ended while it ran, was not answered, or was to another counter', async (t) => {
  t.same(staleReads([call('write', 1, 4, 1), call('read', 3, 5, 0)]), [])
  t.same(staleReads([call('write', 1, 2), call('read', 3, 5, 0)]), [])
  t.same(staleReads([call('write', 1, 2, 1, 'b'), call('read', 3, 5, 0)]), [])
  t.same(staleReads([call('write', 1, 2, 1), call('read', 3, 5)]), [])
})
