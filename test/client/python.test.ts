import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { createApiCache } from '../../lib/client.js'
import { Keyspace } from '../../lib/key/keyspace.js'
import { CLOSED } from '../../lib/store/contract.js'
import { RedisStore } from '../../lib/store/redis/redis-store.js'
import { runOf } from '../../lib/store/redis/server-run.js'
import { fileRedis, redisCli } from '../support/each-store.js'
import { freePort } from '../support/free-port.js'
import { root } from '../support/packed.js'
import { pythonPath } from '../support/programs.js'
import { serving, type Serving } from '../support/serving.js'

const redis = fileRedis()
const examples = join(root, 'examples/python')

/** Runs Python without leaving compiled files behind. */
async function python (...args: string[]): Promise<string> {
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: '1', PYTHONPATH: examples }
  return (await promisify(execFile)(pythonPath(), args, { env })).stdout
}

const invalidate = async (...args: string[]): Promise<string> => await python(join(examples, 'api_cache.py'), redis().url, ...args)

interface Vector {
  readonly name: string
  readonly version: string
  readonly tag: string
  readonly tagGroup: string
  readonly entries: string
}

interface Given {
  readonly value: string | null
  /** Milliseconds until the key expires; null if it does not. */
  readonly left: number | null
}

interface Vectors {
  readonly prefix: string
  readonly names: Vector[]
  readonly marks: Array<{ readonly run_id: string, readonly master_replid: string, readonly mark: string }>
  readonly values: Array<Given & { readonly is: 'version' | 'missing' | 'held', readonly token?: string }>
  readonly holds: Array<Given & {
    readonly steps: Array<[what: 'begin' | 'end' | 'invalidate', writer: string, outcome: string]>
    readonly becomes: string | null
    readonly expires?: number
  }>
}

async function vectors (): Promise<Vectors> {
  return JSON.parse(await readFile(join(root, 'docs/protocol-vectors.json'), 'utf8')) as Vectors
}

t.test('the keys of the test vectors are those of the plugin', async (t) => {
  const { prefix, names } = await vectors()
  const keyspace = new Keyspace(prefix)
  for (const { name, ...keys } of names) {
    t.same(keys, {
      version: keyspace.version(name), tag: keyspace.tag(name), tagGroup: keyspace.tagGroup(name), entries: keyspace.entries(name)
    }, JSON.stringify(name.slice(0, 40)))
  }
  t.ok(names.length > 15)
})

t.test('the keys of the test vectors are those of the Python client', async (t) => {
  const { names } = await vectors()
  const program = `
import json, sys
from api_cache import ApiCache
vectors = json.load(open(sys.argv[1]))
cache = ApiCache('redis://localhost', vectors['prefix'])
print(json.dumps([[cache.version_key(one['name']), *cache.tag_keys(one['name'])] for one in vectors['names']]))`
  const keys = JSON.parse(await python('-c', program, join(root, 'docs/protocol-vectors.json'))) as unknown
  t.same(keys, names.map(({ version, tag, tagGroup }) => [version, tagGroup, tag]))
})

t.test('the script of the documentation is that of the Python client', async (t) => {
  const script = /```lua\n(.*?)\n```/s.exec(await readFile(join(root, 'docs/protocol.md'), 'utf8'))![1]
  t.equal((await python('-c', 'import api_cache; print(api_cache.INVALIDATE)')).trim(), script)
})

t.test('the marks of the test vectors are those of the plugin', async (t) => {
  for (const { run_id: run, master_replid: replication, mark } of (await vectors()).marks) {
    t.equal(runOf(`run_id:${run}\r\nmaster_replid:${replication}\r\n`)?.mark, `.${mark}`)
  }
})

