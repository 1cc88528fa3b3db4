import { crc32 } from 'node:zlib'
import { Redis } from 'ioredis'
import t from 'tap'
import { decodeEntry, encodeEntry, type Entry } from '../../index.js'
import { Random } from '../support/random.js'
import { fileRedis } from '../support/each-store.js'
import { lasting } from '../support/entry.js'
import { serving } from '../support/serving.js'

const redis = fileRedis()
const FORMAT = 0x46414304
const KEY = 'api-cache|a:GET /'
const VERSION = 'api-cache!version:a'
const ENTRY: Entry = {
  route: 'GET /',
  application: 'shop',
  versions: { [VERSION]: 'token' },
  status: 200,
  headers: { 'content-type': 'application/json; charset=utf-8' },
  removedHeaders: ['x-gone'],
  kind: 'text',
  body: Buffer.from('{"value":1}'),
  ...lasting(60)
}

/** A frame with a valid checksum around whatever head somebody likes. */
function forge (head: string, body = Buffer.from('{"value":666}'), { length = Buffer.byteLength(head), key = KEY, format = FORMAT } = {}): Buffer {
  const bytes = Buffer.from(head)
  const frame = Buffer.alloc(12 + bytes.length + body.length)
  frame.writeUInt32BE(format, 0)
  frame.writeUInt32BE(length, 8)
  bytes.copy(frame, 12)
  body.copy(frame, 12 + bytes.length)
  frame.writeUInt32BE(crc32(frame.subarray(8), crc32(key)), 4)
  return frame
}

const head = (...changes: Array<[index: number, value: unknown]>): string => {
  const { versions, route, application, storedAt, staleAt, deleteAt, initialAge, headers, removedHeaders } = ENTRY
  const fields: unknown[] = [versions, route, application, 200, 0, storedAt, staleAt, deleteAt, initialAge, headers, { removedHeaders }]
  for (const [index, value] of changes) fields[index] = value
  return JSON.stringify(fields)
}

const [VERSIONS, ROUTE, APPLICATION, STATUS, KIND, STORED_AT, STALE_AT, DELETE_AT, INITIAL_AGE, HEADERS, MORE] =
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
const HUNDRED_YEARS = 3_153_600_000_000
const withHeader = (name: string, value: unknown): string => head([HEADERS!, { [name]: value }])
const withMore = (more: unknown): string => head([MORE!, more])

