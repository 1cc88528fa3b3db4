import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import t from 'tap'
import { fileRedis } from '../support/each-store.js'
import { see, serving, type Seen } from '../support/serving.js'
import { startProcesses, type ServerProcess } from './processes.js'

const redis = fileRedis()
let client: Redis
t.before(() => { client = new Redis(redis().url) })
t.teardown(() => { client.disconnect() })
t.beforeEach(() => client.flushall())

/** Asks the processes in turn, so that all have callers waiting. */
const ask = (servers: readonly ServerProcess[], count: number, path: string): Array<Promise<Seen>> =>
  Array.from({ length: count }, (_, index) => see(servers[index % servers.length]!.hello.origin + path))

t.test('of 500 concurrent requests to four processes with an empty cache one runs the handler', async (t) => {
  const { servers, counters } = await startProcesses(t, 4, { redis: redis().url, coalesce: 'fleet', takes: 100 })
  const answers = await Promise.all(ask(servers, 500, '/things'))
  t.equal(await counters.get('runs'), 1)
  t.ok(answers.every(({ text }) => text === '{"value":0,"tag":"thing"}'))
  t.equal(answers.filter(({ cache }) => cache === 'MISS').length, 1)
})

t.test("without coalesce: 'fleet' each of four processes runs the handler", async (t) => {
  const { servers, counters } = await startProcesses(t, 4, { redis: redis().url, coalesce: 'process', takes: 300 })
  await Promise.all(ask(servers, 500, '/things'))
  t.equal(await counters.get('runs'), 4)
})

const ways: Record<string, { expire: string, age: (server: ServerProcess) => Promise<unknown> }> = {
  'a soft write': { expire: '1h', age: async (server) => await see(`${server.hello.origin}/soft`, { method: 'POST' }) },
  time: { expire: '5s', age: async () => await delay(5_100) }
}

for (const [what, { expire, age }] of Object.entries(ways)) {
  t.test(`three processes with one key that ${what} made stale refresh it once`, async (t) => {
    const { servers, counters } = await startProcesses(t, 3, { redis: redis().url, coalesce: 'fleet', takes: 300, expire })
    const settled = (): Promise<unknown> => Promise.all(ask(servers, 3, '/ready'))
    await see(`${servers[0]!.hello.origin}/things`)
    await settled()
    await age(servers[1]!)
    const answers = await Promise.all(ask(servers, 90, '/things'))
    t.ok(answers.every(({ cache }) => cache === 'HIT'), 'nobody waits')
    await settled()
    t.equal(await counters.get('runs'), 2)
    const value = await counters.get('value')
    for (const { text } of await Promise.all(ask(servers, 3, '/things'))) t.equal(text, `{"value":${value},"tag":"thing"}`)
  })
}

t.test('a fill that takes longer than a term of the lease is still the only one', async (t) => {
  const { servers, counters } = await startProcesses(t, 4, { redis: redis().url, coalesce: 'fleet', coalesceTimeout: 4_000, takes: 2_000 })
  const began = performance.now()
  await Promise.all(ask(servers, 40, '/things'))
  t.comment(`${(performance.now() - began).toFixed(0)} ms`)
  t.equal(await counters.get('runs'), 1)
})

t.test('when the process that fills is killed, another takes over before any request has waited for the whole timeout', async (t) => {
  const coalesceTimeout = 4_000
  const { servers, counters } = await startProcesses(t, 4, { redis: redis().url, coalesce: 'fleet', coalesceTimeout })
  const [leader, ...others] = servers as [ServerProcess, ...ServerProcess[]]
  see(`${leader.hello.origin}/things?slow=1`).catch(() => {})
  await once(leader.process, 'message')

  const began = performance.now()
  const answering = ask(others, 300, '/things')
  await leader.kill()
  const answers = await Promise.all(answering)
  const took = performance.now() - began
  t.comment(`${took.toFixed(0)} ms`)
  t.equal(await counters.get('runs'), 2)
  t.ok(answers.every(({ status }) => status === 200))
  t.ok(took < coalesceTimeout, `${took} ms`)
})

