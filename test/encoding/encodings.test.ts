import t from 'tap'
import { Encodings, type ToKeep } from '../../lib/encoding/encodings.js'
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

t.test('a body that would not become smaller is not encoded', async (t) => {
  t.equal(await new Encodings().now('gzip', Buffer.from('short')), undefined)
  let times = 0
  await new Encodings().later(toKeep('a', { body: Buffer.from('short'), keep: async () => { times++ } }))
  t.equal(times, 0)
})