const hostile: Record<string, Buffer> = {
  'no JSON': forge('{'),
  'JSON of another shape': forge('{"route":"GET /"}'),
  'a head nested too deep to parse': forge('['.repeat(100_000)),
  'a length beyond the end': forge(head(), undefined, { length: 0xffffffff }),
  'a head larger than any answer needs': forge(withHeader('x-large', 'x'.repeat(300_000))),
  'a million headers': forge(head([HEADERS!, Object.fromEntries(Array.from({ length: 1_000_000 }, (_, index) => [`x-${index}`, 'y']))])),
  'more headers than any answer has': forge(head([HEADERS!, Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`x-${index}`, 'y']))])),
  'another key': forge(head(), undefined, { key: 'api-cache|a:GET /other' }),
  'versions that are no texts': forge(head([VERSIONS!, { [VERSION]: 1 }])),
  'versions that are a list': forge(head([VERSIONS!, ['token']])),
  'a route that is no text': forge(head([ROUTE!, null])),
  'an application that is no text': forge(head([APPLICATION!, null])),
  'a format of earlier releases': forge(head(), undefined, { format: FORMAT - 1 }),
  'a format of later releases': forge(head(), undefined, { format: FORMAT + 1 }),
  'status 100': forge(head([STATUS!, 100])),
  'status 206': forge(head([STATUS!, 206])),
  'status 304': forge(head([STATUS!, 304])),
  'status 1000': forge(head([STATUS!, 1_000])),
  'status as text': forge(head([STATUS!, '200'])),
  'a kind that does not exist': forge(head([KIND!, 9])),
  'a kind by name': forge(head([KIND!, 'length'])),
  'no time when it was stored': forge(head([STORED_AT!, null])),
  'no time when it becomes stale': forge(head([STALE_AT!, null])),
  'no time when it is deleted': forge(head([DELETE_AT!, null])),
  'a time as text': forge(head([STORED_AT!, String(ENTRY.storedAt)])),
  'a time beyond time': forge(head([STORED_AT!, 1e300], [STALE_AT!, 1e300], [DELETE_AT!, 1e300])),
  'half a millisecond': forge(head([STALE_AT!, ENTRY.staleAt - 0.5])),
  'stale before it was stored': forge(head([STALE_AT!, ENTRY.storedAt - 1])),
  'deleted before it becomes stale': forge(head([DELETE_AT!, ENTRY.staleAt - 1])),
  'fresh for a hundred years': forge(head([STALE_AT!, ENTRY.storedAt + HUNDRED_YEARS], [DELETE_AT!, ENTRY.storedAt + HUNDRED_YEARS])),
  'kept for a hundred years': forge(head([DELETE_AT!, ENTRY.storedAt + HUNDRED_YEARS])),
  'a negative age': forge(head([INITIAL_AGE!, -1])),
  'half a second of age': forge(head([INITIAL_AGE!, 0.5])),
  'an age of a hundred years': forge(head([INITIAL_AGE!, HUNDRED_YEARS / 1000])),
  'headers that are a list': forge(head([HEADERS!, [['x-a', 'b']]])),
  'headers that are nothing': forge(head([HEADERS!, null])),
  'a head without its last field': forge(JSON.stringify((JSON.parse(head()) as unknown[]).slice(0, MORE))),
  'more that is a list': forge(withMore(['x'])),
  'a field that does not exist': forge(withMore({ unknown: 1 })),
  'a field named __proto__': forge(head().replace('{"removedHeaders"', '{"__proto__":1,"removedHeaders"')),
  'a field named constructor': forge(withMore({ constructor: 1 })),
  'removed headers that are no list': forge(withMore({ removedHeaders: { 'x-a': 'b' } })),
  'a line end in a removed name': forge(withMore({ removedHeaders: ['x-a\r\nx-b'] })),
  'a header removed that the plugin would not touch': forge(withMore({ removedHeaders: ['set-cookie'] })),
  'more removed headers than any answer has': forge(withMore({ removedHeaders: Array.from({ length: 5_000 }, () => 'x') })),
  'Set-Cookie by default': forge(withMore({ defaultHeaders: { 'set-cookie': 'session=stolen' } })),
  'a line end in a default': forge(withMore({ defaultHeaders: { etag: '"a"\r\nset-cookie: a' } })),
  'Set-Cookie in a Response': forge(withMore({ responseHeaders: ['set-cookie'] })),
  'an extended Set-Cookie': forge(withMore({ extendedHeaders: { 'set-cookie': ['a', 'b'] } })),
  'an extension of three texts': forge(withMore({ extendedHeaders: { vary: ['a', 'b', 'c'] } })),
  'a line end in an extension': forge(withMore({ extendedHeaders: { vary: ['', '\r\nset-cookie: a'] } })),
  'extensions that are a list': forge(withMore({ extendedHeaders: [['vary', ['', 'a']]] })),
  'Set-Cookie': forge(withHeader('set-cookie', 'session=stolen')),
  'Set-Cookie in capitals': forge(withHeader('Set-Cookie', 'session=stolen')),
  'Transfer-Encoding': forge(withHeader('transfer-encoding', 'chunked')),
  'Content-Length': forge(withHeader('content-length', '1')),
  'a header injected behind a line end': forge(withHeader('x-a', 'b\r\nset-cookie: session=stolen')),
  'a line end in a name': forge(withHeader('x-a\r\nset-cookie', 'b')),
  'no name': forge(withHeader('', 'b')),
  '__proto__ as a name, a number as its value': forge('[{"__proto__":"x"},"GET /","",200,0,0,60,60,0,{"__proto__":1}]'),
  'a header that is a number': forge(withHeader('x-a', 1)),
  'a header nested in lists': forge(withHeader('x-a', [['b']])),
  'more request headers to choose by than any answer has': forge(head([KIND!, 2], [MORE!, { vary: Array.from({ length: 5_000 }, (_, index) => `x-${index}`) }])),
  'a request header to choose by that is no text': forge(withMore({ vary: [1] }))
}

