import t from 'tap'
import { Encodings, type ToKeep } from '../../lib/encoding/encodings.js'
import { now } from '../../lib/entry/clock.js'
import { gate } from '../support/gate.js'
import { kept, text } from './encoded.js'

const body = Buffer.from(text)

const toKeep = (name: string, more: Partial<ToKeep> = {}): ToKeep =>
  ({ name, coding: 'gzip', body, madeAt: Date.now(), keep: async () => {}, ...more })

t.test('one body is encoded at a time, in order', async (t) => {
  const encodings = new Encodings()
  const begun: string[] = []
  const first = gate()
  const keep = (name: string, until?: Promise<void>): ToKeep => toKeep(name, {
    keep: async (bytes) => {
      t.same(bytes, kept.gzip(text))
      begun.push(name)
      await until
    }
  })
  const work = encodings.later(keep('a', first.opened))
  t.ok(work)
  t.equal(encodings.later(keep('b')), undefined)
  t.equal(encodings.later(keep('c')), undefined)
  first.open()
  await work
  t.same(begun, ['a', 'b', 'c'])
})

t.test('a body is encoded once, whoever asks, until there is another one', async (t) => {
  const encodings = new Encodings()
  let times = 0
  const keep = async (): Promise<void> => { times++ }
  const madeAt = Date.now()
  const work = encodings.later(toKeep('a', { keep, madeAt }))
  encodings.later(toKeep('a', { keep, madeAt }))
  await work
  t.equal(encodings.later(toKeep('a', { keep, madeAt })), undefined)
  t.equal(times, 1)
  await encodings.later(toKeep('a', { keep, madeAt: Date.now() + 1_000 }))
  t.equal(times, 2)
  await encodings.later(toKeep('a', { keep, madeAt, coding: 'br' }))
  t.equal(times, 3)
})

t.test('a body is encoded once although the clock was set back', async (t) => {
  const encodings = new Encodings()
  let times = 0
  const keep = async (): Promise<void> => { times++ }
  const madeAt = now()
  const { now: real } = Date
  t.intercept(Date, 'now', { value: () => real() - 3_600_000 })
  for (let asked = 0; asked < 3; asked++) await encodings.later(toKeep('a', { keep, madeAt }))
  t.equal(times, 1)
})

t.test('a body that was not kept, or is lost, is encoded again a minute later', async (t) => {
  const encodings = new Encodings()
  let times = 0
  const job = toKeep('a', { keep: async () => { times++ } })
  const { now: real } = performance
  let later = 0
  t.intercept(performance, 'now', { value: () => real.call(performance) + later })
  await encodings.later(job)
  t.equal(encodings.later(job), undefined)
  later = 61_000
  await encodings.later(job)
  t.equal(times, 2)
})

t.test('bodies of more than 32 MiB do not wait', async (t) => {
  const encodings = new Encodings()
  const large = Buffer.alloc(10 * 2 ** 20)
  const names: string[] = []
  const keep = (name: string): ToKeep => toKeep(name, { body: large, keep: async () => { names.push(name) } })
  const work = encodings.later(keep('first'))
  for (const name of ['a', 'b', 'c', 'd', 'e']) encodings.later(keep(name))
  await work
  t.same(names, ['first', 'a', 'b', 'c'])
  await encodings.later(keep('d'))
  t.same(names, ['first', 'a', 'b', 'c', 'd'], 'asked for again')
})

t.test('what waits is forgotten when the server closes', async (t) => {
  const encodings = new Encodings()
  const names: string[] = []
  const keep = (name: string): ToKeep => toKeep(name, { keep: async () => { names.push(name) } })
  const work = encodings.later(keep('first'))
  encodings.later(keep('second'))
  encodings.close()
  await work
  t.same(names, ['first'])
})

t.test('a few bodies are encoded at once for responses, others are sent plain', async (t) => {
  const encodings = new Encodings()
  const all = Array.from({ length: 10 }, () => encodings.now('br', body))
  t.equal(all.filter((one) => one === undefined).length, 2)
  for (const bytes of await Promise.all(all.slice(0, 8))) t.ok(bytes!.length < body.length)
  t.ok(encodings.now('br', body), 'there is room again')
})

t.test('a body that cannot be encoded is sent as it is, and none is kept', async (t) => {
  // Node refuses it, as it refuses others when there is no memory left.
  const body = { length: 1_000 } as Buffer
  const encodings = new Encodings()
  t.equal(await encodings.now('br', body), undefined)
  const kept: string[] = []
  const job = (name: string): ToKeep => toKeep(name, { body, keep: async () => { kept.push(name) } })
  const work = encodings.later(job('a'))
  encodings.later(job('b'))
  await work
  t.same(kept, [])
  t.notOk(encodings.isFutile(job('a')), 'nobody knows')
  for (let times = 0; times < 8; times++) t.ok(encodings.now('br', body), 'there is room')
})

t.test('a body that would not become smaller is not encoded', async (t) => {
  t.equal(await new Encodings().now('gzip', Buffer.from('short')), undefined)
  let times = 0
  const encodings = new Encodings()
  const job = toKeep('a', { body: Buffer.from('short'), keep: async () => { times++ } })
  t.notOk(encodings.isFutile(job), 'not known yet')
  await encodings.later(job)
  t.equal(times, 0)
  t.ok(encodings.isFutile(job))
  t.notOk(encodings.isFutile({ ...job, coding: 'br' }))
  t.notOk(encodings.isFutile({ ...job, madeAt: now() + 1_000 }), 'another body')
  const other = toKeep('b')
  await encodings.later(other)
  t.notOk(encodings.isFutile(other))
})
