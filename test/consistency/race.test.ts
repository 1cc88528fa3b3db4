import { randomInt } from 'node:crypto'
import t from 'tap'
import { race, report, type RaceSettings } from './race/driver.js'
import { seen, staleReads, type Call } from './race/history.js'

/*
 * A short run of the race; `npm run race` is the long one. Each says its seed: the same seed makes
 * the same choices again.
 */
const settings = (given: Partial<RaceSettings>): RaceSettings =>
  ({ store: 'redis', seed: randomInt(2 ** 31), reads: 15_000, writes: 900, servers: 3, clients: 60, outages: 0, ...given })

for (const store of ['redis', 'memory', 'local', 'tracked'] as const) {
  t.test(`no read returns less than what was acknowledged before it began, with the ${store} store, while servers crash and versions are lost`, async (t) => {
    const played = settings({ store })
    const result = await race(played)
    t.comment(report(played, result))
    t.same(result.stale, [])
    t.ok(result.kills > 0, 'servers died')
    t.ok(result.hits > result.reads * 0.3, 'more than 30 % were HITs')
    t.ok(result.written.every((count) => count > played.writes * 0.1), 'jobs and Python wrote, too')
    t.equal(result.written.length, store === 'memory' ? 0 : 2)
    t.ok(result.failed > 0, 'handlers failed, and writes ended unknown')
    t.ok(result.bridged > 0, 'old answers were read after soft writes')
    t.ok(result.writes > played.writes * 0.8, 'most writes were acknowledged')
  })
}

t.test('the same race finds stale reads if versions are not compared', async (t) => {
  const played = settings({ broken: 'versions', reads: 3_000, writes: 200 })
  const result = await race(played)
  t.comment(report(played, result))
  t.ok(result.stale.length > 0)
})

for (const [store, what, outages] of [['redis', 'Redis', 3], ['cluster', 'a master of a Cluster', 2]] as const) {
  t.test(`no process serves a read that is older than a write it knows of, and all requests are answered, while ${what} is killed, hangs, restarts or drops connections`, async (t) => {
    const played = settings({ store, reads: 10_000, writes: 700, outages })
    const result = await race(played)
    t.comment(report(played, result))
    t.same(result.stale, [])
    t.equal(result.refused, 0)
    t.equal(result.outages, outages)
    t.ok(result.undelivered > 0, 'writes were acknowledged before they were delivered')
    t.ok(result.hits > result.reads * 0.1, 'the cache was in use')
  })
}

t.test('the same race finds stale reads if a failed delivery counts as successful', async (t) => {
  // Where Redis comes back empty nothing is stale: about one run in six finds nothing, so it has several.
  let found = 0
  for (let run = 0; run < 6 && found === 0; run++) {
    const played = settings({ broken: 'deliveries', reads: 10_000, writes: 700, outages: 4 })
    const result = await race(played)
    t.comment(report(played, result))
    found = result.stale.length
  }
  t.ok(found > 0)
})

t.test('the same race finds stale reads if a hard write does not end what a soft one allowed', async (t) => {
  // Few reads come between a soft write, a hard one, and the end of a refresh.
  let found = 0
  for (let run = 0; run < 4 && found === 0; run++) {
    const played = settings({ broken: 'softness', reads: 4_000, writes: 500 })
    const result = await race(played)
    t.comment(report(played, result))
    found = result.stale.length
  }
  t.ok(found > 0)
})

const call = (kind: Call['kind'], start: number, end: number, value?: number, register = 'a', given: Partial<Call> = {}): Call =>
  ({ register, kind, path: '/', server: '1', start, end, value, ...given })

t.test('a read is stale when it returned less than a write that ended before it began', async (t) => {
  const write = call('write', 1, 2, 1)
  const read = call('read', 3, 4, 0)
  t.same(staleReads([read, write]), [{ read, write }])
  t.same(staleReads([call('read', 3, 4, 1), write]), [])
  t.same(staleReads([call('read', 3, 4, 2), write]), [])
})

