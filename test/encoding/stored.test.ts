import { setTimeout } from 'node:timers/promises'
import { brotliCompressSync } from 'node:zlib'
import { Redis } from 'ioredis'
import t from 'tap'
import { decodeEntry, encodeEntry, type ApiCacheOptions, type Entry } from '../../index.js'
import { detached } from '../../lib/entry/entry.js'
import { asking, cached, cacheStatus, type Ask } from '../http/ask.js'
import { eachTier, fileRedis, inRedis, redisCli } from '../support/each-store.js'
import { keysOf } from '../support/serving.js'
import { codingOf, kept, plainOf, rows, rowsOf, text } from './encoded.js'

const test = eachTier()
const redis = fileRedis()
const cache = { namespace: 'n', expire: 60, storeCompressed: true } as const
const BR = { 'accept-encoding': 'br' }
const GZIP = { 'accept-encoding': 'gzip' }

test('a body that is kept encoded only is right for each client', async (t, options) => {
  for (const compress of [undefined, true, ['gzip', 'br'] as const]) {
    const { app, ask } = await asking(t, (app) => app.get('/', { config: { cache: { ...cache, compress } } }, async () => rows), options)
    await ask()
    for (let round = 0; round < 3; round++) {
      for (const accepted of ['identity', 'br', 'gzip', 'deflate']) {
        const answered = await ask('/', { 'accept-encoding': accepted })
        t.equal(cached(answered.headers), 'HIT')
        t.equal(plainOf(answered), text)
        t.equal(answered.headers['content-type'], 'application/json; charset=utf-8')
        t.equal(codingOf(answered), compress === undefined || accepted === 'deflate' ? 'identity' : accepted)
        t.equal(Number(answered.headers['content-length']), answered.bytes.length)
      }
    }
    const part = await ask('/', { range: 'bytes=-10' })
    t.equal(part.status, 206)
    t.equal(part.text, text.slice(-10))
    await app.apiCache.invalidate('n')
    t.equal(cached((await ask()).headers), 'MISS')
    await app.close()
  }
})

test('hooks see the text of a body that is kept encoded only', async (t, options) => {
  const seen = new Set<unknown>()
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', async (_request, _reply, payload) => { seen.add(payload) })
    app.get('/', { config: { cache: { ...cache, compress: true } } }, async () => rows)
  }, options)
  for (let times = 0; times < 4; times++) t.equal(plainOf(await ask('/', BR)), text)
  t.same([...seen], [text])
})

test('an entry that is served from onRequest is right, too', async (t, options) => {
  const { ask } = await asking(t, (app) =>
    app.get('/', { config: { cache: { ...cache, compress: true, serveFrom: 'onRequest' } } }, async () => rows), options)
  for (let times = 0; times < 3; times++) {
    for (const headers of [BR, {}]) t.equal(plainOf(await ask('/', headers)), text)
  }
  t.equal(cached((await ask('/', BR)).headers), 'HIT')
})

test('a stale entry that is kept encoded only bridges the refill', async (t, options) => {
  let fails = false
  const { ask } = await asking(t, (app) => app.get('/', { config: { cache: { ...cache, compress: true, expire: 1, staleIfError: 60 } } }, async () => {
    if (fails) throw new Error('down')
    return rows
  }), options)
  await ask()
  fails = true
  await setTimeout(1_100)
  for (const headers of [{}, BR]) {
    const answered = await ask('/', headers)
    t.equal(answered.status, 200)
    t.match(cacheStatus(answered.headers), /stale-if-error/)
    t.equal(plainOf(answered), text)
  }
})

/** The only entry in Redis, after the application has filled it. */
async function onlyEntry (client: Redis): Promise<{ key: string, frame: Buffer, entry: Entry }> {
  const [key] = await client.keys('*|n:*')
  const frame = (await client.getBuffer(key!))!
  return { key: key!, frame, entry: decodeEntry(key!, frame)! }
}

async function inTheOpen (t: Test, options: ApiCacheOptions, compress: readonly ['br' | 'gzip'] | true = true): Promise<{ ask: Ask, client: Redis }> {
  await redisCli(redis().port, 'FLUSHALL')
  const client = new Redis(redis().url)
  t.teardown(() => { client.disconnect() })
  const { ask } = await asking(t, (app) => app.get('/', { config: { cache: { ...cache, compress } } }, async () => rowsOf(2_000)), options)
  return { ask, client }
}
type Test = Parameters<Parameters<typeof test>[1]>[0]

