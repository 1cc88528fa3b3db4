import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Test } from 'tap'
import type { Decision, FillEvent, InvalidationEvent, StoreEvent, SweepEvent } from '../../index.js'
import { asking } from '../http/ask.js'
import { eachStore } from '../support/each-store.js'

const test = eachStore()
const cache = { namespace: 'users', expire: 60 } as const

/** What is published on one channel until the test ends. */
function published<Event> (t: Test, name: string): Event[] {
  const events: Event[] = []
  const listener = (event: unknown): void => { events.push(event as Event) }
  subscribe(`fastify-api-cache:${name}`, listener)
  t.teardown(() => { unsubscribe(`fastify-api-cache:${name}`, listener) })
  return events
}

test('each request on a cached route publishes one decision, and one without a policy none', async (t, options) => {
  const decisions = published<Decision>(t, 'decision')
  const { app, origin, ask } = await asking(t, (app) => {
    app.get('/none', async () => 'none')
    app.get('/users/:id', { config: { cache } }, async () => ({ name: 'first' }))
    app.get('/private', { config: { cache } }, async (_request, reply) => reply.header('cache-control', 'private').send('mine'))
    app.get('/failing', { config: { cache } }, async () => { throw new Error('broken') })
    app.get('/raw', { config: { cache } }, (_request, reply) => {
      reply.hijack()
      reply.raw.end('raw')
    })
    app.get('/fault', { config: { cache: { ...cache, key: () => { throw new Error('no key') } } } }, async () => 'answer')
  }, options)

  const expected: Array<[path: string, headers: Record<string, string>, decision: Partial<Decision>, method?: string]> = [
    ['/users/1', {}, { outcome: 'miss', forwarded: 'uri-miss', stored: true, status: 200, bytes: 16 }],
    ['/users/1', {}, { outcome: 'hit', forwarded: undefined, stored: false, status: 200, bytes: 16 }],
    ['/users/1', { cookie: 'a=b' }, { outcome: 'bypass', forwarded: 'bypass', detail: 'credentials' }],
    ['/users/1', { 'cache-control': 'no-store' }, { outcome: 'bypass', forwarded: 'request', detail: 'no-store' }],
    ['/users/1', { 'cache-control': 'no-cache' }, { outcome: 'miss', forwarded: 'request', stored: true }],
    ['/users/2', { 'cache-control': 'only-if-cached' }, { outcome: 'bypass', detail: 'miss' }],
    ['/users/2', {}, { outcome: 'miss', forwarded: 'uri-miss', detail: 'head', stored: false }, 'HEAD'],
    ['/users/1', { 'if-none-match': '*' }, { outcome: 'hit' }],
    ['/private', {}, { outcome: 'miss', detail: 'private', stored: false }],
    ['/failing', {}, { outcome: 'miss', detail: 'failed', stored: false }],
    ['/raw', {}, { outcome: 'miss', stored: false }],
    ['/fault', {}, { outcome: 'bypass', detail: 'policy' }]
  ]
  for (const [path, headers, decision, method] of expected) {
    decisions.length = 0
    await ask(path, headers, method)
    t.equal(decisions.length, 1, `${path} ${JSON.stringify(headers)}`)
    t.match(decisions[0], { prefix: 'api-cache', ...decision })
  }
  t.match(decisions[0], { route: 'GET /fault' })
  decisions.length = 0
  await ask('/users/1')
  const [hit] = decisions
  t.match(hit, { route: 'GET /users/:id', namespace: 'users', key: `api-cache|users:GET /users/1 ${origin}`, collapsed: false })
  t.ok(hit!.ttl! > 0 && hit!.ttl! <= 60)
  t.ok(hit!.age! >= 0)
  decisions.length = 0
  await ask('/none')
  t.same(decisions, [])

  const { hits, misses, bypasses, stored } = app.apiCache.stats()
  t.same({ hits, misses, bypasses, stored }, { hits: 3, misses: 6, bypasses: 4, stored: 2 }, 'the counters count these')
})

test('a response that a request waited for is published as collapsed', async (t, options) => {
  const decisions = published<Decision>(t, 'decision')
  const { ask } = await asking(t, (app) => app.get('/', { config: { cache } }, async () => {
    await new Promise((resolve) => { setTimeout(resolve, 50) })
    return 'answer'
  }), options)
  await Promise.all(Array.from({ length: 5 }, () => ask('/')))
  t.equal(decisions.length, 5)
  t.equal(decisions.filter(({ outcome, collapsed }) => outcome === 'hit' && collapsed).length, 4)
})

test('fills, invalidations and sweeps are published, with their outcome', async (t, options) => {
  const fills = published<FillEvent>(t, 'fill')
  const invalidations = published<InvalidationEvent>(t, 'invalidation')
  const sweeps = published<SweepEvent>(t, 'sweep')
  const { app, origin, ask } = await asking(t, (app) => {
    app.get('/', { config: { cache } }, async () => 'answer')
    app.get('/cookie', { config: { cache } }, async (_request, reply) => reply.header('set-cookie', 'a=b').send('mine'))
    app.put('/', { config: { cache: { invalidate: 'users', invalidateTags: ['t'] } } }, async () => 'done')
  }, options)
  await ask('/')
  await ask('/cookie')
  t.match(fills, [
    { outcome: 'stored', key: `api-cache|users:GET / ${origin}`, route: 'GET /', bytes: 6 },
    { outcome: 'not-stored', reason: 'set-cookie', route: 'GET /cookie' }
  ])
  await ask('/', {}, 'PUT')
  await app.apiCache.settled()
  t.match(invalidations, [{ namespaces: ['users'], tags: ['t'], delivered: true }])
  t.match(sweeps, [{ swept: 1 }])
})

test('failures of a store are published, and no event contains a body or a header', async (t, options) => {
  const events = ['decision', 'fill', 'invalidation', 'sweep', 'store'].map((name) => published<object>(t, name))
  const { ask } = await asking(t, (app) => {
    app.get('/', { config: { cache: { ...cache, scope: 'shared' } } }, async (_request, reply) => reply.header('x-own', 'a-header').send('a-body'))
  }, options)
  for (let request = 1; request <= 2; request++) await ask('/', { authorization: 'Bearer a-credential' })
  const all = JSON.stringify(events)
  t.notMatch(all, /a-header|a-body|a-credential/)
  t.ok(events[0]!.length > 0)
})

test('a store that throws publishes its failure', async (t) => {
  const events = published<StoreEvent>(t, 'store')
  const failing = {
    name: 'failing',
    lookup () { throw new Error('no store') },
    versions: () => [],
    ensure: () => [],
    bump () {},
    set () {},
    async * keys () {},
    sweep: () => 0
  }
  const { ask, app } = await asking(t, (app) => app.get('/', { config: { cache } }, async () => 'answer'), { store: failing })
  t.equal((await ask('/')).text, 'answer')
  t.match(events, [{ store: 'failing', state: 'failed', operation: 'lookup' }])
  t.equal(app.apiCache.stats().failures, 1)
})
