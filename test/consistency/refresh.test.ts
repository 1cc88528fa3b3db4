import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { ReadPolicy } from '../../index.js'
import { eachStore } from '../support/each-store.js'
import { gate } from '../support/gate.js'
import { loggingTo, type LogLine } from '../support/log.js'
import { serving, type Seen } from '../support/serving.js'

/*
 * Entries that are old by time: refreshed before, served while they are refreshed, or if that fails. What a
 * write made old is never served.
 */

const each = eachStore()
const shared = { namespace: 'things', expire: 1, scope: 'shared' } as const

const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => make(index))

/** Until a refresh has begun, which is when the server has seen a response leave. */
async function until (isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await delay(1)
}

/** Until an entry with `expire: 1` is stale. */
const untilStale = (): Promise<void> => delay(1_050)

interface Things {
  runs: number
  fails: boolean
  /** What each run waits for. */
  waits: Promise<unknown> | undefined
}

/** A route whose answers count its runs, and a write. */
function things (app: FastifyInstance, policy: Partial<ReadPolicy>): Things {
  const state: Things = { runs: 0, fails: false, waits: undefined }
  app.get('/things', { config: { cache: { ...shared, ...policy } as ReadPolicy } }, async () => {
    const run = ++state.runs
    await state.waits
    if (state.fails) throw new Error(`run ${run} failed`)
    return { run }
  })
  app.put('/things', { config: { cache: { invalidate: 'things' } } }, async () => 'written')
  return state
}

const setTimer = setTimeout

const run = ({ text }: Seen): number => (JSON.parse(text) as { run: number }).run
const statusOf = ({ headers }: Seen): string => String(headers.get('cache-status'))

each('where Fastify makes replies in another way, a request of the application refreshes the entry', async (t, options) => {
  let state!: Things
  const { request } = await serving(t, options, (app) => {
    state = things(app, { staleWhileRevalidate: 60 })
    app.addHook('preHandler', async (_request, reply) => { Object.assign(reply, { constructor: class {} }) })
  })
  await request('/things')
  await untilStale()
  t.equal(run(await request('/things')), 1)
  await until(() => state.runs === 2)
  let fresh: Seen
  do fresh = await request('/things')
  while (run(fresh) === 1)
  t.equal(run(fresh), 2)
})

for (const refreshWith of ['handler', 'inject'] as const) {
  each(`a stale entry is served at once while one refresh runs (${refreshWith})`, async (t, options) => {
    let state!: Things
    const { app, request } = await serving(t, options, (app) => { state = things(app, { staleWhileRevalidate: 60, refreshWith }) })
    await request('/things')
    await untilStale()
    const held = gate()
    state.waits = held.opened
    const answers = await Promise.all(times(50, () => request('/things')))
    t.ok(answers.every((answer) => run(answer) === 1 && answer.cache === 'HIT'))
    t.match(statusOf(answers[0]!), /;hit;ttl=(?:0|-\d);detail=stale-while-revalidate$/)
    t.ok(Number(answers[0]!.headers.get('age')) >= 1)
    await until(() => state.runs === 2)
    held.open()
    await app.apiCache.settled()
    t.equal(state.runs, 2, 'one refresh')
    const fresh = await request('/things')
    t.equal(run(fresh), 2)
    t.match(statusOf(fresh), /;hit;ttl=1$/)
  })

  each(`what a write invalidated is not served while it is refreshed (${refreshWith})`, async (t, options) => {
    let state!: Things
    const { app, request } = await serving(t, options, (app) => {
      state = things(app, { staleWhileRevalidate: 60, staleIfError: 60, refreshWith })
    })
    await request('/things')
    await untilStale()
    await request('/things', { method: 'PUT' })
    t.equal(run(await request('/things')), 2)
    await untilStale()
    const held = gate()
    state.waits = held.opened
    t.equal(run(await request('/things')), 2, 'stale, and its refresh has begun')
    await until(() => state.runs === 3)
    await request('/things', { method: 'PUT' })
    state.waits = undefined
    t.equal(run(await request('/things')), 4, 'a refresh from before the write is not waited for')
    held.open()
    await app.apiCache.settled()
    t.ok(run(await request('/things')) >= 4, 'nor is what it brings ever served')
  })
}

