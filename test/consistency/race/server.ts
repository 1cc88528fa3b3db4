import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import Fastify, { type FastifyRequest } from 'fastify'
import apiCache from '../../../index.js'
import { sayHello } from '../../support/child-process.js'
import { Random } from '../../support/random.js'
import { Counters } from './counters.js'
import { NAMESPACE_SIZE, ROUTE_WINDOW, SOFT } from './registers.js'
import { delayed, forgetting, openStore, outliving, pause, trusting, type Broken, type StoreName } from './stores.js'

/** What the driver tells a server. */
export interface ServerSettings {
  readonly store: StoreName
  readonly index: number
  /** Redis breaks down now and then. */
  readonly outages: boolean
  readonly seed: number
  readonly redisPort: number
  readonly countersPort: number
  /** Begins the names of this server's counters: only a memory store has its own. */
  readonly owner: string
  readonly broken?: Broken
}

interface Shown {
  readonly name: string
  readonly value: number
}

/** How often a handler of that kind fails. */
const FAILING = 0.3
/** How often a write of that kind throws, and how often it is late. */
const UNKNOWN = 0.3
const HANDLER_TIMEOUT = 100

async function main ({ store: storeName, index, outages, seed, redisPort, countersPort, owner, broken }: ServerSettings): Promise<void> {
  const random = new Random(seed)
  const counters = await Counters.open(countersPort)
  // A client of the user's has other habits than one of the plugin's own: it queues, and sends again.
  const opened = await openStore(storeName, redisPort, outages && index % 2 === 1)
  const wrong = { versions: trusting, deliveries: forgetting, softness: outliving }
  const store = delayed(broken === undefined ? opened : wrong[broken](opened, redisPort), random)

  const app = Fastify()
  await app.register(apiCache, { store, host: false, scope: 'shared', expire: '1h', timeout: outages ? 300 : 4_000, coalesceTimeout: 1_000 })

  // Of the moment when the answer leaves, after all hooks.
  app.addHook('onRequest', async (_request, { raw }) => {
    const { writeHead } = raw
    raw.writeHead = ((...args: Parameters<typeof writeHead>) => {
      raw.setHeader('x-pending', app.apiCache.stats().pending)
      return writeHead.apply(raw, args)
    }) as typeof writeHead
  })

  const nameOf = (request: FastifyRequest, kind: string): string => `${owner}${kind}-${(request.params as { index: string }).index}`
  const namespaceOf = (request: FastifyRequest, kind: string): string =>
    `${kind}-${Math.floor(Number((request.params as { index: string }).index) / NAMESPACE_SIZE)}`

  const read = (kind: string) => async (request: FastifyRequest): Promise<Shown> => {
    const name = nameOf(request, kind)
    await pause(random)
    const value = await counters.get(name)
    await pause(random)
    if (random.chance(0.02)) await delay(random.next() * 150)
    return { name, value }
  }
  const write = (kind: string) => async (request: FastifyRequest): Promise<Shown> => {
    const name = nameOf(request, kind)
    await pause(random)
    const value = await counters.increment(name)
    await pause(random)
    return { name, value }
  }

  for (const [kind, coalesce] of [['plain', 'process'], ['fleet', 'fleet']] as const) {
    app.get(`/${kind}/:index`, { config: { cache: { namespace: (request) => namespaceOf(request, kind), coalesce } } }, read(kind))
    app.post(`/${kind}/:index`, { config: { cache: { invalidate: (request) => namespaceOf(request, kind) } } }, write(kind))
  }

  app.get('/twice/left/:index', { config: { cache: { namespace: 'left' } } }, read('twice'))
  app.get('/twice/right/:index', { config: { cache: { namespace: (request) => namespaceOf(request, 'right') } } }, read('twice'))
  app.post('/twice/:index', { config: { cache: { invalidate: (request) => ['left', namespaceOf(request, 'right')] } } }, write('twice'))

  app.get('/tagged/:index', { config: { cache: { namespace: 'tagged', tags: (request) => [nameOf(request, 'tagged'), 'any'] } } }, read('tagged'))
  app.post('/tagged/:index', { config: { cache: { invalidateTags: (request) => nameOf(request, 'tagged') } } }, write('tagged'))

  app.get('/payload/:index', { config: { cache: { namespace: 'payload', tags: (_request, payload) => [(payload as Shown).name, 'any'] } } }, read('payload'))
  app.post('/payload/:index', { config: { cache: { invalidateTags: (_request, payload) => [(payload as Shown).name] } } }, write('payload'))

  // Seconds are the shortest time in which an entry becomes old.
  const aging = { expire: 1, staleWhileRevalidate: '1h' } as const
  app.get('/aging/:index', {
    config: { cache: { ...aging, namespace: (request) => namespaceOf(request, 'aging'), earlyRefresh: 5 } }
  }, read('aging'))
  app.post('/aging/:index', { config: { cache: { invalidate: (request) => namespaceOf(request, 'aging') } } }, write('aging'))

  for (const kind of ['failing', 'bridged']) {
    app.get(`/${kind}/:index`, {
      config: { cache: { namespace: kind, tags: (_request, payload) => [(payload as Shown).name], expire: 1, staleIfError: '1h', softTimeout: 20 } }
    }, async (request) => {
      const shown = await read(kind)(request)
      if (random.chance(FAILING)) throw new Error('the handler failed')
      return shown
    })
    app.post(`/${kind}/:index`, { config: { cache: { invalidateTags: (request) => nameOf(request, kind) } } }, write(kind))
  }

  app.get('/soft/:index', {
    config: { cache: { namespace: (request) => namespaceOf(request, 'soft'), staleWhileRevalidate: ROUTE_WINDOW } }
  }, read('soft'))
  app.post('/soft/:index', { config: { cache: { invalidate: (request) => namespaceOf(request, 'soft') } } }, write('soft'))
  for (const [end, soft] of Object.entries(SOFT)) {
    app.post(`/soft/:index/${end}`, {
      config: { cache: { invalidate: { namespaces: (request) => namespaceOf(request, 'soft'), soft } } }
    }, write('soft'))
    app.post(`/bridged/:index/${end}`, {
      config: { cache: { invalidateTags: { tags: (request) => nameOf(request, 'bridged'), soft } } }
    }, write('bridged'))
  }

  // Who writes here gets no answer that says what was written.
  app.post('/unknown/:index', {
    handlerTimeout: HANDLER_TIMEOUT,
    config: { cache: { invalidate: (request) => namespaceOf(request, 'unknown'), strict: store.intents !== undefined, invalidateOn: 'settled' } }
  }, async (request) => {
    if (random.chance(UNKNOWN)) await delay(HANDLER_TIMEOUT * 2 * random.next())
    const shown = await write('unknown')(request)
    if (random.chance(UNKNOWN)) throw new Error('failed after the commit')
    return shown
  })
  app.get('/unknown/:index', { config: { cache: { namespace: (request) => namespaceOf(request, 'unknown') } } }, read('unknown'))

  await app.listen({ host: '127.0.0.1', port: 0 })
  sayHello({ port: (app.server.address() as AddressInfo).port })
}

void main(JSON.parse(process.argv[2]!) as ServerSettings)
