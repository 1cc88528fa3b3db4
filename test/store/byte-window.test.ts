import t from 'tap'
import { ByteWindow } from '../../lib/store/redis/byte-window.js'

const MIB = 1024 * 1024

interface Value {
  readonly name: string
  settle (error?: Error): void
}

/** What has been sent through a window, in its order. */
function through (window: ByteWindow): { sent: Value[], pass (name: string, bytes: number): Promise<string> } {
  const sent: Value[] = []
  return {
    sent,
    pass: (name, bytes) => window.pass(bytes, () => new Promise((resolve, reject) => {
      sent.push({ name, settle: (error) => { error === undefined ? resolve(name) : reject(error) } })
    }))
  }
}

const names = (sent: readonly Value[]): string => sent.map(({ name }) => name).join('')

t.test('values are under way together up to 2 MiB and one more, and the others follow in their order', async (t) => {
  const { sent, pass } = through(new ByteWindow())
  const passed = [...'abcdef'].map((name) => pass(name, 0.75 * MIB))
  t.equal(names(sent), 'abc', 'two have 1.5 MiB, so that there is room for a third')
  sent[1]!.settle()
  t.equal(await passed[1], 'b')
  t.equal(names(sent), 'abcd', 'each that has passed makes room')
  sent[0]!.settle()
  await passed[0]
  t.equal(names(sent), 'abcde')
  for (const name of 'ghi') passed.push(pass(name, 1))
  t.equal(names(sent), 'abcde', 'a smaller one does not overtake')
  for (let next = 0; next < sent.length; next++) {
    sent[next]!.settle()
    await passed[next]
  }
  t.equal(names(sent), 'abcdefghi')
})

t.test('a value that is larger than the window passes alone', async (t) => {
  const { sent, pass } = through(new ByteWindow())
  const passed = [pass('a', 10 * MIB), pass('b', 1)]
  t.equal(names(sent), 'a')
  sent[0]!.settle()
  t.equal(await passed[0], 'a')
  t.equal(names(sent), 'ab')
})

t.test('a value that fails makes room, too, and only who has asked for it learns of the error', async (t) => {
  const { sent, pass } = through(new ByteWindow())
  const [lost, next] = [pass('a', 3 * MIB), pass('b', 3 * MIB)]
  sent[0]!.settle(new Error('lost'))
  await t.rejects(lost, { message: 'lost' })
  t.equal(names(sent), 'ab')
  sent[1]!.settle()
  t.equal(await next, 'b')
})
