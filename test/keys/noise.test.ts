import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { MemoryStore } from '../../index.js'
import { patientStores } from '../support/patient-stores.js'
import { keysOf, serving } from '../support/serving.js'

const test = patientStores()

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void
const cache = { namespace: 'noise', expire: 60 }
const NOISE = 200

const noisy = (index: number): string => `/?page=1&x${index}=${index}&utm_${index}=1&-%2A${index}-=%00`

const QUIET = {
  'a schema removes what it does not declare': {
    config: { cache },
    schema: { querystring: { type: 'object', properties: { page: { type: 'integer' } }, additionalProperties: false } }
  },
  'query lists the parameters that count': { config: { cache: { ...cache, query: ['page'] } } },
  'ignoreQuery names those that do not': { config: { cache: { ...cache, ignoreQuery: ['x*', 'utm_*', '-*-'] } } },
  'query lists them, with serveFrom onRequest': { config: { cache: { ...cache, query: ['page'], serveFrom: 'onRequest' as const } } }
}
for (const [what, options] of Object.entries(QUIET)) {
  test(`made-up parameters create no new entry if ${what}`, async (t, storeOptions) => {
    let runs = 0
    const { app } = await serving(t, storeOptions, (app) => app.get('/', options, async () => ({ run: ++runs })))
    for (let index = 0; index < NOISE; index++) {
      t.equal((await app.inject(noisy(index))).body, '{"run":1}')
      await app.apiCache.settled()
    }
    t.equal((await keysOf(app, 'noise')).length, 1)
  })
}

test('a body larger than maxBytes is sent but not stored, however it is sent', async (t, options) => {
  const own = { config: { cache: { ...cache, maxBytes: 100 } } }
  const { app, request } = await serving(t, options, (app) => {
    app.get('/text/:n', own, async ({ params }) => 'x'.repeat(Number((params as { n: string }).n)))
    app.get('/stream/:n', own, async ({ params }) => Readable.from(['x'.repeat(Number((params as { n: string }).n) - 1), 'x']))
    app.get('/web/:n', own, async ({ params }) => new Response('x'.repeat(Number((params as { n: string }).n))))
  })
  for (const way of ['text', 'stream', 'web']) {
    for (const [n, second] of [[101, 'MISS'], [100, 'HIT']] as const) {
      t.equal((await request(`/${way}/${n}`)).bytes.length, n)
      await app.apiCache.settled()
      t.match(await request(`/${way}/${n}`), { cache: second, text: 'x'.repeat(n) }, `${way} ${n}`)
    }
  }
  t.equal((await keysOf(app, 'noise')).length, 3)
})

test('responses whose status may not be stored create no entry, however many there are', async (t, options) => {
  const { app } = await serving(t, options, (app) => app.get('/:id', { config: { cache } }, async (_request, reply) => reply.code(404).send({ missing: true })))
  for (let id = 0; id < NOISE; id++) await app.inject(`/${id}`)
  await app.apiCache.settled()
  t.same(await keysOf(app, 'noise'), [])
})

t.test('100,000 keys from outside leave the memory store within its bounds', { timeout: 120_000 }, async (t) => {
  const FLOOD = 100_000
  const maxEntries = 1_000
  const maxBytes = 4 * 1024 * 1024
  const { app } = await serving(t, { store: 'memory', memory: { maxEntries, maxBytes } }, (app) => app.get('/', { config: { cache } }, async () => 'x'.repeat(1_000)))
  const size = async (): Promise<number> => (await keysOf(app, 'noise')).length
  let heap = 0
  for (let index = 1; index <= FLOOD; index++) {
    await app.inject(`/?${index}=${'y'.repeat(200)}`)
    // Requests that never leave the process would otherwise leave it no turn to clean up.
    if (index % 100 === 0) await setImmediate()
    if (index === FLOOD / 10) heap = heapUsed()
    if (index % 10_000 === 0) t.ok(await size() <= maxEntries, `${await size()} entries`)
  }
  const grown = heapUsed() - heap
  t.ok(grown < 8 * 1024 * 1024, `${grown} bytes more after ${FLOOD} keys than after a tenth of them`)
  t.equal(app.apiCache.stats().stored, FLOOD)
})

t.test('the bytes of the memory store are bounded if the entries are few and large', async (t) => {
  const { app } = await serving(t, { store: 'memory', memory: { maxBytes: 1024 * 1024 } }, (app) => app.get('/', { config: { cache } }, async () => 'x'.repeat(100_000)))
  for (let index = 0; index < 50; index++) await app.inject(`/?${index}`)
  const entries = (await keysOf(app, 'noise')).length
  t.ok(entries >= 4 && entries <= 10, `${entries} entries of 100 KB in 1 MiB`)
})

t.test('versions of names from outside leave the memory store within its bounds', async (t) => {
  const store = new MemoryStore()
  for (let index = 0; index < 200_000; index++) store.ensure([`api-cache!version:${index}`], 'fresh')
  let versions = 0
  for await (const key of store.keys('api-cache!version:')) versions += key.length > 0 ? 1 : 0
  // A quarter of the store's 64 MiB; each takes more than its name, its token and 100 bytes.
  t.ok(versions * ('api-cache!version:100000'.length + 'fresh'.length + 100) < 16 * 1024 * 1024, `${versions} versions`)
  t.ok(versions > 50_000, `only ${versions} versions`)
})

function heapUsed (): number {
  gc()
  return process.memoryUsage().heapUsed
}
