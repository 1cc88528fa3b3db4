import { EventEmitter, once } from 'node:events'
import { connect, type IncomingHttpHeaders } from 'node:http2'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import Fastify from 'fastify'
import t from 'tap'
import apiCache from '../../index.js'

const config = { cache: { namespace: 'http2', expire: 60 } }

t.test('MISS, HIT, 304, 206, 416, HEAD and invalidation work over HTTP/2', async (t) => {
  const app = Fastify({ http2: true })
  t.teardown(() => app.close())
  await app.register(apiCache, { store: 'memory' })
  app.get('/text', { config }, async () => '0123456789')
  app.get('/stream', { config }, async () => Readable.from(['01234', '56789']))
  app.post('/', { config: { cache: { invalidate: 'http2' } } }, async () => 'done')
  const session = connect(await app.listen({ host: '127.0.0.1', port: 0 }))
  t.teardown(() => { session.destroy() })

  async function send (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<{ headers: IncomingHttpHeaders, text: string }> {
    const stream = session.request({ ':path': path, ':method': method, ...headers })
    stream.end()
    const [received] = await once(stream, 'response') as [IncomingHttpHeaders]
    const body = await text(stream)
    await app.apiCache.settled()
    return { headers: received, text: body }
  }

  for (const path of ['/text', '/stream']) {
    for (const state of ['MISS', 'HIT', 'HIT']) {
      const { headers, text } = await send(path)
      t.equal(headers[':status'], 200)
      t.equal(headers['x-api-cache'], state)
      t.equal(text, '0123456789')
    }
    const { headers } = await send(path)
    t.match(await send(path, { 'if-none-match': headers.etag! }), { text: '', headers: { ':status': 304 } })
    t.match(await send(path, { range: 'bytes=2-4' }), { text: '234', headers: { ':status': 206, 'content-range': 'bytes 2-4/10' } })
    t.match(await send(path, { range: 'bytes=20-' }), { text: '', headers: { ':status': 416, 'content-range': 'bytes */10' } })
    t.match(await send(path, {}, 'HEAD'), { text: '', headers: { ':status': 200, 'x-api-cache': 'HIT' } })
  }
  await send('/', {}, 'POST')
  t.equal((await send('/text')).headers['x-api-cache'], 'MISS')
})

t.test('a stale entry is served over HTTP/2 while it is refreshed', async (t) => {
  const app = Fastify({ http2: true })
  t.teardown(() => app.close())
  await app.register(apiCache, { store: 'memory' })
  let runs = 0
  const ran = new EventEmitter()
  app.get('/:kind', { config: { cache: { namespace: 'http2', expire: 1, staleWhileRevalidate: 60 } } }, async ({ params }) => {
    const text = `run ${++runs}`
    ran.emit('run')
    return (params as { kind: string }).kind === 'stream' ? Readable.from([text]) : text
  })
  const session = connect(await app.listen({ host: '127.0.0.1', port: 0 }))
  t.teardown(() => { session.destroy() })
  for (const path of ['/text', '/stream']) {
    const get = async (): Promise<string> => await text(session.request({ ':path': path }))
    const first = await get()
    await delay(1_050)
    const refreshed = once(ran, 'run')
    t.equal(await get(), first)
    await refreshed
    await app.apiCache.settled()
    t.equal(await get(), `run ${runs}`)
  }
})
