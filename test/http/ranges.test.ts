import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { asking, cached } from './ask.js'

const config = { cache: { namespace: 'ranges', expire: 60 } }
const MODIFIED = 'Mon, 02 Mar 2026 10:00:00 GMT'
const TEXT = 'abcdefghij'

const bodies: Record<string, () => unknown> = {
  text: () => TEXT,
  'a Buffer': () => Buffer.from(TEXT),
  'a stream': () => Readable.from([Buffer.from('abcde'), Buffer.from('fghij')])
}

const handling = (body: () => unknown) => (app: FastifyInstance): unknown =>
  app.get('/', { config }, async (request, reply) => {
    if (request.headers.range !== undefined || request.headers['if-range'] !== undefined) throw new Error('a fill is never partial')
    reply.headers({ etag: '"a"', 'last-modified': MODIFIED, 'content-type': 'text/plain' })
    return body()
  })

interface Row {
  headers: Record<string, string>
  status: 200 | 206 | 416
  text?: string
  contentRange?: string
}

const rows: Record<string, Row> = {
  'a range from the beginning': { headers: { range: 'bytes=0-2' }, status: 206, text: 'abc', contentRange: 'bytes 0-2/10' },
  'a range in the middle': { headers: { range: 'bytes=3-4' }, status: 206, text: 'de', contentRange: 'bytes 3-4/10' },
  'a range to the end': { headers: { range: 'bytes=7-' }, status: 206, text: 'hij', contentRange: 'bytes 7-9/10' },
  'a range of the last bytes': { headers: { range: 'bytes=-3' }, status: 206, text: 'hij', contentRange: 'bytes 7-9/10' },
  'a range that is longer than the body': { headers: { range: 'bytes=8-99' }, status: 206, text: 'ij', contentRange: 'bytes 8-9/10' },
  'a range outside the body': { headers: { range: 'bytes=10-' }, status: 416, text: '', contentRange: 'bytes */10' },
  'a range of more last bytes than there are': { headers: { range: 'bytes=-20' }, status: 206, text: TEXT, contentRange: 'bytes 0-9/10' },
  'a range of no last bytes': { headers: { range: 'bytes=-0' }, status: 416, text: '', contentRange: 'bytes */10' },
  'a range whose unit is in upper case': { headers: { range: 'Bytes= 3-4' }, status: 206, text: 'de', contentRange: 'bytes 3-4/10' },
  'a range outside the body whose If-Range does not match': { headers: { range: 'bytes=10-', 'if-range': '"b"' }, status: 200 },
  'several ranges': { headers: { range: 'bytes=0-1, 3-4' }, status: 200 },
  'several ranges, of which one is inside the body': { headers: { range: 'bytes=0-1, 30-40' }, status: 200 },
  'several ranges outside the body': { headers: { range: 'bytes=30-40, 50-60' }, status: 200 },
  'a range of another unit': { headers: { range: 'lines=0-1' }, status: 200 },
  'a range of another unit outside the body': { headers: { range: 'lines=30-40' }, status: 200 },
  'a range that ends before it begins': { headers: { range: 'bytes=4-3' }, status: 200 },
  'a range without positions': { headers: { range: 'bytes=-' }, status: 200 },
  'an invalid range': { headers: { range: 'bytes=b-a' }, status: 200 },
  'an If-Range with the ETag': { headers: { range: 'bytes=0-2', 'if-range': '"a"' }, status: 206, text: 'abc' },
  'an If-Range with the weak form of the ETag': { headers: { range: 'bytes=0-2', 'if-range': 'W/"a"' }, status: 200 },
  'an If-Range with another ETag': { headers: { range: 'bytes=0-2', 'if-range': '"b"' }, status: 200 },
  'an If-Range that equals Last-Modified': { headers: { range: 'bytes=0-2', 'if-range': MODIFIED }, status: 206, text: 'abc' },
  'an If-Range with another date': { headers: { range: 'bytes=0-2', 'if-range': 'Mon, 02 Mar 2026 11:00:00 GMT' }, status: 200 }
}

