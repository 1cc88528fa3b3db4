import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { RedisStore } from '../../lib/store/redis/redis-store.js'
import type { Entry } from '../../index.js'
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
  'a move': { act: (store) => store.move([VERSION], 'given'), command: 'eval' },
  'a move that may only delete': { act: (store) => store.move([VERSION], 'given'), command: 'del', user: scriptless },
  'a claim': { act: (store) => store.claim([VERSION], 'given'), command: 'eval' },
  'a claim of what another run left': {
    before: () => control.set(VERSION, 'old.0123456789ab'),
    act: (store) => store.claim([VERSION], 'given'),
    command: 'eval'
  },
  'the end of a strict write': {
    before: (store) => store.hold([VERSION], 'writer', HOUR),
    act: (store) => store.letGo([VERSION], 'writer', 'given', true),
    command: 'eval'
  },
  'the end of a strict write that wrote nothing': {
    async before (store) {
      await store.move([VERSION], 'before')
      await store.hold([VERSION], 'writer', HOUR)
    },
    act: (store) => store.letGo([VERSION], 'writer', 'given', false),
    command: 'eval'
  },
  'the end of a strict write whose hold was lost': {
    async before (store) {
      await store.hold([VERSION], 'another', HOUR)
      await store.move([VERSION], 'before')
    },
    act: (store) => store.letGo([VERSION], 'another', 'given', false),
    command: 'eval'
  }
}

/** What others do meanwhile. */
const meanwhile: Record<string, (store: RedisStore) => Promise<unknown>> = {
  'a move': (store) => store.move([VERSION], 'other'),
  'a move and a loss': async (store) => {
    await store.move([VERSION], 'other')
    await control.del(VERSION)
  },
  'a strict write': async (store) => {
    await store.hold([VERSION], 'other-writer', HOUR)
    await store.letGo([VERSION], 'other-writer', 'other', true)
  }
}

for (const [what, { before, act, command, user }] of Object.entries(resent)) {
  for (const [between, others] of Object.entries(meanwhile)) {
    t.test(`${what} that is sent again after ${between} brings back no version that there was`, async (t) => {
      const { here, proxy } = await stores(t, user)
      const { there } = await stores(t)
      await before?.(there)
      const held = proxy.holdAnswer(command)
      const acting = act(here)
      const { lose } = await held
      const seen = await there.current([VERSION])
      await others(there)
      lose()
      await acting
      const [after] = await there.current([VERSION])
      if (after !== undefined) t.notOk(seen.includes(after), `${after} was replaced`)
      // And what was only deleted is not brought back by the next who fills.
      const [claimed] = await there.claim([VERSION], 'later')
      t.notOk(seen.includes(claimed), `${claimed} was replaced`)
    })
  }
}

t.test('a claim that finds its version lost at once does not bring it back: others may have filled under it', async (t) => {
  const { here, proxy } = await stores(t, scriptless)
  const { there } = await stores(t)
  const held = proxy.holdAnswer('set')
  const claiming = here.claim([VERSION], 'given')
  const { release } = await held
  const [seen] = await there.claim([VERSION], 'other')
  t.equal(seen, 'given', 'another process fills under it')
  await control.del(VERSION)
  release()
  const [claimed] = await claiming
  t.not(claimed, seen)
  t.not((await there.current([VERSION]))[0], seen)
  t.not((await here.claim([VERSION], 'later'))[0], seen)
})

t.test('of two claims that find a version of another run both replace it, and neither brings back what the other wrote', async (t) => {
  const { here, there, proxy } = await stores(t)
  await control.set(VERSION, 'old.0123456789ab')
  const held = proxy.holdAnswer('eval')
  const claiming = here.claim([VERSION], 'given')
  const { release } = await held
  const [seen] = await there.claim([VERSION], 'given')
  await there.move([VERSION], 'given')
  release()
  const [claimed] = await claiming
  t.not(claimed, seen)
  t.same(await there.current([VERSION]), [claimed])
})

const entry = (text: string, version: string): Entry => ({
  route: 'GET /',
  versions: { [VERSION]: version },
  status: 200,
  headers: {},
  kind: 'text',
  body: Buffer.from(text),
  filledAt: Date.now(),
  age: 0,
  lifetime: 60
})

t.test('a sweep spares the entry that was filled between being seen and being deleted', async (t) => {
  const { here, there, proxy } = await stores(t)
  const [old] = await there.claim([VERSION], 'given') as [string]
  await there.set('p|a:GET /refilled', entry('old', old), 60)
  await there.move([VERSION], 'given')
  const [current] = await there.current([VERSION]) as [string]
  const held = proxy.holdAnswer('getrange')
  const sweeping = here.sweep('p|a:', (versions) => versions[VERSION] === current)
  const { release } = await held
  await there.set('p|a:GET /refilled', entry('new', current), 60)
  release()
  t.equal(await sweeping, 0)
  t.equal(String((await there.lookup('p|a:GET /refilled', [VERSION])).entry?.body), 'new')
})
