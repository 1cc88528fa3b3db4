import { Cluster, Command, Redis, type RedisOptions } from 'ioredis'
import t, { type Test } from 'tap'
import type { Entry } from '../../index.js'
import { RedisStore } from '../../lib/store/redis/redis-store.js'
import { lasting } from '../support/entry.js'
import { startCluster } from '../support/redis-cluster.js'
import { startRedis, type RedisServer } from '../support/redis-server.js'

let server: RedisServer
let control: Redis
t.before(async () => {
  server = await startRedis()
  control = new Redis(server.port)
  await control.acl('SETUSER', 'plain', 'on', '>secret', '~*', '&*', '+@all', '-@scripting')
  await control.acl('SETUSER', 'old', 'on', '>secret', '~*', '&*', '+@all', '-@scripting', '-unlink')
})
t.beforeEach(() => control.flushall())
t.teardown(async () => {
  control.disconnect()
  await server.stop()
})

const VERSIONS = ['version']
const UNEXPECTED = { code: 'FST_API_CACHE_UNEXPECTED_REPLY' }

const entry = (body: string): Entry => ({
  route: 'GET /',
  versions: {},
  status: 200,
  headers: {},
  kind: 'text',
  body: Buffer.from(body),
  ...lasting(60)
})

async function open (t: Test, options: RedisOptions = {}): Promise<{ store: RedisStore, client: Redis }> {
  const client = new Redis({ port: server.port, ...options })
  const store = new RedisStore(client, false)
  t.teardown(() => {
    store.close()
    client.disconnect()
  })
  await store.opened(5_000)
  return { store, client }
}

/** Makes all clients of this process give another reply to a command than Redis did, until the test ends. */
function replying (t: Test, command: string, reply: unknown): void {
  Command.setReplyTransformer(command, () => reply)
  t.teardown(() => { Command.setReplyTransformer(command, (reply: unknown) => reply) })
}

type Run = (store: RedisStore) => Promise<unknown>

const list: Run = async (store) => {
  for await (const key of store.keys('entry')) t.ok(key)
}
const sweep: Run = async (store) => {
  await control.set('entry', 'no entry of ours')
  return store.sweep('entry', () => false)
}
const operations: Record<string, Run> = {
  lookup: (store) => store.lookup('entry', VERSIONS),
  versions: (store) => store.versions(VERSIONS),
  ensure: (store) => store.ensure(VERSIONS, 'token'),
  bump: (store) => store.bump(VERSIONS, 'token'),
  'begin intent': (store) => store.intents.begin(VERSIONS, 'writer', 1_000),
  'end intent': (store) => store.intents.end(VERSIONS, 'writer', 'token', true),
  set: (store) => store.set('entry', entry('body')),
  'set of several': (store) => Promise.all(['a', 'b'].map((key) => store.set(key, entry('body')))),
  keys: list,
  sweep,
  'take lease': (store) => store.leases.take('lease', 'holder', 1_000),
  'release lease': (store) => store.leases.release('lease', 'holder', 'stored'),
  ping: (store) => store.ping()
}

/** What a user who may not run scripts is given, too. */
const WITHOUT_SCRIPTS = ['lookup', 'versions', 'ensure', 'bump', 'set', 'set of several', 'keys', 'sweep', 'ping']

for (const [user, names] of [['default', Object.keys(operations)], ['plain', WITHOUT_SCRIPTS]] as const) {
  for (const name of names) {
    t.test(`inside a transaction ${name} of the user ${user} fails, as QUEUED confirms nothing`, async (t) => {
      const { store, client } = await open(t, user === 'plain' ? { username: user, password: 'secret' } : {})
      await client.multi({ pipeline: false })
      await t.rejects(operations[name]!(store), UNEXPECTED)
      await client.discard()
      await t.resolves(operations[name]!(store), 'and works when the transaction is over')
    })
  }
}

t.test('a connection inside a transaction is not used before the run id of its server is known', async (t) => {
  const client = new Redis(server.port)
  await client.multi({ pipeline: false })
  const store = new RedisStore(client, true)
  t.teardown(() => { store.close() })
  await t.rejects(store.opened(5_000), UNEXPECTED)
  t.equal(store.ready(), false)
  await t.rejects(store.ping(), UNEXPECTED)
  await client.discard()
  await store.ping()
  t.equal(store.ready(), true)
})

t.test('a transaction on a Cluster confirms nothing either', async (t) => {
  const servers = await startCluster()
  t.teardown(() => servers.stop())
  const client = new Cluster([...servers.startupNodes])
  const store = new RedisStore(client, true)
  t.teardown(() => { store.close() })
  await store.opened(5_000)
  await store.ensure(VERSIONS, 'token')
  await store.set('entry', entry('body'))
  for (const node of client.nodes('master')) await node.multi({ pipeline: false })
  t.match(await store.lookup('entry', VERSIONS), { entry: undefined, versions: [undefined] })
  const names = [
    'ensure', 'bump', 'begin intent', 'end intent', 'set', 'keys', 'sweep', 'take lease', 'release lease', 'ping'
  ]
  for (const name of names) {
    await t.rejects(operations[name]!(store), UNEXPECTED, name)
  }
  for (const reply of [undefined, 'QUEUED', 1, []]) {
    await t.test(`nor does ${String(JSON.stringify(reply))} as the reply to GET`, async (t) => {
      replying(t, 'get', reply)
      await t.rejects(operations['lookup']!(store), UNEXPECTED)
    })
  }
})

