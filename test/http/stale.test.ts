import { setTimeout as delay } from 'node:timers/promises'
import { eachStore } from '../support/each-store.js'
import { serving } from '../support/serving.js'

/*
 * RFC 5861, for a handler that sends the directives itself: what the newer public HTTP cache suite asks in
 * `stale-while-revalidate` and `stale-while-revalidate-window`, and two neighbours.
 */

const each = eachStore()
const policy = { namespace: 'stale', expire: '1 day', scope: 'shared' } as const

/** Until a response with `max-age=1` is stale. */
const untilStale = (): Promise<void> => delay(1_050)

each('stale-while-revalidate of a response serves it while it is refreshed', async (t, options) => {
  let runs = 0
  const { app, request } = await serving(t, options, (app) => {
    app.get('/', { config: { cache: policy } }, async (_request, reply) => {
      reply.headers({ 'cache-control': 'max-age=1, stale-while-revalidate=3600', etag: '"abc"' })
      return { run: ++runs }
    })
  })
  await request('/')
  await app.apiCache.settled()
  await untilStale()
  t.match(await request('/'), { cache: 'HIT', text: '{"run":1}' })
  await app.apiCache.settled()
})

each('a stale response whose refresh may not be stored is not served again', async (t, options) => {
  let runs = 0
  const { app, request } = await serving(t, options, (app) => {
    app.get('/', { config: { cache: policy } }, async (_request, reply) => {
      reply.headers(++runs === 1
        ? { 'cache-control': 'max-age=1, stale-while-revalidate=60', etag: '"abc"' }
        : { 'cache-control': 'no-cache', etag: '"def"' })
      return { run: runs }
    })
  })
  await request('/')
  await app.apiCache.settled()
  await untilStale()
  t.match(await request('/'), { cache: 'HIT', text: '{"run":1}' })
  const isRefreshed = (): boolean => runs > 1
  while (!isRefreshed()) await delay(5)
  await app.apiCache.settled()
  t.match(await request('/'), { cache: 'MISS', text: '{"run":3}' })
})

each('a stale response is not served after its window', async (t, options) => {
  let runs = 0
  const { app, request } = await serving(t, options, (app) => {
    app.get('/', { config: { cache: policy } }, async (_request, reply) => {
      reply.header('cache-control', 'max-age=1, stale-while-revalidate=1, stale-if-error=1')
      if (++runs > 1) throw new Error('down')
      return { run: runs }
    })
  })
  await request('/')
  await app.apiCache.settled()
  await untilStale()
  await untilStale()
  t.match(await request('/'), { cache: 'MISS', status: 500 })
})

each('stale-if-error of a response answers for a handler that fails', async (t, options) => {
  let runs = 0
  const { app, request } = await serving(t, options, (app) => {
    app.get('/', { config: { cache: policy } }, async (_request, reply) => {
      reply.header('cache-control', 'max-age=1, stale-if-error=60')
      return ++runs > 1 ? await reply.code(503).send('down') : { run: runs }
    })
  })
  await request('/')
  await app.apiCache.settled()
  await untilStale()
  t.match(await request('/'), { cache: 'HIT', status: 200, text: '{"run":1}' })
  t.equal(runs, 2)
})