each('if the handler fails, a stale entry is served, and the next try waits', async (t, options) => {
  let state!: Things
  const lines: LogLine[] = []
  const { app, request } = await serving(t, options, (app) => { state = things(app, { staleIfError: 60 }) }, loggingTo(lines))
  await request('/things')
  await untilStale()
  state.fails = true
  const answers = await Promise.all(times(50, () => request('/things')))
  t.ok(answers.every((answer) => answer.status === 200 && run(answer) === 1 && answer.cache === 'HIT'))
  t.match(statusOf(answers[0]!), /detail=stale-if-error/)
  t.equal(state.runs, 2)
  for (let count = 0; count < 5; count++) t.equal(run(await request('/things')), 1)
  t.equal(state.runs, 2, 'not tried again within a second')
  t.ok(lines.some(({ msg, err }) => /a refresh failed/.test(msg) && /run 2 failed/.test(JSON.stringify(err))))
  await delay(1_050)
  state.fails = false
  t.equal(run(await request('/things')), 3)
  await app.apiCache.settled()
  t.match(statusOf(await request('/things')), /;hit;ttl=1$/)
})

each('after a failed refresh any fill of the key that succeeds lets the next refresh begin at once', async (t, options) => {
  let state!: Things
  const { app, request } = await serving(t, options, (app) => { state = things(app, { expire: 60, staleWhileRevalidate: 60 }) })
  const readStale = async (): Promise<number> => {
    await app.apiCache.settled()
    await app.apiCache.invalidate('things', { soft: 60 })
    return run(await request('/things'))
  }
  await request('/things')
  state.fails = true
  t.equal(await readStale(), 1)
  await until(() => state.runs === 2)
  t.equal(await readStale(), 1)
  await app.apiCache.settled()
  t.equal(state.runs, 2, 'not tried again at once')
  state.fails = false
  t.equal(run(await request('/things', { headers: { 'cache-control': 'no-cache' } })), 3)
  const began = performance.now()
  t.equal(await readStale(), 3)
  await until(() => state.runs === 4 || performance.now() - began > 5_000)
  t.equal(state.runs, 4)
})

each('an invalidated entry does not answer for a handler that fails', async (t, options) => {
  let state!: Things
  const { request } = await serving(t, options, (app) => { state = things(app, { staleIfError: 60 }) })
  await request('/things')
  await untilStale()
  await request('/things', { method: 'PUT' })
  state.fails = true
  t.equal((await request('/things')).status, 500)
})

const outages: Record<string, (app: FastifyInstance, cache: ReadPolicy) => void> = {
  'it sends a 503': (app, cache) => {
    let runs = 0
    app.get('/things', { config: { cache } }, async (_request, reply) => ++runs === 1 ? { run: 1 } : await reply.code(503).send({ run: runs }))
  },
  'it runs into handlerTimeout': (app, cache) => {
    let runs = 0
    app.get('/things', { config: { cache }, handlerTimeout: 300 }, async () => ++runs === 1 ? { run: 1 } : await new Promise(() => {}))
  },
  'it hangs for longer than softTimeout': (app, cache) => {
    let runs = 0
    app.get('/things', { config: { cache: { ...cache, softTimeout: 50 } } }, async () => ++runs === 1 ? { run: 1 } : await new Promise(() => {}))
  }
}

for (const [how, declare] of Object.entries(outages)) {
  each(`a stale entry answers for a handler when ${how}`, async (t, options) => {
    const { request } = await serving(t, options, (app) => { declare(app, { ...shared, staleIfError: 60 }) })
    await request('/things')
    await untilStale()
    const answers = await Promise.all(times(10, () => request('/things')))
    t.ok(answers.every((answer) => answer.status === 200 && run(answer) === 1))
  })
}

each('with softTimeout the fill goes on, and a later request gets it', async (t, options) => {
  let state!: Things
  const { app, request } = await serving(t, options, (app) => { state = things(app, { staleIfError: 60, softTimeout: 50, expire: 2 }) })
  await request('/things')
  await delay(2_050)
  const held = gate()
  state.waits = held.opened
  const began = performance.now()
  t.equal(run(await request('/things')), 1)
  t.ok(performance.now() - began < 4_000, 'long before coalesceTimeout')
  held.open()
  await app.apiCache.settled()
  t.equal(run(await request('/things')), 2)
  t.equal(state.runs, 2)
})

