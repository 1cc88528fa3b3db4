import { stat } from 'node:fs'
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { Deadlines } from '../../lib/store/deadlines.js'

/** Nothing here is late because the machine is busy: what must not be early is measured, and the order of the rest. */
const EARLY = 5

// Deadlines keep no process from ending.
const running = setInterval(() => {}, 1_000)
t.teardown(() => { clearInterval(running) })

function block (milliseconds: number): void {
  const end = performance.now() + milliseconds
  while (performance.now() < end);
}

t.test('deadlines expire in the order of the time that is left, not in that of their beginning', async (t) => {
  const deadlines = new Deadlines(300)
  const order: string[] = []
  await Promise.all(([['none', 0], ['most', 200], ['some', 100]] as const).map(([spent, milliseconds]) =>
    new Promise<void>((resolve) => {
      deadlines.start(() => {
        order.push(spent)
        resolve()
      }, milliseconds)
    })))
  t.same(order, ['most', 'some', 'none'])
})

t.test('one that is released does not expire, and released twice it does not end those that were started with it', async (t) => {
  const deadlines = new Deadlines(200)
  const began = performance.now()
  const released = deadlines.start(() => { t.fail('it was released') })
  const other = new Promise((resolve) => { deadlines.start(resolve) })
  released.release()
  released.release()
  t.equal(await other, false)
  t.ok(performance.now() - began >= 200 - EARLY)
})

t.test('while an answer arrives quickly, a deadline expires after the longest time only, and says so', async (t) => {
  let bytes = 0
  const deadlines = new Deadlines(50, { transferred: () => (bytes += 2 ** 20), longest: 500 })
  const began = performance.now()
  const expired = new Promise((resolve) => { deadlines.start(resolve) })
  t.equal(await Promise.race([expired, delay(20_000, 'never')]), true)
  t.ok(performance.now() - began >= 500 - EARLY)
})

t.test('while an answer arrives, time in which the machine ran other processes does not count', async (t) => {
  const { cpuUsage } = process
  // The event loop is busy, and nothing of that is time that this process has had.
  process.cpuUsage = () => ({ user: 0, system: 0 })
  t.teardown(() => { process.cpuUsage = cpuUsage })
  let bytes = 0
  const deadlines = new Deadlines(50, { transferred: () => (bytes += 2 ** 20), longest: 200 })
  let hasExpired = false
  const expired = new Promise<void>((resolve) => {
    deadlines.start(() => {
      hasExpired = true
      resolve()
    })
  })
  const end = performance.now() + 3_000
  while (performance.now() < end) {
    await turn()
    block(20)
  }
  t.notOk(hasExpired)
  process.cpuUsage = cpuUsage
  await expired
})

t.test('a byte now and then is no progress', async (t) => {
  let bytes = 0
  const deadlines = new Deadlines(50, { transferred: () => ++bytes, longest: 500 })
  t.equal(await new Promise((resolve) => { deadlines.start(resolve) }), false)
})

t.test('time in which the event loop was blocked is not time in which an answer did not come', async (t) => {
  const deadlines = new Deadlines(500)
  const answer = deadlines.within(new Promise((resolve) => {
    setImmediate(() => {
      block(1_000)
      setTimeout(resolve, 50, 'answer')
    })
  }))
  t.equal(await answer, 'answer')
})

t.test('an answer that came while the event loop was blocked is in time', async (t) => {
  const deadlines = new Deadlines(100)
  const order: string[] = []
  // From here on timers come before what has arrived.
  await turn()
  const answered = new Promise<void>((resolve) => {
    stat(__filename, () => {
      order.push('answer')
      resolve()
    })
  })
  const expired = new Promise<void>((resolve) => {
    deadlines.start(() => {
      order.push('deadline')
      resolve()
    }, 95)
  })
  block(500)
  await Promise.all([answered, expired])
  t.same(order, ['answer', 'deadline'])
})