/** The key of a version in a Redis whose mark is known. */
async function vectorKey (t: Test, name: string) {
  const [key, { port, url }] = [`api-cache!version:${name}`, redis()]
  const store = new RedisStore(new Redis(url), true)
  t.teardown(() => { store.close() })
  await store.opened(10_000)
  const info = await Promise.all(['server', 'replication'].map((section) => redisCli(port, 'INFO', section)))
  const mark = runOf(info.flat().join('\n'))!.mark.slice(1)
  return {
    store,
    key,
    async set ({ value, left }: Given): Promise<void> {
      await redisCli(port, 'DEL', key)
      if (value === null) return
      const expires = left === null ? [] : ['PX', String(left)]
      await redisCli(port, 'SET', key, value.replace('<mark>', mark), ...expires)
    },
    async get (): Promise<string | null> {
      const [value = null] = await redisCli(port, 'GET', key)
      return value && value.replace(mark, '<mark>').replace(/:\d{13}\b/g, ':<deadline>').replace(/^~!\d+~/, '~!<left>~')
        .replace(/^[0-9a-f]{24}/, '<new>')
    },
    left: async () => Number((await redisCli(port, 'PTTL', key))[0]) / 1_000
  }
}

t.test('the values of the test vectors are to a reader what they say', async (t) => {
  for (const [index, { is, token, ...given }] of (await vectors()).values.entries()) {
    // A process trusts what comes after a version that it has replaced itself.
    const { store, key, set } = await vectorKey(t, `vector-${index}`)
    await set(given)
    t.same([...await store.versions([key])], [token], JSON.stringify(given))
    const [ensured] = await store.ensure([key], 'token-ensured')
    t.equal(ensured === CLOSED, is === 'held', JSON.stringify(given))
    t.equal(ensured === token, is === 'version', JSON.stringify(given))
  }
})

for (const [invalidator, invalidates] of [
  ['the plugin', (store: RedisStore, key: string) => store.bump([key], 'token-bumped')],
  ['Python', () => invalidate('invalidate', 'vector')]
] as const) {
  t.test(`a value becomes what the test vectors say, if ${invalidator} invalidates`, async (t) => {
    const { store, key, set, get, left } = await vectorKey(t, 'vector')
    for (const { value, left: milliseconds, steps, becomes, expires } of (await vectors()).holds) {
      await set({ value, left: milliseconds })
      for (const [what, writer, outcome] of steps) {
        if (what === 'begin') await store.intents.begin([key], writer, 30_000)
        else if (what === 'end') await store.intents.end([key], writer, 'token-ended', outcome === 'written')
        else await invalidates(store, key)
      }
      const sentence = `${value} ${JSON.stringify(steps)}`
      t.equal(await get(), becomes, sentence)
      if (expires === undefined) continue
      const seconds = await left()
      t.ok(seconds <= expires && seconds > expires - 100, `${sentence} expires in ${seconds} s`)
    }
  })
}

const PATHS = ['/value', '/tagged', '/payload']
const TIERS = { 'from Redis': false, 'from the strict tier': true, 'from the tracked tier': { consistency: 'tracked' } } as const

interface Shown extends Serving {
  readonly tier: string
}

const database = { value: 1 }

/** Servers that show one value in a namespace, behind a tag, and behind one of the payload: one for each tier. */
async function servers (t: Test): Promise<Shown[]> {
  return await Promise.all(Object.entries(TIERS).map(async ([tier, local]) => {
    const served = await serving(t, { redis: redis().url, host: false, timeout: 10_000, expire: '1 hour', local }, (app) => {
      app.get('/value', { config: { cache: { namespace: 'user cache' } } }, async () => database.value)
      app.get('/tagged', { config: { cache: { namespace: 'others', tags: ['größe'] } } }, async () => database.value)
      app.get('/payload', { config: { cache: { namespace: 'others', tags: (_request, _payload) => ['größe'] } } }, async () => database.value)
    })
    return { ...served, tier }
  }))
}

async function hits (shown: readonly Shown[]): Promise<void> {
  for (const { app, request } of shown) {
    for (const path of PATHS) while ((await request(path)).cache !== 'HIT') await app.apiCache.settled()
  }
}