each('a refresh that brings a 404 ends the entry', async (t, options) => {
  let found = true
  let runs = 0
  const { app, request } = await serving(t, options, (app) => {
    app.get('/things', { config: { cache: { ...shared, staleWhileRevalidate: 60 } } }, async (_request, reply) => {
      runs++
      return found ? { run: 1 } : await reply.code(404).send('gone')
    })
  })
  await request('/things')
  await untilStale()
  found = false
  t.equal((await request('/things')).status, 200)
  await until(() => runs === 2)
  await app.apiCache.settled()
  t.equal((await request('/things')).status, 404)
})

for (const directive of ['must-revalidate', 'proxy-revalidate', 's-maxage=1', 'stale-while-revalidate=0, stale-if-error=0']) {
  each(`no stale entry is served if the handler sends ${directive}`, async (t, options) => {
    let runs = 0
    const { request } = await serving(t, options, (app) => {
      app.get('/things', { config: { cache: { ...shared, staleWhileRevalidate: 60, staleIfError: 60 } } }, async (_request, reply) =>
        await reply.header('cache-control', `max-age=1, ${directive}`).send({ run: ++runs }))
    })
    await request('/things')
    await untilStale()
    t.equal(run(await request('/things')), 2)
  })
}

each('the handler itself allows stale answers', async (t, options) => {
  let runs = 0
  const { request } = await serving(t, options, (app) => {
    app.get('/things', { config: { cache: shared } }, async (_request, reply) =>
      await reply.header('cache-control', 'max-age=1, stale-while-revalidate=60').send({ run: ++runs }))
  })
  await request('/things')
  await untilStale()
  t.equal(run(await request('/things')), 1)
})

each('a request with no-cache gets no stale entry', async (t, options) => {
  const { request } = await serving(t, options, (app) => { things(app, { staleWhileRevalidate: 60, staleIfError: 60 }) })
  await request('/things')
  await untilStale()
  t.equal(run(await request('/things', { headers: { 'cache-control': 'no-cache' } })), 2)
})

each('with earlyRefresh an entry is refreshed before it is stale, and nobody waits', async (t, options) => {
  let state!: Things
  const { app, request } = await serving(t, options, (app) => { state = things(app, { expire: 60, earlyRefresh: 1_000_000 }) })
  state.waits = delay(300)
  await request('/things')
  const held = gate()
  state.waits = held.opened
  const answers = await Promise.all(times(20, () => request('/things')))
  t.ok(answers.every((answer) => run(answer) === 1 && answer.cache === 'HIT'))
  await until(() => state.runs === 2)
  held.open()
  await app.apiCache.settled()
  t.equal(run(await request('/things')), 2)
})

each('a refresh meets the hooks behind the handler, and none before it nor after the response', async (t, options) => {
  const seen: string[] = []
  const { app, request } = await serving(t, options, (app) => {
    for (const name of ['onRequest', 'preHandler', 'preSerialization', 'onSend', 'onResponse'] as const) {
      app.addHook(name as 'onRequest', async () => { seen.push(name) })
    }
    app.get('/things/:id', { config: { cache: { ...shared, staleWhileRevalidate: 60 } } }, async (request) => {
      seen.push('handler')
      return { id: (request.params as { id: string }).id, name: request.headers['x-name'], conditions: request.headers['if-none-match'] }
    })
  })
  const first = await request('/things/7', { headers: { 'x-name': 'a' } })
  await untilStale()
  seen.length = 0
  await request('/things/7', { headers: { 'x-name': 'a', 'if-none-match': String(first.headers.get('etag')) } })
  await until(() => seen.includes('onResponse') && seen.filter((name) => name === 'onSend').length === 2)
  await app.apiCache.settled()
  t.same([...seen].sort(), ['handler', 'onRequest', 'onResponse', 'onSend', 'onSend', 'preHandler', 'preSerialization'].sort())
  t.same(JSON.parse((await request('/things/7')).text), { id: '7', name: 'a' })
})

each('a cookie that a hook sets on a refresh keeps its answer from being stored', async (t, options) => {
  let sets = false
  let state!: Things
  const { app, request } = await serving(t, options, (app) => {
    app.addHook('onSend', async (_request, reply) => { if (sets) reply.header('set-cookie', 'a=1') })
    state = things(app, { staleWhileRevalidate: 60 })
  })
  await request('/things')
  await untilStale()
  sets = true
  await request('/things')
  await until(() => state.runs === 2)
  await app.apiCache.settled()
  t.equal(state.runs, 2)
  t.equal(run(await request('/things')), 3)
})

