import { once } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { eachStore } from '../support/each-store.js'
import { listening, serving } from '../support/serving.js'
import { ask, open } from '../http/ask.js'

const test = eachStore()
const cache = { namespace: 'bodies', expire: 60, maxBytes: 100_000 }

const chunks = Array.from({ length: 10 }, (_, index) => Buffer.alloc(1_000, index * 25))
const whole = Buffer.concat(chunks)

async function * generate (size = 1): AsyncGenerator<Buffer> {
  for (let round = 0; round < size; round++) yield * chunks
}

const web = (size = 1): ReadableStream<Uint8Array> => {
  const left = Array.from({ length: size }, () => chunks).flat()
  return new ReadableStream({
    pull (controller) {
      const next = left.shift()
      if (next === undefined) controller.close()
      else controller.enqueue(next)
    }
  })
}

const wholeOf = (size = 1): Buffer => Buffer.concat(Array.from({ length: size }, () => whole))
const text = (size = 1): string => wholeOf(size).toString('latin1')

/** Makes one payload of `size` times the whole. */
const kinds: Record<string, (size?: number) => unknown> = {
  'an object': (size) => ({ text: text(size) }),
  text: (size) => text(size),
  'a Buffer': (size) => wholeOf(size),
  'a Uint8Array': (size) => new Uint8Array(wholeOf(size)),
  'a Float64Array': (size = 1) => Float64Array.from({ length: 1250 * size }, (_, index) => index / 3),
  'a Node stream': (size) => Readable.from(generate(size), { objectMode: false }),
  'a Node stream of an async iterable': (size) => Readable.from(generate(size)),
  'a Node stream of texts': (size) => Readable.from([text(size), 'grüße']),
  'a PassThrough that is written to': (size) => new PassThrough().end(wholeOf(size)),
  'a web stream': (size) => web(size),
  "a Blob's stream": (size) => new Blob([wholeOf(size)]).stream(),
  'a Response of a stream': (size) => new Response(web(size), { headers: { 'content-type': 'application/x-own', 'x-own': 'yes' } }),
  'a Response of text': (size) => new Response(text(size)),
  'a Response with a status of its own': (size) => new Response(text(size), { status: 203, headers: { 'x-own': 'yes' } })
}

const declare = (payload: () => unknown, run: () => void = () => {}) => (app: FastifyInstance): unknown =>
  app.get('/', { config: { cache: { ...cache, statuses: [200, 203] } } }, async () => {
    run()
    return payload()
  })

for (const [kind, payload] of Object.entries(kinds)) {
  test(`${kind} is the same on the first request and on the second`, async (t, options) => {
    let runs = 0
    const plain = await listening(t, Fastify(), declare(payload))
    const expected = await ask(`${plain.origin}/`)
    const { app, origin } = await serving(t, options, declare(payload, () => { runs++ }))
    for (const state of ['MISS', 'HIT', 'HIT']) {
      const { status, headers, bytes } = await ask(`${origin}/`)
      t.equal(headers['x-api-cache'], state)
      t.equal(status, expected.status)
      t.equal(headers['content-type'], expected.headers['content-type'])
      t.equal(headers['x-own'], expected.headers['x-own'])
      t.ok(bytes.equals(expected.bytes), `${bytes.length} bytes`)
      await app.apiCache.settled()
    }
    t.equal(runs, 1)
  })

  t.test(`${kind} over maxBytes is sent whole, but not stored`, async (t) => {
    const plain = await listening(t, Fastify(), declare(() => payload(12)))
    const expected = await ask(`${plain.origin}/`)
    t.ok(expected.bytes.length > cache.maxBytes)
    const { app, origin } = await serving(t, { store: 'memory' }, declare(() => payload(12)))
    for (let request = 1; request <= 2; request++) {
      const { status, headers, bytes } = await ask(`${origin}/`)
      t.equal(headers['x-api-cache'], 'MISS')
      t.equal(status, expected.status)
      t.equal(headers['content-type'], expected.headers['content-type'])
      t.ok(bytes.equals(expected.bytes))
      await app.apiCache.settled()
    }
    t.equal(app.apiCache.stats().stored, 0)
  })

  t.test(`${kind} whose client disconnected is whole for the next client`, async (t) => {
    const { app, origin } = await serving(t, { store: 'memory' }, declare(() => payload(9)))
    const first = await open(`${origin}/`)
    first.destroy()
    await once(first, 'close')
    await app.apiCache.settled()
    const plain = await listening(t, Fastify(), declare(() => payload(9)))
    const expected = await ask(`${plain.origin}/`)
    for (let request = 1; request <= 2; request++) {
      const { bytes } = await ask(`${origin}/`)
      t.ok(bytes.equals(expected.bytes))
      await app.apiCache.settled()
    }
  })
}

const failing: Record<string, () => unknown> = {
  'a Node stream': () => Readable.from((async function * () { yield whole; throw new Error('broken') })()),
  'a Node stream that is destroyed': () => {
    const stream = new PassThrough()
    stream.write(whole)
    setImmediate(() => { stream.destroy() })
    return stream
  },
  'a web stream': () => new ReadableStream({
    start (controller) { controller.enqueue(whole) },
    pull (controller) { controller.error(new Error('broken')) }
  }, { highWaterMark: 1 }),
  'a Response of a stream': () => new Response(new ReadableStream({
    start (controller) { controller.enqueue(whole) },
    pull (controller) { controller.error(new Error('broken')) }
  }))
}

for (const [kind, payload] of Object.entries(failing)) {
  t.test(`${kind} that fails while it is sent leaves no entry`, async (t) => {
    let fails = true
    const { app, origin } = await serving(t, { store: 'memory' }, declare(() => fails ? payload() : 'well'))
    await t.rejects(ask(`${origin}/`))
    await app.apiCache.settled()
    t.equal(app.apiCache.stats().stored, 0)
    fails = false
    const { text, headers } = await ask(`${origin}/`)
    t.equal(text, 'well')
    t.equal(headers['x-api-cache'], 'MISS')
  })
}

t.test('a stream that ends before its Content-Length is not stored', async (t) => {
  const { app, origin } = await serving(t, { store: 'memory' }, (app) => app.get('/', { config: { cache } }, async (_request, reply) => {
    reply.header('content-length', String(whole.length + 1))
    return Readable.from([whole])
  }))
  const response = await open(`${origin}/`)
  response.resume()
  await once(response, 'end').catch(() => {})
  await app.apiCache.settled()
  t.equal(app.apiCache.stats().stored, 0)
})

t.test('bytes are stored as they were when the handler sent them', async (t) => {
  const bytes = Buffer.from('before')
  const { app, origin } = await serving(t, { store: 'memory' }, declare(() => bytes))
  await ask(`${origin}/`)
  await app.apiCache.settled()
  bytes.write('after!')
  t.equal((await ask(`${origin}/`)).text, 'before')
})

test('a serializer may write all its output to one Buffer', async (t, options) => {
  const shared = Buffer.alloc(6)
  const { app, request } = await serving(t, { ...options, host: false }, (app) => app.get<{ Params: { name: string } }>('/:name', { config: { cache } }, async ({ params }, reply) => {
    reply.type('application/x-own').serializer(() => {
      shared.write(params.name.padEnd(6))
      return shared as unknown as string
    })
    return {}
  }))
  const names = ['first', 'second', 'third']
  await Promise.all(names.map((name) => app.inject(`/${name}`)))
  await app.apiCache.settled()
  for (const name of names) t.match(await request(`/${name}`), { cache: 'HIT', text: name.padEnd(6) })
})