for (const [kind, body] of Object.entries(bodies)) {
  for (const [sentence, { headers, status, text = TEXT, contentRange }] of Object.entries(rows)) {
    t.test(`${sentence}, of stored ${kind}, is answered with ${status}`, async (t) => {
      const { ask } = await asking(t, handling(body))
      await ask()
      const part = await ask('/', headers)
      t.equal(cached(part.headers), 'HIT')
      t.equal(part.status, status)
      t.equal(part.text, text)
      if (contentRange !== undefined) t.equal(part.headers['content-range'], contentRange)
      if (status === 206) {
        t.equal(part.headers['content-length'], String(text.length))
        t.equal(part.headers.etag, '"a"')
        t.equal(part.headers['content-type'], 'text/plain')
        t.ok(part.headers.date)
      }
      if (status === 200) t.notOk(part.headers['content-range'])
    })
  }

  t.test(`a MISS with a range, of ${kind}, never stores a part as the whole`, async (t) => {
    const { ask } = await asking(t, handling(body))
    const part = await ask('/', { range: 'bytes=0-2' })
    t.equal(cached(part.headers), 'MISS')
    if (kind === 'a stream') t.equal(part.status, 200)
    else t.match(part, { status: 206, text: 'abc', headers: { 'content-range': 'bytes 0-2/10', 'content-type': 'text/plain' } })
    const whole = await ask()
    t.equal(cached(whole.headers), 'HIT')
    t.equal(whole.status, 200)
    t.equal(whole.text, TEXT)
    t.notOk(whole.headers['content-range'])
  })
}

t.test('a range in a HEAD request is ignored', async (t) => {
  const { ask } = await asking(t, handling(bodies['text']!))
  await ask()
  const head = await ask('/', { range: 'bytes=0-2' }, 'HEAD')
  t.equal(head.status, 200)
  t.equal(head.headers['content-length'], '10')
  t.equal(head.text, '')
})

t.test('an If-None-Match that matches takes precedence over a range', async (t) => {
  const { ask } = await asking(t, handling(bodies['text']!))
  await ask()
  t.equal((await ask('/', { range: 'bytes=0-2', 'if-none-match': '"a"' })).status, 304)
})

t.test('a 206 from the handler is not stored as the whole', async (t) => {
  let runs = 0
  const { ask } = await asking(t, (app) => app.get('/', { config }, async (_request, reply) => {
    runs++
    reply.code(206).header('content-range', 'bytes 0-2/10')
    return 'abc'
  }))
  for (const run of [1, 2]) {
    const { status, headers } = await ask()
    t.equal(status, 206)
    t.equal(cached(headers), 'MISS')
    t.equal(runs, run)
  }
})

t.test('a 206 in a Response is not stored as the whole', async (t) => {
  const { ask } = await asking(t, (app) => app.get('/', { config }, async () =>
    new Response('abc', { status: 206, headers: { 'content-range': 'bytes 0-2/10' } })))
  for (let request = 1; request <= 2; request++) {
    const { status, headers } = await ask()
    t.equal(status, 206)
    t.equal(cached(headers), 'MISS')
  }
})

t.test('HEAD does not fill entries for GET, and is answered from entries that GET filled', async (t) => {
  let runs = 0
  const { ask } = await asking(t, (app) => app.get('/', { config }, async () => { runs++; return TEXT }))
  const first = await ask('/', {}, 'HEAD')
  t.match(first, { status: 200, text: '', headers: { 'content-length': '10', 'x-api-cache': 'MISS' } })
  const get = await ask()
  t.match(get, { status: 200, text: TEXT, headers: { 'x-api-cache': 'MISS' } })
  const again = await ask('/', {}, 'HEAD')
  t.match(again, { status: 200, text: '', headers: { 'content-length': '10', 'x-api-cache': 'HIT', etag: get.headers.etag } })
  t.equal(runs, 2)
})