const clumsy: Record<string, (app: FastifyInstance, cache: ReadPolicy, isFirst: () => boolean) => void> = {
  'hijacks its reply': (app, cache, isFirst) => app.get('/things', { config: { cache } }, async (_request, reply) => {
    if (isFirst()) return { run: 1 }
    reply.hijack()
    reply.raw.end('by hand')
  }),
  'writes to reply.raw': (app, cache, isFirst) => app.get('/things', { config: { cache } }, async (_request, reply) => {
    if (isFirst()) return { run: 1 }
    reply.raw.write('by hand')
    reply.raw.end()
    return reply
  }),
  'sends twice': (app, cache, isFirst) => app.get('/things', { config: { cache } }, async (_request, reply) => {
    if (isFirst()) return { run: 1 }
    void reply.send({ run: 2 })
    return { run: 2 }
  }),
  'throws what is no error': (app, cache, isFirst) => app.get('/things', { config: { cache } }, async () => {
    if (isFirst()) return { run: 1 }
    await Promise.reject('a string') // eslint-disable-line prefer-promise-reject-errors
  }),
  'sends a trailer': (app, cache, isFirst) => app.get('/things', { config: { cache } }, async (_request, reply) => {
    if (isFirst()) return { run: 1 }
    reply.trailer('x-late', (_reply, _payload, done) => { done(null, 'a') })
    return { run: 2 }
  }),
  'stops when its client leaves': (app, cache, isFirst) => app.get('/things', { config: { cache } }, async (request) => {
    if (isFirst()) return { run: 1 }
    request.signal.throwIfAborted()
    return { run: 2 }
  }),
  'throws in an error handler': (app, cache, isFirst) => {
    app.setErrorHandler(() => { throw new Error('again') })
    app.get('/things', { config: { cache } }, async () => {
      if (isFirst()) return { run: 1 }
      throw new Error('once')
    })
  }
}

for (const [what, declare] of Object.entries(clumsy)) {
  each(`a handler that ${what} in a refresh does no harm`, async (t, options) => {
    let runs = 0
    const { app, request } = await serving(t, options, (app) => {
      declare(app, { ...shared, staleWhileRevalidate: 60 }, () => ++runs === 1)
    })
    await request('/things')
    await untilStale()
    t.equal(run(await request('/things')), 1)
    await until(() => runs === 2)
    await app.apiCache.settled()
    t.equal((await app.inject('/none')).statusCode, 404, 'the server lives')
  })
}

each('an injected refresh meets all hooks and can be known, and nobody else can pass for one', async (t, options) => {
  const seen: boolean[] = []
  const { app, request } = await serving(t, options, (app) => {
    app.addHook('onRequest', async (request) => { seen.push(app.apiCache.isRefresh(request)) })
    things(app, { staleWhileRevalidate: 60, refreshWith: 'inject' })
  })
  await request('/things', { headers: { 'api-cache-refresh': 'undefined' } })
  await untilStale()
  await request('/things')
  await until(() => seen.length === 3)
  await app.apiCache.settled()
  t.same(seen, [false, false, true])
  t.equal(run(await request('/things')), 2)
})

each('an injected refresh that a guard refuses leaves the stale entry, and is not tried again at once', async (t, options) => {
  let refused = 0
  let state!: Things
  const { app, request } = await serving(t, options, (app) => {
    app.addHook('onRequest', async (request, reply) => {
      if (!app.apiCache.isRefresh(request)) return
      refused++
      return await reply.code(429).send('too many')
    })
    state = things(app, { staleWhileRevalidate: 60, refreshWith: 'inject' })
  })
  await request('/things')
  await untilStale()
  for (let count = 0; count < 5; count++) {
    t.equal(run(await request('/things')), 1)
    await until(() => refused === 1)
    await app.apiCache.settled()
  }
  t.equal(refused, 1)
  t.equal(state.runs, 1)
})

