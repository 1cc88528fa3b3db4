import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { RedisStore } from '../../lib/store/redis/redis-store.js'
import type { Entry } from '../../index.js'
import { lasting } from '../support/entry.js'
import { startRedis, type RedisServer } from '../support/redis-server.js'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js'

/*
 * What happens between a command and its answer. A client with ioredis's defaults sends again what
 * was not answered when its connection broke, whether it has been done or not.
 */
const VERSION = 'p!version:a'
const HOUR = 3_600_000

let server: RedisServer
let control: Redis
t.before(async () => {
  server = await startRedis()
  control = new Redis(server.port, '127.0.0.1')
  await control.acl('SETUSER', 'scriptless', 'on', '>secret', '~*', '&*', '+@all', '-@scripting')
})
t.beforeEach(() => control.flushall())
t.teardown(async () => {
  control.disconnect()
  await server.stop()
})

/** A store with a client of the user's, whose answers the test may hold back, and one that nobody disturbs. */
async function stores (t: Test, user = {}): Promise<{ here: RedisStore, there: RedisStore, proxy: TcpProxy }> {
  const proxy = await startProxy(server.port)
  const open = async (port: number): Promise<RedisStore> => {
    const client = new Redis({ port, host: '127.0.0.1', retryStrategy: () => 10, ...user })
    client.on('error', () => {})
    const store = new RedisStore(client, true)
    await store.opened(10_000)
    t.teardown(() => { store.close() })
    return store
  }
  const [here, there] = [await open(proxy.port), await open(server.port)]
  t.teardown(() => proxy.stop())
  return { here, there, proxy }
}

const scriptless = { username: 'scriptless', password: 'secret' }

interface Resent {
  readonly before?: (store: RedisStore) => Promise<unknown>
  readonly act: (store: RedisStore) => Promise<unknown>
  /** The command that is sent twice. */
  readonly command: string
  readonly user?: object
}

const resent: Record<string, Resent> = {
  'a bump': { act: (store) => store.bump([VERSION], 'given'), command: 'eval' },
  'a bump that may only delete': { act: (store) => store.bump([VERSION], 'given'), command: 'del', user: scriptless },
  'an ensure': { act: (store) => store.ensure([VERSION], 'given'), command: 'eval' },
  'an ensure of what another run left': {
    before: () => control.set(VERSION, 'old.0123456789ab'),
    act: (store) => store.ensure([VERSION], 'given'),
    command: 'eval'
  },
  'the end of a strict write': {
    before: (store) => store.intents.begin([VERSION], 'writer', HOUR),
    act: (store) => store.intents.end([VERSION], 'writer', 'given', true),
    command: 'eval'
  },
  'the end of a strict write that wrote nothing': {
    async before (store) {
      await store.bump([VERSION], 'before')
      await store.intents.begin([VERSION], 'writer', HOUR)
    },
    act: (store) => store.intents.end([VERSION], 'writer', 'given', false),
    command: 'eval'
  },
  'the end of a strict write whose intent was lost': {
    async before (store) {
      await store.intents.begin([VERSION], 'another', HOUR)
      await store.bump([VERSION], 'before')
    },
    act: (store) => store.intents.end([VERSION], 'another', 'given', false),
    command: 'eval'
  }
}

/** What others do meanwhile. */
const meanwhile: Record<string, (store: RedisStore) => Promise<unknown>> = {
  'a bump': (store) => store.bump([VERSION], 'other'),
  'a bump and a loss': async (store) => {
    await store.bump([VERSION], 'other')
    await control.del(VERSION)
  },
  'a strict write': async (store) => {
    await store.intents.begin([VERSION], 'other-writer', HOUR)
    await store.intents.end([VERSION], 'other-writer', 'other', true)
  }
}

for (const [what, { before, act, command, user }] of Object.entries(resent)) {
  for (const [between, others] of Object.entries(meanwhile)) {
    t.test(`${what} that is sent again after ${between} restores no earlier version`, async (t) => {
      const { here, proxy } = await stores(t, user)
      const { there } = await stores(t)
      await before?.(there)
      const held = proxy.holdAnswer(command)
      const acting = act(here)
      const { lose } = await held
      const seen = await there.versions([VERSION])
      await others(there)
      lose()
      await acting
      const [after] = await there.versions([VERSION])
      if (after !== undefined) t.notOk(seen.includes(after), `${after} was replaced`)
      // And what was only deleted is not brought back by the next who fills.
      const [ensured] = await there.ensure([VERSION], 'later')
      t.notOk(seen.includes(ensured), `${ensured} was replaced`)
    })
  }
}

t.test('an ensure whose version is lost at once does not restore it, because others may have filled under it', async (t) => {
  const { here, proxy } = await stores(t, scriptless)
  const { there } = await stores(t)
  const held = proxy.holdAnswer('set')
  const ensuring = here.ensure([VERSION], 'given')
  const { release } = await held
  const [seen] = await there.ensure([VERSION], 'other')
  t.equal(seen, 'given', 'another process fills under it')
  await control.del(VERSION)
  release()
  const [ensured] = await ensuring
  t.not(ensured, seen)
  t.not((await there.versions([VERSION]))[0], seen)
  t.not((await here.ensure([VERSION], 'later'))[0], seen)
})

t.test('two that ensure a version of another run both replace it, and neither restores what the other wrote', async (t) => {
  const { here, there, proxy } = await stores(t)
  await control.set(VERSION, 'old.0123456789ab')
  const held = proxy.holdAnswer('eval')
  const ensuring = here.ensure([VERSION], 'given')
  const { release } = await held
  const [seen] = await there.ensure([VERSION], 'given')
  await there.bump([VERSION], 'given')
  release()
  const [ensured] = await ensuring
  t.not(ensured, seen)
  t.same(await there.versions([VERSION]), [ensured])
})

const entry = (text: string, version: string): Entry => ({
  route: 'GET /',
  versions: { [VERSION]: version },
  status: 200,
  headers: {},
  kind: 'text',
  body: Buffer.from(text),
  ...lasting(60)
})

t.test('a sweep keeps an entry that was filled between its check and its deletion', async (t) => {
  const { here, there, proxy } = await stores(t)
  const [old] = await there.ensure([VERSION], 'given') as [string]
  await there.set('p|a:GET /refilled', entry('old', old))
  await there.bump([VERSION], 'given')
  const [current] = await there.versions([VERSION]) as [string]
  const held = proxy.holdAnswer('getrange')
  const sweeping = here.sweep('p|a:', (versions) => versions[VERSION] === current)
  const { release } = await held
  await there.set('p|a:GET /refilled', entry('new', current))
  release()
  t.equal(await sweeping, 0)
  t.equal(String((await there.lookup('p|a:GET /refilled', [VERSION])).entry?.body), 'new')
})