t.test('Redis keeps a fraction of the bytes, and no plain body', async (t) => {
  const { ask, client } = await inTheOpen(t, inRedis(redis()))
  await ask()
  const { frame, entry } = await onlyEntry(client)
  const body = JSON.stringify(rowsOf(2_000))
  t.ok(frame.length < body.length / 3, `${frame.length} of ${body.length} bytes`)
  t.equal(entry.body.length, 0)
  t.equal(entry.plainLength, body.length)
  t.same(entry.encoded?.br, kept.br(body))
  await ask('/', GZIP)
  await ask('/', GZIP)
  const { entry: both } = await onlyEntry(client)
  t.same(both.encoded?.gzip, kept.gzip(body))
  t.same(both.encoded?.br, kept.br(body))
  t.equal(both.body.length, 0)
})

const damages: Record<string, (entry: Entry) => Entry> = {
  'other bytes': (entry) => ({ ...entry, encoded: { br: Buffer.from('no brotli') } }),
  'a shorter body than it says': (entry) => ({ ...entry, plainLength: entry.plainLength! + 1 }),
  'a longer body than it says': (entry) => ({ ...entry, plainLength: entry.plainLength! - 1 }),
  'no bytes at all': (entry) => ({ ...entry, encoded: undefined }),
  'a body larger than maxBytes': (entry) => ({ ...entry, encoded: { br: brotliCompressSync(Buffer.alloc(2 ** 21)) }, plainLength: 2 ** 21 })
}

for (const [damage, change] of Object.entries(damages)) {
  t.test(`an entry in Redis with ${damage} is not used for a client that needs it plain`, async (t) => {
    const { ask, client } = await inTheOpen(t, inRedis(redis()))
    await ask()
    const { key, entry } = await onlyEntry(client)
    await client.set(key, encodeEntry(key, change(entry)), 'PX', 60_000)
    const answered = await ask()
    t.equal(answered.status, 200)
    t.equal(answered.text, JSON.stringify(rowsOf(2_000)))
    t.match(cacheStatus(answered.headers), /unreadable/)
  })
}

t.test('an entry says the lengths of its encoded bodies, and no others', async (t) => {
  const { ask, client } = await inTheOpen(t, inRedis(redis()), ['gzip'])
  await ask()
  const { key, frame, entry } = await onlyEntry(client)
  t.same(encodeEntry(key, entry), frame)
  for (const encoded of [
    { zip: Buffer.from('x') }, { br: Buffer.alloc(0) }, Object.fromEntries([['__proto__x', Buffer.from('x')]])
  ]) t.equal(decodeEntry(key, encodeEntry(key, { ...entry, encoded })), undefined)
  t.equal(decodeEntry(key, encodeEntry(key, { ...entry, plainLength: 0 })), undefined)
  t.equal(decodeEntry(key, encodeEntry(key, { ...entry, plainLength: 1.5 })), undefined)
  const whole: Entry = { ...entry, body: Buffer.from('plain'), plainLength: undefined }
  const decoded = decodeEntry(key, encodeEntry(key, whole))!
  t.same(decoded.body, Buffer.from('plain'))
  t.same(decoded.encoded?.gzip, entry.encoded?.gzip)
  const own = detached(decoded).encoded!.gzip!
  t.same(own, entry.encoded?.gzip)
  t.equal(own.buffer.byteLength, own.length, 'in memory nothing else is kept alive')
})

t.test('a sweep deletes what is kept encoded', async (t) => {
  await redisCli(redis().port, 'FLUSHALL')
  const { app, ask } = await asking(t, (app) => app.get('/:id', { config: { cache } }, async () => rows), inRedis(redis()))
  for (let id = 0; id < 5; id++) await ask(`/${id}`)
  t.equal((await keysOf(app, 'n')).filter((key) => key.includes('|')).length, 5)
  const { swept } = await app.apiCache.invalidate('n')
  t.equal(await swept, 5)
})
