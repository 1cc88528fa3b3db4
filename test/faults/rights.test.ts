import { Cluster, Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { RedisStore } from '../../lib/store/redis/redis-store.js'
import { storeSuite } from '../../lib/store/suite.js'
import { documentedRights } from '../support/documented-rights.js'
import { complaints, loggingTo, type LogLine } from '../support/log.js'
import { startCluster } from '../support/redis-cluster.js'
import { startRedis } from '../support/redis-server.js'
import { serving, type Serving } from '../support/serving.js'

const rights = documentedRights()
const USER = { username: 'app', password: 'secret' }

/** Gives the user exactly these rights on all servers. */
async function grant (servers: readonly Redis[], rules: readonly string[]): Promise<void> {
  for (const server of servers) {
    await server.acl('DELUSER', 'app')
    await server.acl('SETUSER', 'app', 'on', '>secret', ...rules)
    await server.acl('LOG', 'RESET')
  }
}

/** What the user was refused, but for the name that its client gives itself. */
async function refusals (server: Redis): Promise<string[]> {
  const log = await server.acl('LOG') as unknown[][]
  return log.map((fields) => `${String(fields[fields.indexOf('reason') + 1])} ${String(fields[fields.indexOf('object') + 1])}`)
    .filter((refusal) => !refusal.startsWith('command client|set'))
}

/** For the suite, whose cases use prefixes of their own, also one with something before it. */
const forSuite = (rules: readonly string[]): string[] => rules.map((rule) => rule.replace('api-cache', '*suite-*'))

async function oneServer (t: Test, args: string[] = []): Promise<{ port: number, control: Redis }> {
  const { port, stop } = await startRedis({ args })
  const control = new Redis(port, { enableReadyCheck: false })
  t.teardown(async () => {
    control.disconnect()
    await stop()
  })
  return { port, control }
}

/** An application with all that needs rights. */
async function everything (t: Test, port: number, lines: LogLine[]): Promise<Serving> {
  return await serving(t, { redis: { port, ...USER }, local: { consistency: 'tracked' } }, (app) => {
    app.get('/value', { config: { cache: { namespace: 'value', expire: 60, coalesce: 'fleet' } } }, async () => 'value')
    app.post('/value', { config: { cache: { invalidate: 'value', strict: true } } }, async () => 'written')
  }, loggingTo(lines))
}

t.test('a store needs exactly the documented rights', async (t) => {
  const { port, control } = await oneServer(t)
  await grant([control], forSuite(rights.server))
  const open = async (): Promise<RedisStore> => {
    const store = new RedisStore(new Redis({ port, ...USER }), true, { prefix: 'suite-rights' })
    await store.opened(5_000)
    return store
  }
  for (const { name, run } of storeSuite(open)) await t.test(name, run)
  t.same(await refusals(control), [])
})

t.test('a store in a Cluster needs exactly the documented rights', async (t) => {
  const { nodes, startupNodes, stop } = await startCluster()
  const controls = nodes.map(({ port }) => new Redis(port))
  t.teardown(async () => {
    for (const control of controls) control.disconnect()
    await stop()
  })
  await grant(controls, forSuite(rights.cluster))
  const open = async (): Promise<RedisStore> => {
    const store = new RedisStore(new Cluster(startupNodes.slice(), { redisOptions: USER }), true, { prefix: 'suite-rights' })
    await store.opened(5_000)
    return store
  }
  for (const { name, run } of storeSuite(open)) await t.test(name, run)
  for (const control of controls) t.same(await refusals(control), [])
})

t.test('an application that uses every feature needs exactly the documented rights, and logs nothing about them', async (t) => {
  const { port, control } = await oneServer(t)
  await grant([control], rights.server)
  const lines: LogLine[] = []
  const { app, request } = await everything(t, port, lines)
  while (!(await control.info('commandstats')).includes('cmdstat_publish')) await request('/value')
  for (const method of ['GET', 'POST', 'GET']) t.equal((await request('/value', { method })).status, 200)
  await app.apiCache.settled()
  t.equal((await request('/value')).cache, 'HIT')
  t.same(await refusals(control), [])
  t.same(complaints(lines), [])
})

for (const rule of rights.server) {
  t.test(`without ${rule} the log says once that it has to be granted, and requests are answered`, async (t) => {
    const { port, control } = await oneServer(t)
    await grant([control], rights.server.filter((other) => other !== rule))
    const lines: LogLine[] = []
    const { app, request } = await everything(t, port, lines)
    const granting = (): LogLine[] => lines.filter(({ grant }) => String(grant).split(' ').includes(rule))
    while (granting().length === 0) t.equal((await request('/value')).status, 200)
    const [line] = granting()
    t.match(line, { level: 40, grant: /^ACL SETUSER app /, unknown: [] })
    t.not((line!['without'] as string[]).length, 0)

    // What the line says is enough.
    await grant([control], rights.server.filter((other) => other !== rule))
    await control.call(...String(line!['grant']).split(' ') as [string])
    await control.client('KILL', 'USER', 'app')
    while ((await request('/value')).cache !== 'HIT');
    t.equal(granting().length, 1)
    await app.apiCache.settled()
  })
}

for (const [command, without] of [
  ['INFO', 'each new connection to Redis makes all entries stale'],
  ['EVAL', "strict writes, writing() and coalesce: 'fleet' fail, and versions live for a year"],
  ['SCAN', 'what writes made stale stays until it expires, and keys(), namespaces() and clear() fail']
] as const) {
  t.test(`where ${command} has been renamed the log says so, and the cache works`, async (t) => {
    const { port } = await oneServer(t, ['--rename-command', command, ''])
    const lines: LogLine[] = []
    const value = { now: 1 }
    const { app, request } = await serving(t, { redis: `redis://127.0.0.1:${port}` }, (app) => {
      app.get('/value', { config: { cache: { namespace: 'value', expire: 60 } } }, async () => String(value.now))
      app.post('/value', { config: { cache: { invalidate: 'value' } } }, async () => String(++value.now))
    }, loggingTo(lines))
    do await request('/value'); while (complaints(lines).length === 0)
    t.match(complaints(lines), [{ unknown: [command.toLowerCase()], without: [without] }])
    t.notOk('grant' in complaints(lines)[0]!)
    for (let round = 2; round < 5; round++) {
      await app.apiCache.settled()
      t.match(await request('/value'), { cache: 'HIT', text: String(round - 1) })
      t.equal((await request('/value', { method: 'POST' })).status, 200)
      t.match(await request('/value'), { cache: 'MISS', text: String(round) })
    }
  })
}
