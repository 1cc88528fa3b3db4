import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { fileRedis } from '../support/each-store.js'
import { see } from '../support/serving.js'

const redis = fileRedis()

async function startProcess (t: Test): Promise<string> {
  const child = fork(join(__dirname, '../support/users-process.js'), [redis().url])
  const exited = once(child, 'exit')
  t.teardown(async () => {
    child.disconnect()
    await exited
  })
  const [{ origin }] = await once(child, 'message') as [{ origin: string }]
  return origin
}

t.test('two processes on one Redis use each other\'s entries and respect each other\'s invalidations', async (t) => {
  const [a, b] = await Promise.all([startProcess(t), startProcess(t)])
  const first = await see(`${a}/users`)
  t.equal(first.cache, 'MISS')
  // Until the fill of the other process has reached Redis.
  let fromOther = await see(`${b}/users`)
  while (fromOther.cache !== 'HIT') fromOther = await see(`${b}/users`)

  let known = (await see(`${a}/users`)).text
  t.equal((await see(`${b}/users`)).text, known)
  for (let round = 0; round < 20; round++) {
    const [writer, reader] = round % 2 === 0 ? [a, b] : [b, a]
    await see(`${writer}/users`, { method: 'POST' })
    const seen = await see(`${reader}/users`)
    t.match(seen, { cache: 'MISS', status: 200 }, 'nothing that the write made old')
    t.not(seen.text, known)
    known = seen.text
    let other = await see(`${writer}/users`)
    while (other.cache !== 'HIT') other = await see(`${writer}/users`)
    known = other.text
    t.equal((await see(`${reader}/users`)).cache, 'HIT')
  }
})
