import { once } from 'node:events'
import { request } from 'node:http'
import { PassThrough, Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { serving } from '../support/serving.js'
import { ask, open } from '../http/ask.js'
import { startChild } from '../support/child-process.js'
import { endless, MEBIBYTE, type Streamed } from './stream-memory.js'

const config = { cache: { namespace: 'streams', expire: 60 } }
const memory = { store: 'memory' } as const

const slow: Record<string, (first: Promise<void>, last: Promise<void>) => unknown> = {
  'a Node stream': (first, last) => Readable.from(produce(first, last)),
  'a web stream': (first, last) => Readable.toWeb(Readable.from(produce(first, last))),
  'a Response': (first, last) => new Response(Readable.toWeb(Readable.from(produce(first, last))) as ReadableStream)
}

async function * produce (first: Promise<void>, last: Promise<void>): AsyncGenerator<Buffer> {
  await first
  yield Buffer.from('first')
  await last
  yield Buffer.from('last')
}

for (const [kind, stream] of Object.entries(slow)) {
  t.test(`the first chunk of ${kind} arrives within 50 ms, long before the last`, async (t) => {
    let [begun, first, last] = [gate(), gate(), gate()]
    const { origin } = await serving(t, memory, (app) => app.get('/:try', { config }, async () => {
      begun.open()
      return stream(first.opened, last.opened)
    }))
    const waited: number[] = []
    // A busy machine may be late once.
    for (let attempt = 1; attempt <= 3; attempt++) {
      [begun, first, last] = [gate(), gate(), gate()]
      const opening = open(`${origin}/${attempt}`)
      await begun.opened
      const produced = performance.now()
      first.open()
      const response = await opening
      const [chunk] = await once(response, 'data') as [Buffer]
      waited.push(Math.round(performance.now() - produced))
      t.equal(chunk.toString(), 'first')
      last.open()
      await once(response, 'end')
    }
    t.ok(Math.min(...waited) < 50, `${waited.join(', ')} ms`)
  })
}

for (const [kind, stream] of Object.entries(endless)) {
  t.test(`${kind} is produced no faster than its client reads`, async (t) => {
    let produced = 0
    const { origin } = await serving(t, memory, (app) => app.get('/', { config }, async () => stream(() => ++produced <= 500 ? MEBIBYTE : undefined)))
    const response = await open(`${origin}/`)
    response.pause()
    // Until nothing moves any more.
    for (let before = -1; before !== produced;) {
      before = produced
      for (let turns = 0; turns < 200; turns++) await turn()
    }
    t.ok(produced < 50, `${produced} MiB were produced for a client that reads nothing`)
    response.destroy()
    await once(response, 'close')
  })

  t.test(`${kind} of 200 MiB takes no more memory than without the plugin`, async (t) => {
    const highest = async (how: 'cached' | 'plain'): Promise<number> => {
      const child = await startChild<Streamed>(require.resolve('./stream-memory.js'), kind, how)
      t.teardown(() => child.kill())
      t.equal(child.hello.received, child.hello.sent)
      t.equal(child.hello.stored, 0)
      return child.hello.highest
    }
    const [plain, cached] = [await highest('plain'), await highest('cached')]
    t.comment(`${cached} MiB at the most, and ${plain} without the plugin`)
    t.ok(cached < plain + 40, `${cached} MiB, and ${plain} without the plugin`)
  })
}

t.test('when a client disconnects, the source of its stream is closed', async (t) => {
  const source = new PassThrough()
  const { origin } = await serving(t, memory, (app) => app.get('/', { config }, async () => source))
  source.write('begun')
  const response = await open(`${origin}/`)
  const closed = new Promise((resolve) => { source.once('close', resolve) })
  response.destroy()
  await closed
  t.ok(source.destroyed)
})

t.test('an event stream is not stored', async (t) => {
  const source = new PassThrough()
  let runs = 0
  const { app, origin } = await serving(t, memory, (app) => app.get('/', { config }, async (_request, reply) => {
    runs++
    reply.type('text/event-stream')
    return runs === 1 ? source : Readable.from(['data: 2\n\n'])
  }))
  source.write('data: 1\n\n')
  const first = await open(`${origin}/`)
  const [event] = await once(first, 'data') as [Buffer]
  t.equal(event.toString(), 'data: 1\n\n')
  t.notOk(first.headers.etag)
  t.notOk(first.headers['cache-control'])
  t.match(first.headers['cache-status'], 'detail=event-stream')
  const second = await ask(`${origin}/`)
  t.equal(second.text, 'data: 2\n\n', 'nobody waits for it')
  source.end()
  await once(first, 'end')
  t.equal(app.apiCache.stats().stored, 0)
})

t.test('a hijacked reply is not stored, and no request waits for it', async (t) => {
  let runs = 0
  const { app, origin } = await serving(t, memory, (app) => app.get('/', { config }, async (_request, reply) => {
    runs++
    reply.hijack()
    reply.raw.writeHead(200, { 'x-raw': 'yes' })
    reply.raw.end(`raw ${runs}`)
  }))
  for (const run of [1, 2]) {
    const { text, headers } = await ask(`${origin}/`)
    t.equal(text, `raw ${run}`)
    t.equal(headers['x-raw'], 'yes')
    t.notOk(headers['etag'])
  }
  t.equal(app.apiCache.stats().stored, 0)
  t.equal(app.apiCache.stats().filling, 0)
})

t.test('what a handler writes to reply.raw is not stored', async (t) => {
  let runs = 0
  const { app, origin } = await serving(t, memory, (app) => app.get('/', { config }, (_request, reply) => {
    runs++
    reply.raw.end(`raw ${runs}`)
  }))
  for (const run of [1, 2]) t.equal((await ask(`${origin}/`)).text, `raw ${run}`)
  t.equal(app.apiCache.stats().stored, 0)
})

t.test('an upgrade bypasses the cache', async (t) => {
  const { app, origin } = await serving(t, memory, (app) => app.get('/', { config }, async () => 'no upgrade'))
  app.server.on('upgrade', (_request, socket) => { socket.end('HTTP/1.1 101 Switching Protocols\r\nupgrade: own\r\nconnection: upgrade\r\n\r\n') })
  const upgrading = request(`${origin}/`, { headers: { connection: 'upgrade', upgrade: 'own' } }).end()
  const [response, socket] = await once(upgrading, 'upgrade') as [{ statusCode: number }, { destroy: () => void }]
  t.equal(response.statusCode, 101)
  socket.destroy()
  t.equal(app.apiCache.stats().misses, 0)
})

t.test('a response with trailers arrives with them, and is not stored', async (t) => {
  const { app, origin } = await serving(t, memory, (app) => app.get('/', { config }, async (_request, reply) => {
    reply.trailer('x-sum', async () => '42')
    return 'body'
  }))
  for (let request = 1; request <= 2; request++) {
    const { text, trailers, headers } = await ask(`${origin}/`)
    t.equal(text, 'body')
    t.equal(trailers['x-sum'], '42')
    t.equal(headers['x-api-cache'], 'MISS')
    t.notOk(headers['content-length'])
  }
  t.equal(app.apiCache.stats().stored, 0)
})

function gate (): { opened: Promise<void>, open: () => void } {
  let open!: () => void
  const opened = new Promise<void>((resolve) => { open = resolve })
  return { opened, open }
}