t.test('no request waits longer than coalesceTimeout for a process that hangs', async (t) => {
  const coalesceTimeout = 1_000
  const { servers } = await startProcesses(t, 2, { redis: redis().url, coalesce: 'fleet', coalesceTimeout })
  const [leader, other] = servers as [ServerProcess, ServerProcess]
  see(`${leader.hello.origin}/things?slow=1`).catch(() => {})
  await once(leader.process, 'message')
  const began = performance.now()
  const answers = await Promise.all(ask([other], 20, '/things'))
  const took = performance.now() - began
  t.ok(answers.every(({ status }) => status === 200))
  t.ok(took < coalesceTimeout + 1_000, `${took.toFixed(0)} ms`)
})

t.test('requests for a response that cannot be shared run the handler at once in all processes', async (t) => {
  const { servers, counters } = await startProcesses(t, 4, { redis: redis().url, coalesce: 'fleet', takes: 1_000 })
  const began = performance.now()
  const answers = await Promise.all(ask(servers, 50, '/private'))
  const took = performance.now() - began
  t.comment(`${took.toFixed(0)} ms`)
  t.equal(new Set(answers.map(({ text }) => text)).size, 50)
  t.equal(await counters.get('runs'), 50)
  // In the time of two: the first, and then all others.
  t.ok(took < 3_500, `${took} ms`)
})

t.test('a request that came after a write does not get what another process began to fill before it', async (t) => {
  for (const tags of [undefined, 'request', 'payload'] as const) {
    await client.flushall()
    const { servers } = await startProcesses(t, 2, { redis: redis().url, coalesce: 'fleet', tags })
    const [leader, other] = servers as [ServerProcess, ServerProcess]
    const slow = see(`${leader.hello.origin}/things?slow=1`)
    await once(leader.process, 'message')
    await see(`${other.hello.origin}/things`, { method: 'POST' })
    const answering = ask([other], 20, '/things')
    leader.process.send('go on')
    t.match(JSON.parse((await slow).text), { value: 0 })
    for (const { text } of await Promise.all(answering)) t.match(JSON.parse(text), { value: 1 }, String(tags))
  }
})

t.test('if no news of a lease arrives, waiting requests try to take it from time to time', async (t) => {
  const { servers, counters } = await startProcesses(t, 2, { redis: redis().url, coalesce: 'fleet', coalesceTimeout: 2_000, takes: 300 })
  // Every subscription ends, again and again.
  const deaf = setInterval(() => { client.client('KILL', 'TYPE', 'PUBSUB').catch(() => {}) }, 5)
  const answers = await Promise.all(ask(servers, 20, '/things'))
  clearInterval(deaf)
  t.ok(answers.every(({ status }) => status === 200))
  t.equal(await counters.get('runs'), 1)
})

t.test('if Redis cannot give a lease, each process fills for itself', async (t) => {
  await client.config('SET', 'maxmemory', '1')
  t.teardown(() => client.config('SET', 'maxmemory', '0'))
  const { servers, counters } = await startProcesses(t, 2, { redis: redis().url, coalesce: 'fleet', takes: 50 })
  const answers = await Promise.all(ask(servers, 20, '/things'))
  t.ok(answers.every(({ status }) => status === 200))
  t.ok(await counters.get('runs') >= 2)
})

t.test('a memory store coalesces within its process', async (t) => {
  let runs = 0
  const { request } = await serving(t, { store: 'memory', coalesce: 'fleet', scope: 'shared', expire: '1h' }, (app) => {
    app.get('/things', { config: { cache: { namespace: 'things' } } }, async () => ({ run: ++runs }))
  })
  await Promise.all(Array.from({ length: 50 }, () => request('/things')))
  t.equal(runs, 1)
})

t.test('only a server that needs leases subscribes, on a connection that it closes', async (t) => {
  const connections = async (): Promise<number> => Number(/^pubsub_clients:(\d+)/m.exec(await client.info())?.[1] ??
    String(await client.client('LIST')).split('\n').filter((line) => /\bsub=1\b/.test(line)).length)
  for (const [coalesce, expected] of [['process', 0], ['fleet', 1]] as const) {
    const { app } = await serving(t, { redis: redis().url, coalesce, expire: '1h' }, (app) => {
      app.get('/things', { config: { cache: { namespace: 'things' } } }, async () => ({ ok: true }))
    })
    for (let tries = 0; await connections() < expected && tries < 100; tries++) await client.ping()
    t.equal(await connections(), expected)
    await app.close()
  }
  for (let tries = 0; await connections() > 0 && tries < 100; tries++) await client.ping()
  t.equal(await connections(), 0)
})
