import { gunzipSync } from 'node:zlib'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { ReadPolicy } from '../../index.js'
import { ask } from '../http/ask.js'
import { eachTier } from '../support/each-store.js'
import { gate } from '../support/gate.js'
import { serving, type Serving } from '../support/serving.js'

/*
 * What a policy does for a route, it does from a place inside a handler on.
 */

const test = eachTier()

type Run = (request: FastifyRequest, reply: FastifyReply) => unknown

/** The two places for a policy. */
const DOORS: Record<string, (app: FastifyInstance, policy: Omit<ReadPolicy, 'serveFrom'>, run: Run) => unknown> = {
  'of the route': (app, cache, run) => app.get('/', { config: { cache } }, async (request, reply) => run(request, reply)),
  'inside its handler': (app, policy, run) => app.get('/', async (request, reply) => await reply.cached(policy, async () => run(request, reply)))
}

/** The body of a response, and what the cache said. */
type Get = (headers?: Record<string, string>) => Promise<string>

interface Played extends Serving {
  readonly get: Get
  /** What the next runs of the handler do. */
  next: () => unknown
}

interface Play {
  readonly policy?: Partial<ReadPolicy>
  readonly steps: (played: Played) => Promise<string[]>
  readonly expected: string[]
}

const PLAYS: Record<string, Play> = {
  'a write makes an entry old': {
    async steps ({ app, get }) {
      const before = [await get(), await get()]
      await app.apiCache.invalidate('doors')
      return [...before, await get(), await get()]
    },
    expected: ['run 1 miss', 'run 1 hit', 'run 2 miss', 'run 2 hit']
  },
  'what was begun before a write is not served after it': {
    async steps (played) {
      const { app, get } = played
      const [begun, write] = [gate(), gate()]
      played.next = async () => { begun.open(); await write.opened }
      const early = get()
      await begun.opened
      played.next = () => {}
      await app.apiCache.invalidate('doors')
      write.open()
      await early
      return [await get(), await get()]
    },
    expected: ['run 2 miss', 'run 2 hit']
  },
  'tags of what the handler answers': {
    policy: { tags: (_request, payload) => [String(payload).split(' ')[0]!] },
    async steps ({ app, get }) {
      const before = [await get(), await get()]
      await app.apiCache.invalidateTags('other')
      before.push(await get())
      await app.apiCache.invalidateTags('run')
      return [...before, await get()]
    },
    expected: ['run 1 miss', 'run 1 hit', 'run 1 hit', 'run 2 miss']
  },
  'what a soft write made old bridges its refresh': {
    policy: { staleWhileRevalidate: 60 },
    async steps ({ app, get }) {
      await get()
      await app.apiCache.invalidate('doors', { soft: '30s' })
      return [await get(), await get()]
    },
    expected: ['run 1 hit;detail=soft-stale-while-revalidate', 'run 2 hit']
  },
  'and a failure': {
    policy: { staleIfError: 60 },
    async steps (played) {
      const { app, get } = played
      await get()
      await app.apiCache.invalidate('doors', { soft: '30s' })
      played.next = () => { throw new Error('of the handler') }
      return [await get()]
    },
    expected: ['run 1 hit;detail=soft-stale-if-error']
  },
  'each scope has its own': {
    policy: { scope: ({ headers }) => headers['x-user'] as string | undefined },
    steps: async ({ get }) => [
      await get({ 'x-user': 'ada' }), await get({ 'x-user': 'bob' }), await get({ 'x-user': 'ada' }), await get()
    ],
    expected: ['run 1 miss', 'run 2 miss', 'run 1 hit', 'run 3 fwd=bypass;detail=policy']
  },
  'requests with credentials bypass': {
    policy: { scope: 'anonymous', credentials: { cookies: ['session'] } },
    steps: async ({ get }) => [await get({ cookie: '_ga=1' }), await get({ cookie: 'session=1' }), await get()],
    expected: ['run 1 miss', 'run 2 fwd=bypass;detail=credentials', 'run 1 hit']
  },
  'conditions and ranges are answered': {
    async steps ({ get }) {
      await get()
      return [await get({ range: 'bytes=4-4' }), await get({ 'if-none-match': '*' })]
    },
    expected: ['1 hit', ' hit']
  }
}

for (const [what, { policy, steps, expected }] of Object.entries(PLAYS)) {
  for (const [door, declare] of Object.entries(DOORS)) {
    test(`${what}: the policy ${door}`, async (t, options) => {
      let runs = 0
      const served = await serving(t, { timeout: 20_000, ...options }, (app) => declare(app, { namespace: 'doors', expire: 60, scope: 'shared', ...policy }, async () => {
        const run = ++runs
        await played.next()
        return `run ${run}`
      }))
      const played: Played = {
        ...served,
        next: () => {},
        async get (headers) {
          const { text, headers: { 'cache-status': said } } = await ask(served.origin, headers)
          await served.app.apiCache.settled()
          // Whether an old entry is still there depends on the sweep.
          return `${text} ${String(said).replace('fastify-api-cache;', '').replace(/;ttl=\d+/, '').replace(/^fwd=(uri-miss|stale).*/, 'miss')}`
        }
      }
      t.same(await steps(played), expected)
    })
  }
}

for (const [door, declare] of Object.entries(DOORS)) {
  test(`a body is kept in the coding of its readers: the policy ${door}`, async (t, options) => {
    const text = JSON.stringify(Array.from({ length: 500 }, (_, id) => ({ id })))
    const { app, origin } = await serving(t, { timeout: 20_000, ...options }, (app) =>
      declare(app, { namespace: 'doors', expire: 60, scope: 'shared', compress: ['gzip'] }, (_request, reply) => reply.type('application/json').send(text)))
    for (const cache of ['MISS', 'HIT', 'HIT']) {
      const { headers, bytes } = await ask(origin, { 'accept-encoding': 'gzip' })
      t.match(headers, { 'x-api-cache': cache, 'content-encoding': 'gzip' })
      t.equal(gunzipSync(bytes).toString(), text)
      await app.apiCache.settled()
    }
    const { headers, text: plain } = await ask(origin)
    t.match(headers, { 'x-api-cache': 'HIT' })
    t.equal(plain, text)
  })
}
