import type { FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import type { Entry } from '../../index.js'
import { FillFailure } from '../../lib/read/coalesce/fill-failure.js'
import type { Outcome } from '../../lib/read/coalesce/fills-in-flight.js'
import { Backoff } from '../../lib/read/refresh/backoff.js'
import { Refreshes } from '../../lib/read/refresh/refreshes.js'

/* When an entry is refreshed again, by a clock that the test sets. */

function clock (t: Test): { milliseconds: number } {
  const time = { milliseconds: 1_000_000 }
  t.intercept(performance, 'now', { value: () => time.milliseconds })
  return time
}

t.test('after the first failure the next try waits a second, then twice as long each time, at most 30 seconds', async (t) => {
  const time = clock(t)
  const backoff = new Backoff()
  t.equal(backoff.isDue('a'), true)
  for (const pause of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]) {
    backoff.failed('a')
    time.milliseconds += pause - 1
    t.equal(backoff.isDue('a'), false, `${pause}`)
    time.milliseconds++
    t.equal(backoff.isDue('a'), true, `${pause}`)
  }
})

t.test('a failure of one key says nothing of others', async (t) => {
  clock(t)
  const backoff = new Backoff()
  backoff.failed('a')
  t.same([backoff.isDue('a'), backoff.isDue('b')], [false, true])
  backoff.succeeded('b')
  t.equal(backoff.isDue('a'), false)
})

t.test('after a success the next failure is the first one again', async (t) => {
  const time = clock(t)
  const backoff = new Backoff()
  for (let count = 0; count < 5; count++) backoff.failed('a')
  backoff.succeeded('a')
  t.equal(backoff.isDue('a'), true)
  backoff.failed('a')
  time.milliseconds += 1_000
  t.equal(backoff.isDue('a'), true)
})

const request = { headers: {} } as FastifyRequest
const stored = (storedAt: number): Entry => ({ storedAt }) as Entry
const filled = (storedAt: number): Outcome => ({ entry: stored(storedAt), key: 'a' })
const failure = (statusCode: number): Outcome => new FillFailure({ error: { statusCode } }, request)
const rejected = (status: number): Outcome => new FillFailure({ entry: { status } as Entry, key: 'a' }, request)

t.test('what is no answer of the handler makes the next try wait, but for a write that came meanwhile', async (t) => {
  clock(t)
  const outcomes: Array<readonly [Outcome, waits: boolean]> = [
    [failure(500), true], [failure(503), true], [rejected(502), true], ['abandoned', true], ['unshared', true],
    ['invalidated', false], ['hit-for-miss', false], [failure(404), false], [rejected(404), false], [filled(2_000), false]
  ]
  for (const [outcome, waits] of outcomes) {
    const refreshes = new Refreshes()
    refreshes.ended('a', outcome, stored(1_000))
    t.equal(refreshes.isDue('a', stored(5_000_000_000_000)), !waits, JSON.stringify(outcome))
  }
})

t.test('an answer ends the pause after failures, and a write that came meanwhile does not', async (t) => {
  clock(t)
  for (const [outcome, ends] of [[filled(2_000), true], ['hit-for-miss', true], [failure(404), true], ['invalidated', false]] as const) {
    const refreshes = new Refreshes()
    refreshes.ended('a', failure(500), stored(1_000))
    refreshes.ended('a', outcome, stored(1_000))
    t.equal(refreshes.isDue('a', stored(5_000_000_000_000)), ends, JSON.stringify(outcome))
  }
})

t.test('an entry that has been refreshed is not refreshed again, if a request still finds the old one', async (t) => {
  const refreshes = new Refreshes()
  t.equal(refreshes.isDue('a', stored(1_000)), true)
  refreshes.ended('a', filled(2_000), stored(1_000))
  t.same([1_000, 1_010, 1_990, 2_000, 3_000].map((storedAt) => refreshes.isDue('a', stored(storedAt))), [false, false, true, true, true])
  t.equal(refreshes.isDue('b', stored(1_000)), true)
  t.equal(refreshes.isGone('a', stored(1_000)), false)
})

t.test('an entry from the future that has been refreshed counts as the old one', async (t) => {
  const refreshes = new Refreshes()
  refreshes.ended('a', filled(2_000), stored(9_000))
  t.same([9_000, 8_990, 2_000].map((storedAt) => refreshes.isDue('a', stored(storedAt))), [false, false, true])
})

t.test('an entry in whose place no other came is gone, until one is stored', async (t) => {
  for (const outcome of ['hit-for-miss', failure(404), rejected(410)] as const) {
    const refreshes = new Refreshes()
    const old = stored(Date.now() - 60_000)
    t.equal(refreshes.isGone('a', old), false)
    refreshes.ended('a', outcome, old)
    for (const later of [0, 10]) t.equal(refreshes.isGone('a', stored(old.storedAt + later)), true)
    t.equal(refreshes.isGone('a', stored(Date.now() + 1)), false)
    t.equal(refreshes.isGone('b', old), false)
  }
})
