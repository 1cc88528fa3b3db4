import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply } from 'fastify'
import t, { type Test } from 'tap'
import type { ApiCacheOptions, Entry } from '../../index.js'
import { eachStore } from '../support/each-store.js'
import { gate } from '../support/gate.js'
import { MapStore } from '../support/map-store.js'
import { serving, type Seen, type Serving } from '../support/serving.js'

const each = eachStore()
const shared = { namespace: 'things', expire: '1h', scope: 'shared' } as const
const LEASE = 700

/**
 * Lets the test wait until so many requests for /things have come as far as they can: all go the
 * same way to the store and back, and one that sets out after them comes back after them.
 */
function arrivals (app: FastifyInstance): (count: number) => Promise<void> {
  let arrived = 0
  let probes = 0
  let check = (): void => {}
  app.addHook('preHandler', async (request) => {
    if (request.url !== '/things') return
    arrived++
    check()
  })
  app.get('/probe/:id', { config: { cache: { ...shared, namespace: (request) => `probe-${(request.params as { id: string }).id}` } } }, async () => 'ok')
  return async (count) => {
    await new Promise<void>((resolve) => {
      check = () => { if (arrived >= count) resolve() }
      check()
    })
    await app.inject(`/probe/${++probes}`)
  }
}

const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => make(index))

each('of 500 concurrent requests with an empty cache one runs the handler, and all get its response', async (t, options) => {
  let runs = 0
  const { app, request } = await serving(t, options, (app) => {
    app.get('/things', { config: { cache: shared } }, async () => {
      await delay(50)
      return { run: ++runs }
    })
  })
  const answers = await Promise.all(times(500, () => request('/things')))
  t.equal(runs, 1)
  t.ok(answers.every(({ text }) => text === '{"run":1}'))
  t.equal(answers.filter(({ cache }) => cache === 'MISS').length, 1)
  await app.apiCache.settled()
  t.equal(app.apiCache.stats().filling, 0)
})

each('requests that arrive while an entry is being stored do not run the handler', async (t, options) => {
  let runs = 0
  const { request } = await serving(t, options, (app) => {
    app.get('/things', { config: { cache: shared } }, async () => ({ run: ++runs }))
  })
  for (let round = 0; round < 20; round++) await Promise.all(times(25, () => request('/things')))
  t.equal(runs, 1)
})

/** Its first entry of /things is on its way until the test lets it arrive. */
class HeldStore extends MapStore {
  readonly arrival = gate()
  #isFirst = true

  override async set (key: string, entry: Entry, until?: number): Promise<void> {
    if (this.#isFirst && key.includes('/things')) {
      this.#isFirst = false
      await this.arrival.opened
    }
    await super.set(key, entry, until)
  }
}

/** @param isFilled whether the write comes when the handler has answered already, and its entry is on its way to the store */
async function invalidatedBesideWaiting (t: Test, options: ApiCacheOptions, isFilled: boolean): Promise<void> {
  const gates = times(2, () => gate())
  const begun = times(2, () => gate())
  let runs = 0
  let arrived = async (_count: number): Promise<void> => {}
  const { request } = await serving(t, options, (app) => {
    arrived = arrivals(app)
    app.get('/things', { config: { cache: { ...shared, tags: (_request, payload) => [payload === undefined ? 'none' : 'tag'] } } }, async () => {
      const run = runs++
      begun[run]?.open()
      await gates[run]?.opened
      return { run: run + 1 }
    })
    app.put('/things', { config: { cache: { invalidateTags: 'tag' } } }, async () => 'done')
  })
  const first = request('/things')
  await begun[0]!.opened
  if (isFilled) {
    gates[0]!.open()
    await first
    await arrived(1)
  }
  await request('/things', { method: 'PUT' })
  const second = request('/things')
  if (!isFilled) {
    await arrived(3)
    gates[0]!.open()
  }
  await begun[1]!.opened
  const third = request('/things')
  await arrived(4)
  gates[1]!.open()
  t.match(await first, { cache: 'MISS', text: '{"run":1}' })
  t.match(await second, { cache: 'MISS', text: '{"run":2}' })
  t.match(await third, { cache: 'HIT', text: '{"run":2}' })
  t.equal(runs, 2)
}

each('who waited for a fill that a write invalidated begins a new one, for which those who come later wait', async (t, options) => {
  await invalidatedBesideWaiting(t, options, false)
})

t.test('the same if the entry of that fill is still on its way to the store', async (t) => {
  const store = new HeldStore()
  await invalidatedBesideWaiting(t, { store, timeout: 10_000 }, true)
  store.arrival.open()
})

each('50 concurrent requests for a private response that takes 100 ms get one each, in the time of two', async (t, options) => {
  let runs = 0
  const { request } = await serving(t, options, (app) => {
    app.get('/mine', { config: { cache: shared } }, async (_request, reply) => {
      const run = ++runs
      await delay(100)
      return reply.header('cache-control', 'private').send({ run })
    })
  })
  const began = performance.now()
  const answers = await Promise.all(times(50, () => request('/mine')))
  const took = performance.now() - began
  t.comment(`${took.toFixed(0)} ms`)
  t.equal(new Set(answers.map(({ text }) => text)).size, 50)
  t.ok(took < 1_000, `${took} ms: not one after the other`)
})