const bytes = Buffer.from('bytes')
const NO_TEXT = [undefined, 1, true, {}, [], bytes]
const NO_INTEGER = [undefined, null, '', '1.5', 'one', 1.5, NaN, true, [1], bytes]
const odd: Array<[what: string, command: string, run: Run, replies: unknown[], user?: string]> = [
  ['a lookup', 'mget', operations['lookup']!, [
    'QUEUED', undefined, null, [], [null], [null, null, null], ['text', null], [null, undefined], { length: 2 }
  ]],
  ['an ensure', 'eval', operations['ensure']!, ['QUEUED', null, ...NO_TEXT, [1], ['a', 'b'], [null]]],
  ['an ensure without scripts', 'set', operations['ensure']!, ['QUEUED', 'ok', ...NO_TEXT], 'plain'],
  ['the rest of an ensure without scripts', 'get', operations['ensure']!, ['QUEUED', undefined, 1, []], 'plain'],
  ['a bump', 'eval', operations['bump']!, ['QUEUED', 0, 2, ...NO_INTEGER]],
  ['a bump without scripts', 'del', operations['bump']!, ['QUEUED', ...NO_INTEGER], 'plain'],
  ['the beginning of an intent', 'eval', operations['begin intent']!, ['QUEUED', 0, 2, ...NO_INTEGER]],
  ['the end of an intent', 'eval', operations['end intent']!, ['QUEUED', 0, 2, ...NO_INTEGER]],
  ['an entry', 'set', operations['set']!, ['QUEUED', 'ok', null, ...NO_TEXT]],
  ['several entries', 'eval', operations['set of several']!, ['QUEUED', 0, 1, 3, ...NO_INTEGER]],
  ['a list of keys', 'scan', list, [
    'QUEUED', undefined, null, [], ['0'], ['0', 'keys'], ['x', []], [0, []], ['0', [1]], ['0', [], []]
  ]],
  ['what a sweep sees', 'getrange', sweep, ['QUEUED', undefined, null, 1, []]],
  ['what a sweep deletes', 'eval', sweep, ['QUEUED', ...NO_INTEGER]],
  ['what a sweep deletes without scripts', 'unlink', sweep, ['QUEUED', ...NO_INTEGER], 'plain'],
  ['what a sweep deletes without UNLINK', 'del', sweep, ['QUEUED', ...NO_INTEGER], 'old'],
  ['a lease', 'eval', operations['take lease']!, ['QUEUED', 2, -1, ...NO_INTEGER]],
  ['a release', 'eval', operations['release lease']!, ['QUEUED', ...NO_INTEGER]],
  ['the news of a release', 'publish', operations['release lease']!, ['QUEUED', ...NO_INTEGER]],
  ['a ping', 'ping', operations['ping']!, ['QUEUED', 'OK', null, ...NO_TEXT]]
]
for (const [what, command, run, replies, user] of odd) {
  t.test(`${what} fails if the reply to ${command.toUpperCase()} does not have the form that Redis gives it`, async (t) => {
    const { store } = await open(t, user === undefined ? {} : { username: user, password: 'secret' })
    await t.resolves(run(store))
    for (const [index, reply] of replies.entries()) {
      await t.test(`${index}: ${String(JSON.stringify(reply))}`, async (t) => {
        await control.flushall()
        replying(t, command, reply)
        await t.rejects(run(store), UNEXPECTED)
      })
    }
  })
}

t.test('the reply to INFO must be lines, or nothing at all', async (t) => {
  for (const reply of ['QUEUED', null, ...NO_TEXT]) {
    await t.test(String(JSON.stringify(reply)), async (t) => {
      replying(t, 'info', reply)
      await t.rejects(open(t, { enableReadyCheck: false }), UNEXPECTED)
    })
  }
  replying(t, 'info', '')
  const { store } = await open(t, { enableReadyCheck: false })
  t.equal(store.ready(), true)
})

t.test('an integer may come as a number, as a string or as a bigint', async (t) => {
  const { store } = await open(t)
  for (const [reply, taken] of [[1, true], ['1', true], [1n, true], [0, false], ['0', false], [0n, false]] as const) {
    replying(t, 'eval', reply)
    t.equal(await store.leases.take('lease', 'holder', 1_000), taken)
    t.equal(await sweep(store), Number(reply))
  }
})

t.test('the error names the command and never shows what was in the reply', async (t) => {
  const { store } = await open(t)
  for (const [reply, message] of [
    [Buffer.from('QUEUED'), /^the reply to SET is QUEUED, /],
    [Object.create(null), /^the reply to SET is a value of type object, /],
    ['QUEUED', / is QUEUED, which confirms nothing; give the plugin a client that no other code uses for MULTI/],
    ['secret', /^the reply to SET is a value of type string, /],
    [['secret'], /^the reply to SET is a list of 1, /],
    [null, /^the reply to SET is null, /]
  ] as const) {
    replying(t, 'set', reply)
    await t.rejects(store.set('entry', entry('body')), { ...UNEXPECTED, message })
  }
})