t.test('what Python invalidates is not served any more, by any process, from any tier', async (t) => {
  const shown = await servers(t)
  const calls: Array<[args: string[], stale: string[]]> = [
    [['invalidate', 'user cache', 'nothing'], ['/value']], [['invalidate_tags', 'größe', 'nothing'], ['/tagged', '/payload']]
  ]
  // A tracked tier may hear of it a little later.
  const isBehind = (tier: string, text: string): boolean => tier === 'from the tracked tier' && text !== String(database.value)
  for (const [args, stale] of calls) {
    await hits(shown)
    database.value++
    await invalidate(...args)
    for (const { request, tier } of shown) {
      for (const path of PATHS) {
        let seen = await request(path)
        while (stale.includes(path) && isBehind(tier, seen.text)) seen = await request(path)
        if (stale.includes(path)) t.equal(seen.text, String(database.value), `${path} ${tier}`)
        else t.equal(seen.cache, 'HIT', `${path} ${tier}`)
      }
    }
  }
})

t.test('a held version stays held when Python invalidates it, and what it was before does not come back', async (t) => {
  const shown = await servers(t)
  await hits(shown)
  const cache = createApiCache({ redis: redis().url, timeout: 10_000 })
  t.teardown(() => cache.close())
  const [key, tag] = ['api-cache!version:user%20cache', new Keyspace('api-cache').tag('größe')]
  await cache.writing({ namespaces: 'user cache', tags: ['größe'] }, async () => {
    await invalidate('invalidate', 'user cache')
    await invalidate('invalidate_tags', 'größe')
    for (const held of [key, tag]) t.match((await redisCli(redis().port, 'GET', held))[0], /^~!~[\w-]+:\d+$/)
    t.ok(Number((await redisCli(redis().port, 'PTTL', key))[0]) > 0)
    for (const { app, request } of shown) {
      for (const path of PATHS) t.equal((await request(path)).cache, 'MISS')
      await app.apiCache.settled()
      for (const path of PATHS) t.equal((await request(path)).cache, 'MISS')
    }
    database.value++
  })
  for (const { request } of shown) t.equal((await request('/value')).text, String(database.value))
})

t.test('a window after a write still ends when it would if Python invalidates within it', async (t) => {
  const { app, request } = await serving(t, { redis: redis().url, timeout: 10_000 }, (app) => {
    app.get('/', { config: { cache: { namespace: 'lagging', expire: '1 hour' } } }, async () => 'value')
    app.post('/', { config: { cache: { invalidate: 'lagging', settle: '1m' } } }, async () => 'done')
  })
  const key = 'api-cache!version:lagging'
  const left = async (): Promise<number> => Number((await redisCli(redis().port, 'PTTL', key))[0])
  await request('/', { method: 'POST' })
  await request('/')
  await app.apiCache.settled()
  t.equal((await request('/')).cache, 'HIT')
  const [before] = await redisCli(redis().port, 'GET', key)
  const until = await left()
  await invalidate('invalidate', 'lagging')
  const [after] = await redisCli(redis().port, 'GET', key)
  t.not(after, before)
  t.match(after!, /^[0-9a-f]{24}\+\.[0-9a-f]{12}$/)
  t.ok(await left() <= until)
  t.equal((await request('/')).cache, 'MISS')
  await app.apiCache.settled()
  t.equal((await request('/')).cache, 'HIT')
  t.ok(await left() <= until)
})

t.test('a window that begins when a hold ends stays so if Python invalidates meanwhile', async (t) => {
  await redisCli(redis().port, 'SET', 'api-cache!version:held', '~!60000~writer:99999999999999', 'PX', '50000')
  await invalidate('invalidate', 'held')
  t.same(await redisCli(redis().port, 'GET', 'api-cache!version:held'), ['~!60000~writer:99999999999999'])
})

t.test('the Python client fails if Redis does not confirm', async (t) => {
  const down = `redis://127.0.0.1:${await freePort()}`
  await t.rejects(python(join(examples, 'api_cache.py'), down, 'invalidate', 'a'), /ConnectionRefusedError/)
})
