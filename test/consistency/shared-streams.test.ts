import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { eachStore } from '../support/each-store.js'
import { gate } from '../support/gate.js'
import { serving } from '../support/serving.js'

/*
 * Those who wait for a stream share the one that is being captured.
 */

const each = eachStore()
const shared = { namespace: 'things', expire: '1h', scope: 'shared' } as const

const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => make(index))

const kinds: Record<string, (chunks: AsyncIterable<Buffer>) => unknown> = {
  'a Node stream': (chunks) => Readable.from(chunks),
  'a web stream': (chunks) => Readable.toWeb(Readable.from(chunks)),
  'a Response': (chunks) => new Response(Readable.toWeb(Readable.from(chunks)) as ReadableStream)
}

for (const [kind, streamOf] of Object.entries(kinds)) {
  each(`of 50 concurrent requests for ${kind} one runs the handler, and all get its bytes`, async (t, options) => {
    let runs = 0
    const { app, request } = await serving(t, options, (app) => {
      app.get('/things', { config: { cache: shared } }, async (_request, reply) => {
        const run = ++runs
        reply.type('application/octet-stream')
        return streamOf((async function * () {
          for (let part = 0; part < 20; part++) {
            yield Buffer.alloc(1_000, 16 * run + part % 16)
            await delay(5)
          }
        })())
      })
    })
    const answers = await Promise.all(times(50, () => request('/things')))
    t.equal(runs, 1)
    t.equal(new Set(answers.map(({ bytes }) => bytes.toString('hex'))).size, 1)
    t.equal(answers[0]!.bytes.length, 20_000)
    t.equal(answers.filter(({ cache }) => cache === 'MISS').length, 1)
    await app.apiCache.settled()
    t.equal(app.apiCache.stats().filling, 0)
    t.equal((await request('/things')).cache, 'HIT')
  })

  each(`a client that reads ${kind} slowly does not keep others waiting`, async (t, options) => {
    let runs = 0
    const size = 4 * 1024 * 1024
    const { request, origin } = await serving(t, options, (app) => {
      app.get('/things', { config: { cache: { ...shared, maxBytes: 2 * size } } }, async () => {
        runs++
        return streamOf((async function * () {
          for (let part = 0; part < 64; part++) yield Buffer.alloc(size / 64, part)
        })())
      })
    })
    const [slow] = await once(httpRequest(`${origin}/things`).end(), 'response') as [IncomingMessage]
    slow.pause()
    const answers = await Promise.all(times(5, () => request('/things')))
    t.equal(runs, 1)
    t.ok(answers.every(({ bytes, cache }) => bytes.length === size && cache === 'HIT'))
    let read = 0
    for await (const chunk of slow) read += (chunk as Buffer).length
    t.equal(read, size)
  })

  each(`${kind} is read on for those who wait when its client disconnects`, async (t, options) => {
    let runs = 0
    let arrived = 0
    const othersWait = gate()
    const { request, origin } = await serving(t, options, (app) => {
      app.addHook('preHandler', async () => { if (++arrived === 6) othersWait.open() })
      app.get('/things', { config: { cache: shared } }, async (request) => {
        runs++
        return streamOf((async function * () {
          yield Buffer.from('begun ')
          await once(request.raw.socket, 'close')
          await delay(20)
          yield Buffer.from('ended')
        })())
      })
    })
    const leader = httpRequest(`${origin}/things`).on('error', () => {}).end()
    const [response] = await once(leader, 'response') as [IncomingMessage]
    response.on('error', () => {}).resume()
    const answering = times(5, () => request('/things'))
    await othersWait.opened
    await delay(20)
    leader.destroy()
    const answers = await Promise.all(answering)
    t.ok(answers.every(({ text }) => text === 'begun ended'), answers[0]!.text)
    t.equal(runs, 1)
  })

  each(`those who wait for ${kind} that fails get its error`, async (t, options) => {
    let runs = 0
    let arrived = 0
    const allArrived = gate()
    const { request } = await serving(t, options, (app) => {
      app.addHook('preHandler', async () => { if (++arrived === 10) allArrived.open() })
      app.get('/things', { config: { cache: shared } }, async () => {
        runs++
        return streamOf((async function * () {
          yield Buffer.from('begun ')
          await allArrived.opened
          await delay(20)
          throw new Error('the source failed')
        })())
      })
    })
    const answers = await Promise.allSettled(times(10, () => request('/things')))
    t.equal(runs, 1)
    const statuses = answers.map((answer) => answer.status === 'fulfilled' ? answer.value.status : 'cut off')
    t.same(statuses.sort(), [...times(9, () => 500), 'cut off'])
  })
}

each('a stream that takes longer than coalesceTimeout is not waited for, nor are the next ones for a while', async (t, options) => {
  const TIMEOUT = 1_000
  const { origin } = await serving(t, { ...options, coalesceTimeout: TIMEOUT }, (app) => {
    app.get('/things', { config: { cache: shared } }, async () => Readable.from((async function * () {
      yield 'begun'
      await new Promise(() => {})
    })()))
  })
  /** Milliseconds until the response begins. It never ends. */
  const begins = async (): Promise<number> => {
    const began = performance.now()
    const asked = httpRequest(`${origin}/things`).on('error', () => {}).end()
    t.teardown(() => { asked.destroy() })
    const [response] = await once(asked, 'response') as [IncomingMessage]
    response.on('error', () => {}).resume()
    return performance.now() - began
  }
  await begins()
  t.ok(await begins() > TIMEOUT - 50, 'waits for the first')
  for (const took of [await begins(), await begins()]) t.ok(took < TIMEOUT - 50, `${took.toFixed(0)} ms`)
})