t.test('a read is compared with the greatest acknowledged write, not the latest', async (t) => {
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

t.test('where writers hold what they write, a read has to know of what another has returned before', async (t) => {
  const [first, later] = [call('read', 1, 2, 1), call('read', 3, 4, 0, 'a', { server: '2' })]
  const [meanwhile, ofAnother] = [call('read', 1, 4, 0), call('read', 3, 4, 0, 'b')]
  const history = [first, later, meanwhile, ofAnother]
  t.same(staleReads(history), [])
  t.same(staleReads([...history, ...seen(history, () => true)]).map(({ read }) => read), [later])
  t.same(seen(history, () => false), [])
})

t.test('an undelivered write only affects reads of its own process', async (t) => {
  const write = call('write', 1, 2, 1, 'a', { pending: 1 })
  const read = call('read', 5, 6, 0)
  t.same(staleReads([write, read]), [{ read, write }])
  t.same(staleReads([write, call('read', 5, 6, 0, 'a', { server: '2' })]), [])
})

t.test('a write that was delivered later affects other processes from when its process was seen to have delivered it', async (t) => {
  const write = call('write', 1, 2, 1, 'a', { pending: 1 })
  const stillPending = call('read', 3, 4, 1, 'b', { pending: 1 })
  const begunBefore = call('read', 1, 4, 1, 'b', { pending: 0 })
  const ofAnother = call('read', 3, 4, 1, 'b', { pending: 0, server: '3' })
  const read = call('read', 7, 8, 0, 'a', { server: '2' })
  t.same(staleReads([write, stillPending, begunBefore, ofAnother, read]), [])
  t.same(staleReads([write, call('read', 3, 6, 1, 'b', { pending: 0 }), read]), [{ read, write }])
  t.same(staleReads([write, call('read', 3, 7.5, 1, 'b', { pending: 0 }), read]), [])
})

t.test('of a soft write a read has to know when its time is over, whichever process is asked', async (t) => {
  const write = call('write', 1, 2, 1, 'a', { soft: 10, names: 'n' })
  const [within, late] = [call('read', 11, 20, 0), call('read', 13, 14, 0)]
  const [ofAnother, lateOfAnother] = [within, late].map((read) => ({ ...read, server: '2' }))
  t.same(staleReads([write, within, ofAnother!]), [])
  t.same(staleReads([write, late, lateOfAnother!]).map(({ read }) => read), [late, lateOfAnother])
})

t.test('the time of each soft write counts for itself, though it began within that of another', async (t) => {
  const [first, second] = [call('write', 1, 2, 1, 'a', { soft: 5 }), call('write', 3, 4, 2, 'a', { soft: 100 })]
  const [fromBefore, between] = [call('read', 8, 9, 0), call('read', 8, 9, 1)]
  t.same(staleReads([first, second, fromBefore, between]), [{ read: fromBefore, write: first }])
})

t.test('a hard write to the same names ends the time of a soft one that was acknowledged before it began', async (t) => {
  const soft = call('write', 1, 2, 1, 'a', { soft: 100, names: 'n' })
  const hard = (given: Partial<Call>, start = 3): Call => call('write', start, 4, 7, 'b', { names: 'n', server: '2', ...given })
  const read = call('read', 5, 6, 0)
  t.same(staleReads([soft, hard({}), read]), [{ read, write: soft }])
  t.same(staleReads([soft, hard({}), call('read', 4, 6, 0)]), [], 'it had not been acknowledged')
  t.same(staleReads([soft, hard({ names: 'other' }), read]), [])
  t.same(staleReads([soft, hard({ soft: 50 }), read]), [])
  t.same(staleReads([soft, hard({}, 1.5), read]), [], 'it may have come before the soft one')
  t.same(staleReads([soft, hard({ pending: 1 }), read]), [], 'nobody else knows of it')
  t.same(staleReads([soft, hard({ pending: 1, server: '1' }), read]), [{ read, write: soft }])
})

t.test('a store without that guarantee may lag behind the writes of other processes', async (t) => {
  const write = call('write', 1, 2, 1, 'a', { pending: 0 })
  const [own, soon, late] = [call('read', 5, 6, 0), call('read', 5, 6, 0, 'a', { server: '2' }), call('read', 15, 16, 0, 'a', { server: '2' })]
  t.same(staleReads([write, own], 10), [{ read: own, write }])
  t.same(staleReads([write, soon], 10), [])
  t.same(staleReads([write, late], 10), [{ read: late, write }])
})