t.test('an entry decodes to what was encoded', async (t) => {
  t.match(decodeEntry(KEY, encodeEntry(KEY, ENTRY)), ENTRY)
  t.match(decodeEntry(KEY, forge(head())), { status: 200 }, 'and what is forged below would, but for what is wrong with it')
})

for (const [what, frame] of Object.entries(hostile)) {
  t.test(`not an entry: ${what}`, async (t) => {
    const began = performance.now()
    t.equal(decodeEntry(KEY, frame), undefined)
    t.ok(performance.now() - began < 100, 'and it takes no time to find out')
  })
}

t.test('an entry that is cut off anywhere is invalid', async (t) => {
  const frame = encodeEntry(KEY, ENTRY)
  for (let end = 0; end < frame.length; end++) t.equal(decodeEntry(KEY, frame.subarray(0, end)), undefined, `after ${end} bytes`)
})

t.test('an entry with any bit flipped is invalid', async (t) => {
  const frame = encodeEntry(KEY, ENTRY)
  for (let bit = 0; bit < frame.length * 8; bit++) {
    frame[bit >> 3]! ^= 1 << (bit & 7)
    if (decodeEntry(KEY, frame) !== undefined) t.fail(`bit ${bit}`)
    frame[bit >> 3]! ^= 1 << (bit & 7)
  }
  t.match(decodeEntry(KEY, frame), ENTRY)
})

t.test('decoding arbitrary bytes neither throws nor finds an entry', async (t) => {
  const random = new Random(11)
  for (let round = 0; round < 20_000; round++) {
    const frame = Buffer.from(Array.from({ length: random.below(80) }, () => random.below(256)))
    if (random.chance(0.8) && frame.length >= 12) {
      frame.writeUInt32BE(FORMAT, 0)
      if (random.chance(0.5)) frame.writeUInt32BE(random.below(frame.length), 8)
      if (random.chance(0.5)) frame.writeUInt32BE(crc32(frame.subarray(8), crc32(KEY)), 4)
    }
    if (decodeEntry(KEY, frame) !== undefined) t.fail(frame.toString('hex'))
  }
})

t.test('a request whose entry is hostile gets a fresh response from the handler', async (t) => {
  const { app, request } = await serving(t, { redis: redis().url, expire: '1 hour' }, (app) => {
    app.get('/', { config: { cache: { namespace: 'a', host: false } } }, async () => ({ value: 1 }))
  })
  await request('/')
  await app.apiCache.settled()
  const control = new Redis(redis().port, '127.0.0.1')
  t.teardown(() => { control.disconnect() })
  for (const [what, frame] of Object.entries(hostile)) {
    await control.set(KEY, frame)
    const seen = await request('/')
    t.match(seen, { status: 200, cache: 'MISS', text: '{"value":1}' }, what)
    t.equal(seen.headers.get('set-cookie'), null)
    await app.apiCache.settled()
  }
})

t.test('variants that refer to each other are not entries either', async (t) => {
  const { app, request } = await serving(t, { redis: redis().url, expire: '1 hour' }, (app) => {
    app.get('/varied', { config: { cache: { namespace: 'varied' } } }, async (_request, reply) => {
      reply.header('vary', 'x-a')
      return { value: 1 }
    })
  })
  const control = new Redis(redis().port, '127.0.0.1')
  t.teardown(() => { control.disconnect() })
  await request('/varied', { headers: { 'x-a': '1' } })
  await app.apiCache.settled()
  t.equal((await request('/varied', { headers: { 'x-a': '1' } })).cache, 'HIT')
  const keys = await control.keys('api-cache|varied:*')
  t.equal(keys.length, 2)
  const marker = (await Promise.all(keys.map(async (key) => decodeEntry(key, (await control.getBuffer(key))!)!))).find(({ vary }) => vary !== undefined)!
  for (const key of keys) await control.set(key, encodeEntry(key, marker))
  t.match(await request('/varied', { headers: { 'x-a': '1' } }), { status: 200, cache: 'MISS', text: '{"value":1}' })
  t.equal(app.apiCache.stats().failures, 0, 'and no time ran out over it')
})