each("with serveFrom: 'onRequest' only a request that refreshes early goes past the hooks to the handler", async (t, options) => {
  let guarded = 0
  let state!: Things
  const { app, request } = await serving(t, options, (app) => {
    app.addHook('preHandler', async () => { guarded++ })
    state = things(app, { expire: 60, earlyRefresh: 1_000_000, serveFrom: 'onRequest' })
    app.get('/calm', { config: { cache: { ...shared, expire: 60, earlyRefresh: 0.000_001, serveFrom: 'onRequest' } } }, async () => 'calm')
  })
  state.waits = delay(300)
  await Promise.all([request('/things'), request('/calm')])
  t.equal(guarded, 2)
  for (let count = 0; count < 5; count++) t.equal((await request('/calm')).cache, 'HIT')
  t.equal(guarded, 2)
  t.equal(run(await request('/things')), 1)
  t.equal(guarded, 3)
  await until(() => state.runs === 2)
  await app.apiCache.settled()
})

each('a request that gets the stale entry while its refresh runs keeps its conditions', async (t, options) => {
  let state!: Things
  const { app, request } = await serving(t, options, (app) => { state = things(app, { staleIfError: 60, softTimeout: 50 }) })
  const etag = String((await request('/things')).headers.get('etag'))
  await untilStale()
  const held = gate()
  state.waits = held.opened
  t.equal((await request('/things', { headers: { 'if-none-match': etag } })).status, 304)
  held.open()
  await app.apiCache.settled()
})

each('a refresh is not aborted when the client leaves that waits for it', async (t, options) => {
  let runs = 0
  const { app, origin, request } = await serving(t, options, (app) => {
    const cache = { ...shared, staleIfError: 60 }
    app.get('/things', { config: { cache }, handlerTimeout: 10_000 }, async (request) => {
      const run = ++runs
      if (run === 2) await once(request.raw.socket, 'close')
      request.signal.throwIfAborted()
      return { run }
    })
  })
  await request('/things')
  await untilStale()
  const leaving = httpRequest(`${origin}/things`).on('error', () => {}).end()
  await until(() => runs === 2)
  leaving.destroy()
  await app.apiCache.settled()
  t.equal(run(await request('/things')), 2)
})

each('a refresh that hangs is given up: the next one begins, and a late answer is not stored', async (t, options) => {
  const signals: boolean[] = []
  const held = gate()
  const lines: LogLine[] = []
  let runs = 0
  const { app, request } = await serving(t, options, (app) => {
    const cache: ReadPolicy = { ...shared, staleWhileRevalidate: 60 }
    app.get('/things', { config: { cache }, handlerTimeout: 300 }, async (request) => {
      const run = ++runs
      if (run === 2) {
        request.signal.addEventListener('abort', () => { signals.push(true) })
        await held.opened
      }
      return { run }
    })
  }, loggingTo(lines))
  await request('/things')
  await app.apiCache.settled()
  await untilStale()
  t.equal(run(await request('/things')), 1)
  await until(() => runs === 2)
  const isRunAgain = (): boolean => runs > 2
  while (!isRunAgain()) {
    t.equal(run(await request('/things')), 1)
    await delay(50)
  }
  await app.apiCache.settled()
  t.same(signals, [true], 'its signal was aborted')
  t.ok(lines.some(({ err }) => /FST_API_CACHE_REFRESH_TIMEOUT/.test(JSON.stringify(err)) && /within 300 ms/.test(JSON.stringify(err))))
  held.open()
  await app.apiCache.settled()
  t.ok(run(await request('/things')) > 2)
})

each('without handlerTimeout a refresh that hangs is given up after a minute', async (t, options) => {
  let state!: Things
  const lines: LogLine[] = []
  const { app, request } = await serving(t, options, (app) => { state = things(app, { expire: 60, staleWhileRevalidate: 60 }) }, loggingTo(lines))
  await request('/things')
  await app.apiCache.settled()
  await app.apiCache.invalidate('things', { soft: 60 })
  const held = gate()
  state.waits = held.opened
  const minutes: Array<() => void> = []
  const started = t.intercept(globalThis, 'setTimeout', {
    value: (callback: () => void, ...rest: [milliseconds: number]) => {
      if (rest[0] === 60_000) minutes.push(callback)
      return setTimer(callback, ...rest)
    }
  })
  t.equal(run(await request('/things')), 1)
  await until(() => state.runs === 2)
  started.restore()
  t.equal(minutes.length, 1)
  minutes[0]!()
  held.open()
  await app.apiCache.settled()
  t.equal(run(await request('/things')), 1, 'what it brought is not stored')
  t.ok(lines.some(({ err }) => /within 60000 ms/.test(JSON.stringify(err))))
})