each('after a response that cannot be shared, requests for its key do not wait for a while', async (t, options) => {
  let running = 0
  const both = gate()
  const { request } = await serving(t, options, (app) => {
    app.get('/mine', { config: { cache: shared } }, async (_request, reply) => {
      // The second and the third run meet here, or the test runs out of time.
      if (++running === 3) both.open()
      if (running > 1) await both.opened
      return reply.header('set-cookie', 'a=1').send({ ok: true })
    })
  })
  await request('/mine')
  await Promise.all([request('/mine'), request('/mine')])
  t.equal(running, 3)
})

/** Answers that go to one caller only. The first run of each waits until others do. */
const unshared: Record<string, (reply: FastifyReply, run: number) => unknown> = {
  'one that sets a cookie': (reply, run) => reply.header('set-cookie', `run=${run}`).send({ run }),
  'one that must not be stored': (reply, run) => reply.header('cache-control', 'no-store').send({ run }),
  'one that is too large': (reply, run) => reply.send({ run, large: 'x'.repeat(2_000) }),
  'one with another status that sets a cookie': (reply, run) => reply.code(503).header('set-cookie', 'a=1').send({ run }),
  'one with another status that must not be stored': (reply, run) => reply.code(503).header('cache-control', 'no-store').send({ run }),
  'an error about the caller': (_reply, run) => { throw Object.assign(new Error(`run ${run}`), { statusCode: 403 }) },
  'a refusal of the caller': (reply, run) => reply.code(401).send({ run }),
  'an error after a cookie': (reply, run) => {
    reply.header('set-cookie', 'a=1')
    throw new Error(`run ${run}`)
  },
  'one that is written by hand': (reply, run) => {
    reply.hijack()
    reply.raw.end(`run ${run}`)
  },
  'a stream that is too large': (reply, run) => reply.send(Readable.from([`run ${run}`, 'x'.repeat(2_000)]))
}

for (const [what, answer] of Object.entries(unshared)) {
  each(`requests that waited for a response that they cannot use run the handler in parallel: ${what}`, async (t, options) => {
    let runs = 0
    const first = gate()
    const allOthers = gate()
    let haveArrived!: (count: number) => Promise<void>
    const { request } = await serving(t, options, (app) => {
      haveArrived = arrivals(app)
      app.get('/things', { config: { cache: { ...shared, maxBytes: 1_000 } } }, async (_request, reply) => {
        const run = ++runs
        if (run === 1) await first.opened
        if (run === 10) allOthers.open()
        if (run > 1) await allOthers.opened
        return answer(reply, run)
      })
    })
    const answering = times(10, () => request('/things'))
    await haveArrived(10)
    t.equal(runs, 1)
    first.open()
    const answers = await Promise.all(answering)
    t.equal(new Set(answers.map(({ text }) => text)).size, 10)
  })
}

/** 20 requests wait for one whose client disconnects. What they get, and how often the handler ran. */
async function whoseClientLeaves (
  t: Test, options: ApiCacheOptions, handler: (run: number, left: Promise<unknown>) => Promise<unknown>
): Promise<{ answers: Seen[], runs: number, request: Serving['request'] }> {
  let runs = 0
  const started = gate()
  let haveArrived!: (count: number) => Promise<void>
  const { request, origin } = await serving(t, options, (app) => {
    haveArrived = arrivals(app)
    app.get('/things', { config: { cache: shared } }, async (request) => {
      started.open()
      return await handler(++runs, once(request.raw.socket, 'close'))
    })
  })
  const leader = httpRequest(`${origin}/things`)
  leader.on('error', () => {}).end()
  await started.opened
  const answering = times(20, () => request('/things'))
  await haveArrived(21)
  leader.destroy()
  return { answers: await Promise.all(answering), runs, request }
}

each('if a handler stops because its client disconnects, one waiting request takes over', async (t, options) => {
  const { answers, runs } = await whoseClientLeaves(t, options, async (run, left) => {
    if (run > 1) return { run }
    await left
    throw new Error('the client has disconnected')
  })
  t.equal(runs, 2)
  t.ok(answers.every(({ text }) => text === '{"run":2}'))
})

each('a handler goes on for those who wait when its client disconnects', async (t, options) => {
  const { answers, runs, request } = await whoseClientLeaves(t, options, async (run, left) => {
    await left
    await delay(20)
    return { run }
  })
  t.equal(runs, 1)
  t.ok(answers.every(({ text, cache }) => text === '{"run":1}' && cache === 'HIT'))
  t.equal((await request('/things')).cache, 'HIT')
})

each('no request waits longer than coalesceTimeout for a fill that hangs, and later ones do not wait for it at all', async (t, options) => {
  let runs = 0
  const started = gate()
  const { request, origin } = await serving(t, { ...options, coalesceTimeout: LEASE }, (app) => {
    app.get('/things', { config: { cache: shared } }, async (_request, reply) => {
      if (++runs > 1) return reply.code(202).send({ ok: true })
      started.open()
      return await new Promise(() => {})
    })
  })
  const leader = httpRequest(`${origin}/things`)
  leader.on('error', () => {}).end()
  await started.opened
  const timed = async (count: number): Promise<number> => {
    const began = performance.now()
    const answers = await Promise.all(times(count, () => request('/things')))
    t.ok(answers.every(({ status }) => status === 202))
    return performance.now() - began
  }
  const [waited, later] = [await timed(20), await timed(1)]
  t.ok(waited >= LEASE - 50 && waited < LEASE + 1_000, `${waited.toFixed(0)} ms`)
  t.ok(later < LEASE - 50, `${later.toFixed(0)} ms`)
  leader.destroy()
})
